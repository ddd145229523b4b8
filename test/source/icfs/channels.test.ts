/** Channels as hosts read them: which records are accepted, and which refused, over real answers that are changed on the way. */
import { randomInt } from "node:crypto";
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import t, { type Test } from "tap";
import { verifySignature } from "../../../lib/ic/certificate/bls.ts";
import type { BlsVerify } from "../../../lib/ic/certificate/valid-signatures.ts";
import { resolveNetwork } from "../../../lib/ic/network.ts";
import {
  acceptedAfter,
  acceptedReleases,
  rememberKept,
  resetTrust,
  trustingReader,
} from "../../../lib/source/icfs/accepted-releases.ts";
import { type RecordPages, recordsBefore } from "../../../lib/source/icfs/channel-history.ts";
import {
  AbsentChannelError,
  CorruptedChannelError,
  ForeignChannelError,
  ForkedChannelError,
  ReplayedChannelError,
} from "../../../lib/source/icfs/channels.ts";
import { openReader, proveRelease } from "../../../lib/source/icfs/open-release.ts";
import { IcfsReader, type Shown } from "../../../lib/source/icfs/query-reader.ts";
import type { Head, VerifiedRecord } from "../../../lib/source/icfs/release-reader.ts";
import { IcfsSource } from "../../../lib/source/icfs/source.ts";
import { type ChannelRecord, decodeRecord, RECORD_PREFIX, recordHash } from "../../../lib/tree/channel.ts";
import { headerHash } from "../../../lib/tree/header.ts";
import { canisterId } from "../../support/certificates.ts";
import { encodeHistory, publishContent, publishedTwice, set } from "../../support/channels.ts";
import { exactly } from "../../support/exactly.ts";
import { encodeChain } from "../../support/headers.ts";
import { temporaryDirectory } from "../../support/icfs.ts";
import { ICFS_WASM, type StartedCanister, startedCanister } from "../../support/icfs-canister.ts";
import { NO_INSTALL_ARGUMENTS } from "../../support/networks.ts";
import { candidBlob } from "../../support/proofs.ts";
import { readerOf } from "./chain-reader.ts";

const REFUSAL = /^(VerificationError|FormatError)$/;

async function newHost(t: Test): Promise<void> {
  process.env.XDG_STATE_HOME = await temporaryDirectory(t);
}

t.beforeEach(newHost);

/** The class of an error. */
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

const CANARY = Buffer.from("4449444c016e71010001", "hex");
const named = (name: string) => Buffer.concat([CANARY, Buffer.from([name.length]), Buffer.from(name)]);

/** A canister's answer for a channel, in Candid. */
async function answered({ network, id }: StartedCanister, name: string): Promise<Buffer> {
  const response = await network.agent.query(id, { methodName: "channels", arg: named(name) });
  if (response.status !== "replied") throw new Error(JSON.stringify(response));
  return Buffer.from(response.reply.arg);
}

/** A reader that gets this answer to every question. @param verify checks signatures; default: as usual */
function readerOfAnswer(
  answer: Uint8Array,
  { id, network }: StartedCanister,
  shown: Shown,
  verify?: BlsVerify,
): IcfsReader {
  const query = async () => ({ status: "replied", reply: { arg: Uint8Array.from(answer) } });
  return new IcfsReader(
    { query } as unknown as HttpAgent,
    id,
    network.rootKey,
    () => verify,
    undefined,
    shown,
  );
}

