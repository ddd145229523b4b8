/** Values as bytes that tell whether they are still what was written: for what a host keeps, and nothing else certifies. */
import { createHash } from "node:crypto";
import { FormatError } from "../errors.ts";

const HASH_BYTES = 32;

/** SHA-256, then JSON. */
export function seal(value: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(value));
  return Buffer.concat([createHash("sha256").update(json).digest(), json]);
}

/** What seal() was given. @throws FormatError when it is damaged */
export function unseal(bytes: Buffer): unknown {
  const json = bytes.subarray(HASH_BYTES);
  if (!createHash("sha256").update(json).digest().equals(bytes.subarray(0, HASH_BYTES))) {
    throw new FormatError("what was kept of it is damaged");
  }
  return JSON.parse(json.toString());
}
