/** Values as bytes with a checksum: for data that a host keeps, and that has no certificate. */
import { createHash } from "node:crypto";
import { FormatError } from "../errors.ts";

const HASH_BYTES = 32;
/** Items between two pauses: about a millisecond. */
const ITEMS_PER_STEP = 500;

/**
 * SHA-256, then the JSON that it is of: an object with a long list in it. In steps: the list may have 100,000 items.
 *
 * @param fields the object's other fields, at least one
 * @param list the name of the list's field
 */
export function* sealing(
  fields: Readonly<Record<string, unknown>>,
  list: string,
  items: Iterable<unknown>,
): Generator<void, Buffer> {
  const hash = createHash("sha256");
  const parts: Buffer[] = [];
  const add = (json: string) => {
    const bytes = Buffer.from(json);
    hash.update(bytes);
    parts.push(bytes);
  };
  add(`${JSON.stringify(fields).slice(0, -1)},${JSON.stringify(list)}:[`);
  let some: unknown[] = [];
  let comma = "";
  const addSome = () => {
    if (some.length === 0) return;
    add(comma + JSON.stringify(some).slice(1, -1));
    comma = ",";
    some = [];
  };
  for (const item of items) {
    some.push(item);
    if (some.length < ITEMS_PER_STEP) continue;
    addSome();
    yield;
  }
  addSome();
  add("]}");
  return Buffer.concat([hash.digest(), ...parts]);
}

/** The object that was sealed. @throws FormatError when the bytes are damaged */
export function unseal(bytes: Buffer): unknown {
  const json = bytes.subarray(HASH_BYTES);
  if (!createHash("sha256").update(json).digest().equals(bytes.subarray(0, HASH_BYTES))) {
    throw new FormatError("what was kept of it is damaged");
  }
  return JSON.parse(json.toString());
}