t.test("ten thousand corrupted answers are each refused or make no difference", async (t) => {
  const canister = await publishedTwice(t);
  await canister.owner.promote(set("stable", 1n, undefined, "the good one"));
  await canister.owner.promote(set("canary", 2n));
  const answer = await answered(canister, "stable");
  // Signatures are really checked only here. Later a signature over other bytes counts as invalid without a check.
  const signed: string[] = [];
  const textOf = (parts: readonly unknown[]) =>
    parts.map((part) => Buffer.from(part as Uint8Array).toString("hex")).join(" ");
  const learning: BlsVerify = async (...parts) => {
    signed.push(textOf(parts));
    return verifySignature(...parts);
  };
  const right = (await readerOfAnswer(answer, canister, { channel: "stable" }, learning).head())!;
  const known: BlsVerify = async (...parts) => signed.includes(textOf(parts));
  const kinds = new Map<string, number>();
  for (let i = 0; i < 10_000; i++) {
    const reader = readerOfAnswer(corrupted(answer, i), canister, { channel: "stable" }, known);
    const result = await reader.head().catch((error: unknown) => error);
    if (result instanceof Error) {
      if (!REFUSAL.test(result.name)) t.fail(`${result.name}: ${result.stack}`);
      kinds.set(result.constructor.name, (kinds.get(result.constructor.name) ?? 0) + 1);
    } else {
      const { hash, channels } = result as Head;
      const isRight =
        hash.equals(right.hash) && channels!.get("stable")!.hash.equals(right.channels!.get("stable")!.hash);
      if (!isRight) t.fail("another record was believed");
      kinds.set("the same", (kinds.get("the same") ?? 0) + 1);
    }
  }
  for (const kind of ["FormatError", "VerificationError", "CorruptedChannelError", "ForeignChannelError"]) {
    t.ok(kinds.get(kind)! > 0, `${kind}: ${kinds.get(kind)}`);
  }
  t.ok((kinds.get("the same") ?? 0) < 1000);
});

function corrupted(answer: Buffer, round: number): Buffer {
  const at = randomInt(answer.length);
  const bytes = Buffer.from(answer);
  switch (round % 5) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([randomInt(256)]), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + randomInt(8))]);
    default:
      bytes[at]! ^= 1 << randomInt(8);
      return bytes;
  }
}

t.test("a record of another canister, another channel or another time is refused", async (t) => {
  const canister = await publishedTwice(t);
  const { network, owner } = canister;
  await owner.promote(set("stable", 1n));
  await owner.promote(set("canary", 2n));
  const stranger = startedCanister(
    network,
    (await network.install(ICFS_WASM, NO_INSTALL_ARGUMENTS)) as Principal,
  );
  await publishContent(stranger, "one");
  await stranger.owner.promote(set("stable", 1n));
  const [own, other, theirs] = [
    await answered(canister, "stable"),
    await answered(canister, "canary"),
    await answered(stranger, "stable"),
  ];
  const stable = (answer: Uint8Array) => readerOfAnswer(answer, canister, { channel: "stable" }).head();
  t.equal((await stable(own))!.channels!.get("stable")!.record.serial, 1);
  await t.rejects(stable(theirs), { name: "VerificationError", message: /no certified data/ });
  t.ok(
    (await failure(stable(other))) instanceof ForeignChannelError,
    "a record of another channel is refused",
  );
  t.ok((await failure(stable(withRecord(own, recordIn(theirs))))) instanceof ForeignChannelError);
  await owner.promote(set("stable", 2n, 1n));
  const newer = await answered(canister, "stable");
  const older = withRecord(newer, recordIn(own));
  t.ok(
    (await failure(stable(older))) instanceof CorruptedChannelError,
    "an older record with a newer certificate is refused",
  );
  // An answer without the record is refused: its certificate shows which channels there are.
  t.ok((await failure(stable(withRecord(newer, undefined)))) instanceof CorruptedChannelError);
  const absent = await answered(canister, "beta");
  const beta = readerOfAnswer(absent, canister, { channel: "beta" }).head();
  t.ok((await failure(beta)) instanceof AbsentChannelError);
  t.ok(
    (await failure(stable(absent))) instanceof CorruptedChannelError,
    "an answer that withholds an existing channel is refused",
  );
});

/** Where the only record of an answer lies: behind `records`, in an array of one, whose lengths have four bytes. */
function placeOf(answer: Buffer): { start: number; at: number; end: number } {
  const start = answer.indexOf("records") + "records".length;
  const at = answer.indexOf(RECORD_PREFIX);
  return { start, at, end: at + answer.readUInt32BE(at - 4) };
}

function recordIn(answer: Buffer): Buffer {
  const { at, end } = placeOf(answer);
  return answer.subarray(at, end);
}

/** The answer with another record in it, or none. */
function withRecord(answer: Buffer, record: Buffer | undefined): Buffer {
  const { start, end } = placeOf(answer);
  const head = (type: number, length: number) => {
    const bytes = Buffer.from([type, 0, 0, 0, 0]);
    bytes.writeUInt32BE(length, 1);
    return bytes;
  };
  const records =
    record === undefined ? head(0x9a, 0) : Buffer.concat([head(0x9a, 1), head(0x5a, record.length), record]);
  // Candid's length has two bytes.
  const reply = Buffer.concat([answer.subarray(11, start), records, answer.subarray(end)]);
  return candidBlob(reply);
}

