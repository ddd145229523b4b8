/** Extreme values in each number field of a manifest and a header: each is accepted, or refused in icfs's own words. */
import t from "tap";
import { FormatError } from "../../lib/errors.ts";
import { decodeHeader, HEADER_PREFIX } from "../../lib/tree/header.ts";
import { MANIFEST_PREFIX } from "../../lib/tree/manifest.ts";
import { decodeManifest } from "../../lib/tree/manifest-decoder.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { encodeHeader } from "../support/headers.ts";
import { treeOf } from "../support/icfs-canister.ts";

const NAT32 = [0n, 1n, 2n ** 31n, 2n ** 32n - 1n];
const NAT64 = [0n, 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

const manifest = Buffer.concat(encodeManifest(treeOf({ a: "1" }).manifest));
const header = encodeHeader({ publisher: Buffer.of(4), note: "" });

/** Where each number stands, in the manifest of one file of one byte and in a header, and which values are right. */
const inManifest = MANIFEST_PREFIX.length + 1;
const inHeader = HEADER_PREFIX.length + 4;
type Field = readonly [string, Buffer, number, 4 | 8, (value: bigint) => boolean];
const FIELDS: readonly Field[] = [
  ["manifest: modified", manifest, inManifest, 8, () => true],
  ["manifest: size", manifest, inManifest + 8 + 1 + 33 + 1, 8, (value) => value === 1n],
  ["manifest: back", manifest, inManifest + 52, 4, (value) => value === 0n],
  ["manifest: offset", manifest, inManifest + 56, 4, (value) => value === 0n],
  ["manifest: length", manifest, inManifest + 60, 4, (value) => value === 1n],
  ["manifest: chunk's size", manifest, manifest.length - 4, 4, (value) => value === 1n],
  ["header: published at", header, inHeader, 8, () => true],
  ...["files", "chunk bytes", "directories", "symlinks", "bytes", "chunks"].map(
    (name, i): Field => [`header: ${name}`, header, inHeader + 8 * (i + 1), 8, (value) => value < 2n ** 53n],
  ),
  ["header: number", header, inHeader + 56, 8, (value) => value === 1n],
  ["header: manifest's size", header, inHeader + 64 + 33, 8, (value) => value <= 1n],
];

for (const [name, bytes, at, width, isRight] of FIELDS) {
  t.test(name, async (t) => {
    for (const value of width === 4 ? NAT32 : NAT64) {
      const changed = Buffer.from(bytes);
      if (width === 4) changed.writeUInt32LE(Number(value), at);
      else changed.writeBigUInt64LE(value, at);
      const decode = () => (bytes === manifest ? decodeManifest(changed) : decodeHeader(changed));
      if (isRight(value)) t.doesNotThrow(decode, `${value}`);
      else t.throws(decode, FormatError, `${value}`);
    }
  });
}
