import * as cbor from "@dfinity/cbor";
import t from "tap";
import { decodeHeaders, encodeHeaders } from "../../../lib/source/icfs/header-list.ts";

t.test("headers are encoded as CBOR, and decoded as they were", async (t) => {
  for (const lengths of [
    [],
    [0],
    [23, 24],
    [255, 256],
    [65_535, 65_536],
    Array.from({ length: 300 }, () => 3),
  ]) {
    const headers = lengths.map((length, i) => Buffer.alloc(length, i));
    const bytes = encodeHeaders(headers);
    t.same(decodeHeaders(bytes).map(Buffer.from), headers, `${lengths}`);
    const decoded = cbor.decode(Uint8Array.from(bytes)) as Uint8Array[];
    t.same(
      decoded.map((one) => one.length),
      lengths,
    );
  }
});

t.test("bytes that are not a list of headers are refused", async (t) => {
  for (const hex of ["", "81", "8141", "814100ff", "8101", "a0", "9bffffffffffffffff"]) {
    t.throws(() => decodeHeaders(Buffer.from(hex, "hex")), { name: "FormatError" }, hex);
  }
});
