/** Makes answers of `release()`, in place of a canister, and a source that receives them. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { IcfsReader } from "../../lib/source/icfs/query-reader.ts";
import { headerHash } from "../../lib/tree/header.ts";

/** A witness, in CBOR, of a header at icfs/head. */
export function witnessOf(header: Uint8Array): Buffer {
  const leaf = Buffer.concat([hex("8203"), byteString(headerHash(header))]);
  return Buffer.concat([hex("8302"), byteString("icfs"), hex("8302"), byteString("head"), leaf]);
}

/** The CBOR map { header, witness, certificate }. */
export function proofOf(parts: {
  readonly header: Uint8Array;
  readonly witness: Uint8Array;
  readonly certificate: Uint8Array;
}): Buffer {
  const fields = Object.entries(parts).map(([name, bytes]) =>
    Buffer.concat([Buffer.from([0x60 + name.length]), Buffer.from(name), byteString(bytes)]),
  );
  return Buffer.concat([hex("a3"), ...fields]);
}

/** A source that gets this blob as the answer to every query. */
export function sourceOfReply(reply: Uint8Array, canister: Principal, rootKey: Uint8Array): IcfsReader {
  const query = async () => ({ status: "replied", reply: { arg: candidBlob(reply) } });
  return new IcfsReader({ query } as unknown as HttpAgent, canister, rootKey);
}

/** A reply of one blob, in Candid. */
export function candidBlob(bytes: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = bytes.length;
  for (; rest >= 0x80; rest >>= 7) length.push((rest & 0x7f) | 0x80);
  return Buffer.concat([hex("4449444c016d7b0100"), Buffer.from([...length, rest]), bytes]);
}

function byteString(bytes: Uint8Array | string): Buffer {
  const content = Buffer.from(bytes as Uint8Array);
  const head = Buffer.from([0x5a, 0, 0, 0, 0]);
  head.writeUInt32BE(content.length, 1);
  return Buffer.concat([head, content]);
}

function hex(digits: string): Buffer {
  return Buffer.from(digits, "hex");
}