// --- what this host has accepted ---

const chain = encodeChain(4);
const canister = canisterId(1);
const address = {
  canister,
  rootKey: Buffer.alloc(133, 7),
  network: resolveNetwork("http://192.0.2.1:8080"),
  channel: "stable",
};

/** A made-up last record of a channel. */
function recordOf(serial: number, number: number, hash = serial): VerifiedRecord {
  const release = number === 0 ? undefined : { number, header: headerHash(chain[number - 1]!) };
  return { record: { serial, release, name: "stable" } as ChannelRecord, hash: Buffer.alloc(32, hash) };
}

/** A canister with these releases, and a channel whose last record is this one. */
function canisterWith(record: VerifiedRecord, headers = chain) {
  const reader = readerOf(headers);
  const head = async () => ({ ...(await reader.head())!, channels: new Map([["stable", record]]) });
  return { ...reader, head, restore: head };
}

const trusting = (record: VerifiedRecord, headers = chain) =>
  trustingReader(canisterWith(record, headers), address);

t.test("only a record with a higher serial is accepted, whichever release it points to", async (t) => {
  const accepted = () => acceptedReleases().map(({ number, channels }) => [number, channels]);
  await trusting(recordOf(5, 3)).head();
  await trusting(recordOf(6, 1)).head();
  const sixth = [[4, { stable: { serial: 6, record: "06".repeat(32), release: 1 } }]];
  t.strictSame(accepted(), sixth, "a newer record may point to an older release");
  const replayed = await failure(trusting(recordOf(5, 3)).head());
  t.ok(replayed instanceof ReplayedChannelError);
  t.match(replayed, { message: /record 5 .* older than record 6, .*icfs trust reset/ });
  const forked = await failure(trusting(recordOf(6, 2, 9)).head());
  t.ok(forked instanceof ForkedChannelError);
  t.match(forked, { message: /record 6 .* is a fork.*icfs trust reset/ });
  t.strictSame(accepted(), sixth, "a refused record changes nothing");
  await trustingReader(readerOf(chain), { ...address }).head();
  t.strictSame(accepted(), sixth, "asking for the release without a channel changes nothing");
  await t.rejects(trusting(recordOf(7, 1), chain.slice(0, 3)).head(), { message: /release 3 is older/ });
  await trusting(recordOf(7, 0)).head();
  t.strictSame(
    accepted(),
    [[4, { stable: { serial: 7, record: "07".repeat(32) } }]],
    "a deletion is accepted",
  );
  await resetTrust(canister);
  await trusting(recordOf(1, 3)).head();
  t.match(
    accepted(),
    exactly(exactly(4, { stable: { serial: 1 } })),
    "a new history is accepted after a reset",
  );
});

t.test("a kept record is not mounted if a mount has kept a later one", async (t) => {
  const restore = (record: VerifiedRecord) => trusting(record).restore(Buffer.alloc(0));
  const channel = (serial: number) => ({ name: "stable", serial });
  await trusting(recordOf(5, 3)).head();
  await rememberKept(address, { number: 3, channel: channel(5) });
  await trusting(recordOf(6, 1)).head();
  t.match(acceptedReleases(), exactly({ channels: { stable: { serial: 6, kept: 5 } } }));
  await restore(recordOf(5, 3));
  t.equal(
    acceptedAfter(address, { number: 3, channel: channel(5) }),
    1,
    "the release accepted since then is found",
  );
  await t.rejects(restore(recordOf(7, 1)), { message: /record 7 .* is not what it has accepted/ });
  await t.rejects(restore(recordOf(6, 1, 9)), { message: /record 6 .* is not what it has accepted/ });
  await rememberKept(address, { number: 1, channel: channel(6) });
  await t.rejects(restore(recordOf(5, 3)), { message: /has served .*@stable by record 6 since/ });
});

