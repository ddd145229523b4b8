/** Channels' last records, which a certificate proves together with the newest release; and what can be wrong with them. */
import type { Principal } from "@icp-sdk/core/principal";
import { FormatError, UserError } from "../../errors.ts";
import { VerificationError } from "../../ic/certificate/certificate.ts";
import { allBelow, type HashTree, lookupTree } from "../../ic/certificate/hash-tree.ts";
import { type ChannelRecord, decodeRecord, recordHash } from "../../tree/channel.ts";
import type { VerifiedRecord } from "./release-reader.ts";

/** A malformed record, or one that does not match the certificate. */
export class CorruptedChannelError extends VerificationError {}

/** A record of another canister's channel, or of another channel. */
export class ForeignChannelError extends VerificationError {}

/** A record with a lower serial than the one that this host has accepted. */
export class ReplayedChannelError extends VerificationError {}

/** Another record with the serial that this host has accepted; or a record of a release that is not in the canister's chain. */
export class ForkedChannelError extends VerificationError {}

/** It is certified that there is no such channel. */
export class AbsentChannelError extends UserError {}

/**
 * The last records of the requested channels, by name. The tree must have the hash of each. If one channel is requested, others' records
 * beside its own are ignored: a proof of all channels proves each.
 *
 * @param tree the verified witness
 * @param name the requested channel; undefined: all
 * @throws CorruptedChannelError, ForeignChannelError; AbsentChannelError
 */
export function channelsIn(
  tree: HashTree,
  records: readonly Uint8Array[],
  canister: Principal,
  name: string | undefined,
): Map<string, VerifiedRecord> {
  const found = new Map<string, VerifiedRecord>();
  let other: string | undefined;
  for (const bytes of records) {
    const record = decode(bytes);
    mustBeOf(record, canister);
    if (name !== undefined && record.name !== name) {
      other = record.name;
      continue;
    }
    const hash = recordHash(bytes);
    const leaf = lookupTree(tree, ["icfs", "channel", record.name]);
    if (leaf?.kind !== "leaf" || !leaf.value.equals(hash)) {
      throw new CorruptedChannelError(
        `the record of channel ${record.name} is not the one that the certificate certifies`,
      );
    }
    found.set(record.name, { record, hash });
  }
  if (name !== undefined && found.has(name)) return found;
  if (other !== undefined) {
    throw new ForeignChannelError(`the record is that of channel ${other}, and not of ${name}`);
  }
  const all = namesIn(tree);
  if (name !== undefined && !all.has(name)) throw absent(canister, name);
  for (const each of all) {
    if (!found.has(each)) throw new CorruptedChannelError(`the record of channel ${each} is missing`);
  }
  return found;
}

/** The error about a channel that does not exist. */
export function absent(canister: Principal, name: string): AbsentChannelError {
  return new AbsentChannelError(
    `${canister} has no channel ${name}: \`icfs channel ${canister}\` lists those it has, and \`icfs promote ${canister} RELEASE ${name}\` makes one`,
  );
}

function decode(bytes: Uint8Array): ChannelRecord {
  try {
    return decodeRecord(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new CorruptedChannelError(`a channel's record is malformed: ${error.message}`);
  }
}

/** @throws ForeignChannelError */
function mustBeOf(record: ChannelRecord, canister: Principal): void {
  if (record.canister.equals(canister.toUint8Array())) return;
  throw new ForeignChannelError(`the record of channel ${record.name} is another canister's`);
}

/** The names of all channels. @throws CorruptedChannelError when the tree does not show them all */
function namesIn(tree: HashTree): Set<string> {
  const own = lookupTree(tree, ["icfs"]);
  const parts = own && allBelow(own);
  const channels = parts?.find(([label]) => label.equals(Buffer.from("channel")))?.[1];
  const names = channels === undefined ? parts && [] : allBelow(channels);
  if (names === undefined)
    throw new CorruptedChannelError("the proof does not show which channels there are");
  return new Set(names.map(([label]) => label.toString()));
}
