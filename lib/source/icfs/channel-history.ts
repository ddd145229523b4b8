/**
 * A channel's records, walked downwards from the last one, which is certified: each must have the hash that its successor names in
 * `before`.
 */
import type { Principal } from "@icp-sdk/core/principal";
import { VerificationError } from "../../ic/certificate/certificate.ts";
import { decodeRecord, recordHash } from "../../tree/channel.ts";
import type { VerifiedRecord } from "./release-reader.ts";

/** How many records are requested at once. */
const PAGE = 100;
/** A page with fewer records must have at least this many bytes: the canister fills 100,000. As in chain.ts. */
const LEAST_PAGE_BYTES = 50_000;

/** Gets a channel's records from serial `from` downwards, up to `count`, not verified. */
export type RecordPages = (name: string, from: number, count: number) => Promise<readonly Uint8Array[]>;

/**
 * The records before the last one, newest first. They are fetched in pages as the caller goes on.
 *
 * @throws VerificationError, FormatError where the history breaks; RejectError and Error when there is no answer
 */
export async function* recordsBefore(
  last: VerifiedRecord,
  canister: Principal,
  pages: RecordPages,
): AsyncGenerator<VerifiedRecord> {
  let next = last;
  while (next.record.serial > 1) {
    const { name, serial } = next.record;
    const wanted = Math.min(PAGE, serial - 1);
    const page = (await pages(name, serial - 1, wanted)).slice(0, wanted);
    for (const bytes of page) {
      next = before(next, canister, bytes);
      yield next;
    }
    const size = page.reduce((sum, { length }) => sum + length, 0);
    if (page.length < wanted && size < LEAST_PAGE_BYTES) {
      throw new VerificationError(
        `whoever answers gives only ${page.length} of the ${wanted} records of channel ${name} asked for at once`,
      );
    }
  }
}

/** The record before `after`, which these bytes must be. @throws VerificationError, FormatError */
function before(after: VerifiedRecord, canister: Principal, bytes: Uint8Array): VerifiedRecord {
  const { name, serial, before: wanted } = after.record;
  const hash = recordHash(bytes);
  if (wanted === undefined || !hash.equals(wanted)) {
    throw new VerificationError(
      `record ${serial - 1} of channel ${name} is not the one that record ${serial} follows`,
    );
  }
  const record = decodeRecord(bytes);
  const isOfChannel = record.name === name && record.canister.equals(canister.toUint8Array());
  if (!isOfChannel || record.serial !== serial - 1) {
    throw new VerificationError(
      `what channel ${name} had before record ${serial} is not a record of its own`,
    );
  }
  return { record, hash };
}