t.test("the release that a channel points to is proved by the chain", async (t) => {
  const prove = (record: VerifiedRecord) => proveRelease(address, canisterWith(record));
  const proven = await prove(recordOf(1, 2));
  t.match(proven, { header: { number: 2 }, channel: { serial: 1 }, newest: { header: { number: 4 } } });
  const { record } = recordOf(2, 1);
  const other = {
    record: { ...record, release: { number: 1, header: Buffer.alloc(32) } },
    hash: Buffer.alloc(32),
  };
  t.ok((await failure(prove(other))) instanceof ForkedChannelError);
  t.ok(
    (await failure(prove(recordOf(3, 0)))) instanceof AbsentChannelError,
    "a deleted channel has no release",
  );

  const held = { last: recordOf(4, 3) };
  const source = new IcfsSource(address, {
    ...readerOf(chain),
    head: () => canisterWith(held.last).head(),
    restore: () => canisterWith(held.last).head(),
  });
  t.match(await source.newest(), { number: 3, channel: { name: "stable", serial: 4 } });
  held.last = recordOf(5, 1);
  const back = await source.newest();
  t.match(back, { number: 1, channel: { serial: 5 } }, "the channel may return to an older release");
  t.match(await source.restore((await source.evidence(back))!), { number: 1, channel: { serial: 5 } });
});

t.test("a host reads a channel and the files of its release", async (t) => {
  const canister = await publishedTwice(t);
  const { network, id, owner } = canister;
  await owner.promote(set("stable", 1n));
  const real = {
    network: resolveNetwork(network.url),
    rootKey: network.rootKey,
    canister: id,
    channel: "stable",
  };
  const source = new IcfsSource(real, openReader(real, 10_000));
  const release = await source.newest();
  t.match(release, { number: 1, channel: { serial: 1 } });
  const tree = await source.tree(release);
  t.strictSame((await source.chunk(tree.chunks[0]!)).bytes.toString(), "one");
  t.match(acceptedReleases(), exactly({ number: 2, channels: { stable: { serial: 1, release: 1 } } }));
});

t.test("a proof of all channels proves each of them, and no other", async (t) => {
  const canister = await publishedTwice(t);
  const { network, id, owner } = canister;
  await owner.promote(set("stable", 1n));
  await owner.promote(set("canary", 2n));
  const address = { network: resolveNetwork(network.url), rootKey: network.rootKey, canister: id };
  const { proof } = (await openReader(address, 10_000, undefined, "channels").head())!;
  const of = (channel: string) => openReader({ ...address, channel }, 10_000).restore(proof);
  t.strictSame([...(await of("stable")).channels!.keys()], ["stable"]);
  t.match((await of("canary")).channels!.get("canary"), { record: { serial: 1, release: { number: 2 } } });
  t.ok((await failure(of("beta"))) instanceof ForeignChannelError);
});

t.test("a channel's history is proved by its last record", async (t) => {
  const records = encodeHistory(canister.toUint8Array(), "stable", 250);
  const asked: [from: number, count: number][] = [];
  const pagesOf = (all: readonly Buffer[]) => async (_: string, from: number, count: number) => {
    asked.push([from, count]);
    return all.slice(Math.max(0, from - count), from).reverse();
  };
  const last = { record: decodeRecord(records.at(-1)!), hash: recordHash(records.at(-1)!) };
  const walk = async (pages: RecordPages) => {
    const serials: number[] = [];
    for await (const { record } of recordsBefore(last, canister, pages)) serials.push(record.serial);
    return serials;
  };
  t.strictSame(
    await walk(pagesOf(records)),
    Array.from({ length: 249 }, (_, i) => 249 - i),
  );
  t.strictSame(
    asked,
    [
      [249, 100],
      [149, 100],
      [49, 49],
    ],
    "records are asked for page by page",
  );
  const other = encodeHistory(canister.toUint8Array(), "stable", 250, "another");
  const refused: [pages: readonly Buffer[], message: RegExp][] = [
    [other, /record 249 of channel stable is not the one that record 250 follows/],
    [
      [...records.slice(0, 120), ...other.slice(120, 130), ...records.slice(130)],
      /record 130 .* record 131 follows/,
    ],
    [[], /gives only 0 of the 100 records/],
  ];
  for (const [pages, message] of refused) {
    await t.rejects(walk(pagesOf(pages)), { name: "VerificationError", message });
  }
  await t.rejects(
    walk(async (...all) => (await pagesOf(records)(...all)).slice(0, 1)),
    { message: /gives only 1 of the 100 records/ },
    "a canister that gives one record at a time is refused",
  );
});

t.test("bytes that no canister writes are refused as a record", (t) => {
  t.throws(() => decodeRecord(Buffer.alloc(0)), { name: "FormatError" });
  t.throws(() => decodeRecord(Buffer.concat([RECORD_PREFIX, Buffer.alloc(200)])), { name: "FormatError" });
  t.end();
});
