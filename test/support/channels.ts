/** Sets up canisters with channels, and reads what is proved of them. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { decodeHeaders } from "../../lib/source/icfs/header-list.ts";
import { openReader } from "../../lib/source/icfs/open-release.ts";
import type { Shown } from "../../lib/source/icfs/query-reader.ts";
import { RECORD_PREFIX, recordHash } from "../../lib/tree/channel.ts";
import { type StartedCanister, startIcfsCanister, treeOf } from "./icfs-canister.ts";

/** Publishes a tree with one file. */
export async function publishContent({ owner, publish }: StartedCanister, content: string): Promise<void> {
  const { manifest, chunks } = treeOf({ a: content });
  await owner.put(chunks);
  await publish(manifest);
}

/** A canister with two releases. */
export async function publishedTwice(t: Parameters<typeof startIcfsCanister>[0]): Promise<StartedCanister> {
  const canister = await startIcfsCanister(t);
  for (const content of ["one", "two"]) await publishContent(canister, content);
  return canister;
}

/** The newest release, and the channels' last records by name. */
export async function proved({ network, id }: StartedCanister, shown: Shown) {
  const address = { network: resolveNetwork(network.url), rootKey: network.rootKey, canister: id };
  const head = (await openReader(address, 10_000, undefined, shown).head())!;
  return { head, channels: new Map(Array.from(head.channels!, ([name, { record }]) => [name, record])) };
}

/**
 * The argument of `promote`.
 *
 * @param release undefined: the channel is deleted
 * @param serial of the last record, as far as the caller knows
 */
export const set = (channel: string, release: bigint | undefined, serial?: bigint, note = "") => ({
  channel,
  release: [release ?? 0n] as [bigint],
  serial: serial === undefined ? ([] as []) : ([serial] as [bigint]),
  note,
});

/**
 * Promotes as a publisher of a canister that has no channels yet, and keeps count of the serials.
 *
 * @returns a function of a channel and a release; undefined: the channel is deleted
 */
export function promoter(c: {
  readonly publisherAgent: HttpAgent;
  readonly canister: Parameters<typeof icfsCanister>[1];
}): (channel: string, release: number | undefined) => Promise<void> {
  const canister = icfsCanister(c.publisherAgent, c.canister);
  const serials = new Map<string, bigint>();
  return async (channel, release) => {
    const number = release === undefined ? undefined : BigInt(release);
    const result = await canister.promote(set(channel, number, serials.get(channel)));
    if (!("ok" in result)) throw new Error(JSON.stringify(result.err));
    serials.set(channel, result.ok);
  };
}

/** A channel's records, newest first. */
export async function history(
  { owner }: StartedCanister,
  name: string,
  from = 2n ** 64n - 1n,
  count = 1000,
): Promise<Uint8Array[]> {
  return decodeHeaders(await owner.channel_history(name, from, count));
}

/** The records of a channel with serials 1 to `length`, in this order, as the canister encodes them. */
export function encodeHistory(canister: Uint8Array, name: string, length: number, note = ""): Buffer[] {
  const records: Buffer[] = [];
  for (let serial = 1; serial <= length; serial++) {
    const last = records.at(-1);
    records.push(
      Buffer.concat([
        RECORD_PREFIX,
        nat64(1_000_000),
        blob(Buffer.from(name)),
        blob(Buffer.from(note)),
        nat64(serial),
        Buffer.from([1]),
        blob(Buffer.from([4])),
        ...(last === undefined ? [Buffer.from([0])] : [Buffer.from([1]), blob(recordHash(last))]),
        Buffer.from([1]),
        blob(canister),
        nat64(1),
        blob(Buffer.alloc(32)),
      ]),
    );
  }
  return records;
}

/** Candid of fewer than 128 bytes. */
function blob(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function nat64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
