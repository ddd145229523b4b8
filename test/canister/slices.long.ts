/** A canister frees what has piled up in slices, outside the calls of others, and limits how much may pile up. */
import { mock } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import type { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { messageOf } from "../../lib/errors.ts";
import { type CanisterStatus, type IcfsCanister, icfsCanister } from "../../lib/icfs-canister.ts";
import { withQuickPut } from "../../lib/publish/quick-put.ts";
import type { Manifest } from "../../lib/tree/manifest.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import {
  ICFS_WASM,
  type StartedCanister,
  startedCanister,
  startIcfsCanister,
  treeOf,
} from "../support/icfs-canister.ts";
import { OWNER } from "../support/kept-networks.ts";
import { startEmptyNetwork } from "../support/networks.ts";
import { smallLimits } from "../support/site.ts";

const PUT = 30_000;
/** The limit for one message. On a quiet machine, a slice takes less than a millisecond. */
const SLICE_MS = 20_000;

let made = 0;
/** `count` different chunks of four bytes. */
function tinyChunks(count: number): Buffer[] {
  return Array.from({ length: count }, () => {
    const chunk = Buffer.alloc(4);
    chunk.writeUInt32LE(made++);
    return chunk;
  });
}

async function publishTree(canister: StartedCanister, text: string): Promise<bigint> {
  const { manifest, chunks } = treeOf({ a: text });
  await canister.owner.put(chunks);
  const result = await canister.publish(manifest);
  if (!("ok" in result)) throw new Error(JSON.stringify(result));
  return result.ok;
}

/** Waits until nothing is left to be freed. */
async function freed(owner: IcfsCanister): Promise<CanisterStatus> {
  for (;;) {
    const status = await owner.status();
    if (status.backlog[0] === 0n) return status;
    await sleep(200);
  }
}

/** A day and an hour. */
const LONG_AGO_MS = 25 * 3_600_000;

/** Puts loose chunks into the canister of `state`, as its owner and as others, at a network time of LONG_AGO_MS ago. */
async function putYesterday(t: Parameters<typeof startIcfsCanister>[0], state: string, id: Principal) {
  // This process's clock must be set as well, because certificates of another day are refused. It stands still, which does no harm in a few
  // minutes.
  mock.timers.enable({ apis: ["Date"], now: Date.now() - LONG_AGO_MS });
  t.teardown(() => mock.timers.reset());
  const network = await startEmptyNetwork(t, { state, timeOffset: -LONG_AGO_MS }, OWNER);
  const as = (identity: Ed25519KeyIdentity) => {
    const agent = network.agentFor(identity);
    return withQuickPut(icfsCanister(agent, id), agent, id);
  };
  const owner = as(OWNER);
  for (let i = 0; i < 3; i++) await owner.put(tinyChunks(PUT));
  const other = Ed25519KeyIdentity.generate();
  await owner.grant(other.getPrincipal(), { publisher: null });
  await as(other).put(tinyChunks(20_000));
}

t.test("110,000 loose chunks that are due at once are freed in slices", { timeout: 1_800_000 }, async (t) => {
  const state = await temporaryDirectory(t);
  let id!: Principal;
  await t.test("the canister is installed", async (t) => {
    ({ id } = await startIcfsCanister(t, { state }));
  });
  await t.test("the chunks are put", (t) => putYesterday(t, state, id));
  await t.test("a day later they are freed, while a release is published", async (t) => {
    const network = await startEmptyNetwork(t, { state, messageTimeLimit: SLICE_MS }, OWNER);
    const canister = startedCanister(network, id);
    const { owner } = canister;
    const { backlog, settings } = await owner.status();
    t.ok(backlog[0]! > 50_000n, `status reports a backlog of ${backlog[0]} chunks`);
    await network.replace(id, "upgrade", ICFS_WASM);
    const then = await owner.status();
    t.ok(
      then.backlog[0]! > 0n,
      `${then.backlog[0]} chunks are still to be freed after an upgrade in between`,
    );
    t.equal(await publishTree(canister, "one"), 1n, "a release can be published meanwhile");
    await owner.configure(settings);
    await owner.keep(1n, true);
    const now = await freed(owner);
    t.match(now, { chunks: 2n, loose_chunks: 0n, freed_chunks: 110_000n, held: { 0: 1n } });
    t.equal(now.region_bytes - now.hole_bytes, now.chunk_bytes, "chunks and holes make up the whole region");
    t.equal(await publishTree(canister, "two"), 2n);
  });
});

t.test("a publisher's loose chunks are limited in number", async (t) => {
  // These limits are a tenth of the canister's own.
  const { owner } = await startIcfsCanister(t, {}, smallLimits(t));
  for (let i = 0; i < 6; i++) await owner.put(tinyChunks(3000));
  await owner.put(tinyChunks(2000));
  const refused = await owner.put(tinyChunks(1)).catch(messageOf);
  t.match(refused, /over quota: at most 20000 chunks may wait to be published/);
  await owner.put(tinyChunks(3001)).then(
    () => t.fail("too many at once"),
    (error: unknown) => t.match(messageOf(error), /send at most 3000 chunks at once/),
  );
});

t.test("a rollback to a large tree takes several messages and is still atomic", async (t) => {
  const canister = await startIcfsCanister(t, {}, smallLimits(t));
  const { owner, source } = canister;
  const large: Manifest = {
    chunks: [],
    entries: Array.from({ length: 500 }, (_, i) => {
      return { kind: "directory", path: String(i).padStart(250, "0"), modified: 0n };
    }),
  };
  t.ok(Buffer.concat(encodeManifest(large)).length > 100_000);
  t.strictSame(await canister.publish(large), { ok: 1n });
  t.equal(await publishTree(canister, "two"), 2n);
  const parent: [Uint8Array] = [(await source.head())!.hash];
  const back = () => owner.rollback({ to: 1n, parent, note: "" });
  const both = await Promise.all([back(), back()]);
  t.strictSame(
    both.filter((result) => "ok" in result),
    [{ ok: 3n }],
    "only one of two simultaneous rollbacks succeeds",
  );
  const [refused] = both.filter((result) => "err" in result);
  t.ok(
    "conflict" in refused!.err ||
      /another large release is being checked/.test(String(Object.values(refused!.err))),
  );
  t.equal((await source.head())!.header.number, 3);
  t.strictSame(await source.manifest((await source.head())!.header), large);
  t.equal(await publishTree(canister, "four"), 4n);
  const other = treeOf({ a: "five" });
  const manifest = (await owner.put([...other.chunks, Buffer.concat(encodeManifest(other.manifest))])).slice(
    -1,
  );
  const on: [Uint8Array] = [(await source.head())!.hash];
  const race = await Promise.all([
    owner.rollback({ to: 1n, parent: on, note: "" }),
    owner.publish({ manifest, parent: on, note: "" }),
  ]);
  t.equal(
    race.filter((result) => "ok" in result).length,
    1,
    "of a rollback and a simultaneous publication, only one succeeds",
  );
  t.equal((await source.head())!.header.number, 5);
});
