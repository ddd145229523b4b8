/** Which releases and chunks the canister holds, frees and uses again, compared with a model made of sets. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { messageOf } from "../../lib/errors.ts";
import type { CanisterStatus, Settings } from "../../lib/icfs-canister.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { exactly } from "../support/exactly.ts";
import {
  ICFS_WASM,
  type StartedCanister,
  sha256,
  startIcfsCanister,
  treeOf,
} from "../support/icfs-canister.ts";
import { newSeed, random } from "../support/random.ts";

const WEEK = 604_800_000_000_000n;

/** Settings that hold releases by their number, not by their age. */
const newestOnly = (settings: Settings, hold_newest: number): Settings => ({
  ...settings,
  hold_newest,
  hold_nanoseconds: 0n,
});

/** After so many looks without a change, the canister is taken to have freed all that it will. */
const MOST_LOOKS = 300;

/** Waits until the canister has freed all that it will, which it does in slices, on a timer. */
async function settled({ owner }: StartedCanister, chunks: number): Promise<CanisterStatus> {
  let status = await owner.status();
  for (let looks = 0; Number(status.chunks) !== chunks && looks < MOST_LOOKS; looks++) {
    await sleep(100);
    const { chunks: before } = status;
    status = await owner.status();
    if (status.chunks !== before) looks = 0;
  }
  return status;
}

async function publishTree(canister: StartedCanister, contents: Record<string, string>): Promise<string[]> {
  const { manifest, chunks } = treeOf(contents);
  await canister.owner.put(chunks);
  const result = await canister.publish(manifest);
  if (!("ok" in result)) throw new Error(JSON.stringify(result));
  const pieces = [Buffer.concat(encodeManifest(manifest))];
  return [...chunks, ...pieces].map((chunk) => sha256(chunk).toString("hex"));
}

const failure = (call: Promise<unknown>): Promise<string> => call.then(() => "none", messageOf);

t.test("by default the newest eight releases and those of the last week are held", async (t) => {
  const canister = await startIcfsCanister(t);
  const { settings } = await canister.owner.status();
  t.match(settings, { hold_newest: 8, hold_nanoseconds: WEEK });
  for (let i = 1; i <= 12; i++) await publishTree(canister, { a: `release ${i}` });
  t.equal((await canister.owner.status()).held.length, 12, "twelve releases within a week are all held");
  await canister.owner.configure(newestOnly(settings, 8));
  const { held, dropped } = await canister.owner.status();
  t.strictSame([...held].map(Number), [5, 6, 7, 8, 9, 10, 11, 12]);
  t.equal(dropped, 4n, "dropped releases are counted");
  t.equal((await canister.source.headers(12, 20)).length, 12, "headers of dropped releases are kept");
});

t.test("a kept release stays with its chunks, and can be rolled back to", async (t) => {
  const canister = await startIcfsCanister(t);
  const { owner, source } = canister;
  const { settings } = await owner.status();
  const first = treeOf({ a: "the good one" });
  await publishTree(canister, { a: "the good one" });
  await owner.keep(1n, true);
  await owner.configure(newestOnly(settings, 1));
  for (let i = 0; i < 5; i++) await publishTree(canister, { a: `bad ${i}` });
  const status = await settled(canister, 4);
  t.strictSame([[...status.held], [...status.kept]], [[1n, 6n], [1n]]);
  const parent = (await source.head())!.hash;
  t.match(await owner.rollback({ to: 3n, parent: [parent], note: "" }), {
    err: { invalid: "release 3 is not held (any more)" },
  });
  t.match(await owner.rollback({ to: 9n, parent: [parent], note: "" }), {
    err: { invalid: /release 9 is not held/ },
  });
  t.match(await owner.rollback({ to: 1n, parent: [], note: "" }), { err: { conflict: { number: 6n } } });
  t.strictSame(await owner.rollback({ to: 1n, parent: [parent], note: "back" }), { ok: 7n });
  const head = (await source.head())!;
  t.match(head.header, { number: 7, note: "back", parent });
  t.strictSame(await source.manifest(head.header), first.manifest);
  t.ok((await source.chunk(first.manifest.chunks[0]!)).equals(first.chunks[0]!));
  await owner.keep(1n, false);
  t.strictSame([...(await owner.status()).held], [7n], "release 1 is no longer held without the mark");
  t.ok((await source.chunk(first.manifest.chunks[0]!)).equals(first.chunks[0]!));
  t.match(await failure(owner.keep(1n, true)), /release 1 is not held/);
  t.match(await failure(owner.configure({ ...settings, hold_newest: 0 })), /at least 1/);
});

t.test("puts over a quota are refused, and lose nothing", async (t) => {
  const canister = await startIcfsCanister(t);
  const { owner } = canister;
  const { settings } = await owner.status();
  await owner.configure({ ...settings, quota: 5000n, loose_quota: 2000n });
  const chunk = randomBytes(1500);
  await owner.put([chunk]);
  t.match(
    await failure(owner.put([randomBytes(600)])),
    /over quota: at most 2_?000 bytes may wait to be published/,
  );
  t.equal(
    (await owner.put([chunk])).length,
    1,
    "putting a stored chunk again does not count against the quota",
  );
  await owner.configure({ ...settings, quota: 2000n });
  t.match(
    await failure(owner.put([randomBytes(600)])),
    /over quota: the canister stores at most 2_?000 bytes/,
  );
  t.equal((await owner.status()).chunks, 1n);
});

t.test("an upgrade from the first build keeps releases and chunks", async (t) => {
  const before = Uint8Array.from(readFileSync(new URL("before/first.wasm", import.meta.url)));
  const canister = await startIcfsCanister(t, {}, before);
  const { owner, network, id, source } = canister;
  const one = await publishTree(canister, { a: "one", b: "both" });
  const two = await publishTree(canister, { a: "two", b: "both" });
  await owner.put([Buffer.from("never published")]);
  const head = (await source.head())!;
  await network.replace(id, "upgrade", ICFS_WASM);
  t.strictSame((await source.head())!.hash, head.hash);
  const status = await owner.status();
  t.strictSame([...status.held], [1n, 2n]);
  t.equal(Number(status.chunks), new Set([...one, ...two]).size + 1);
  t.equal(status.loose_chunks, 1n);
  await owner.configure(newestOnly(status.settings, 1));
  await settled(canister, new Set(two).size + 1);
  t.equal(
    Number((await owner.status()).chunks),
    new Set(two).size + 1,
    "the upgraded canister frees the chunks of dropped releases",
  );
});

t.test(
  "an upgrade from a build that counted each release's chunks keeps rollbacks and goes on freeing",
  async (t) => {
    const before = Uint8Array.from(readFileSync(new URL("before/second.wasm", import.meta.url)));
    const canister = await startIcfsCanister(t, {}, before);
    const { owner, network, id, source } = canister;
    const { settings } = await owner.status();
    const one = await publishTree(canister, { a: "one", b: "both" });
    const two = await publishTree(canister, { a: "two", b: "both" });
    const rollBack = async (to: bigint) =>
      owner.rollback({ to, parent: [(await source.head())!.hash], note: "" });
    t.match(await rollBack(1n), { ok: 3n });
    t.match(await rollBack(2n), { ok: 4n });
    await owner.put([Buffer.from("never published")]);
    const headers = await source.headers(4, 10);
    await network.replace(id, "upgrade", ICFS_WASM);
    t.strictSame(await source.headers(4, 10), headers, "the upgrade leaves the headers unchanged");
    t.match(await settled(canister, new Set([...one, ...two]).size + 1), {
      held: { 0: 1n, 1: 2n, 2: 3n, 3: 4n },
      loose_chunks: 1n,
    });
    t.match(await rollBack(1n), { ok: 5n }, "a held release can be rolled back to");
    await owner.configure(newestOnly(settings, 1));
    const status = await settled(canister, new Set(one).size + 1);
    t.equal(
      Number(status.chunks),
      new Set(one).size + 1,
      "chunks that only the dropped releases had are freed",
    );
    t.equal(status.backlog[0], 0n);
  },
);

t.test("a hundred rollbacks to a release store its tree once", async (t) => {
  const canister = await startIcfsCanister(t);
  const { owner, source } = canister;
  const { settings } = await owner.status();
  const one = await publishTree(canister, { a: "one" });
  await publishTree(canister, { a: "two" });
  for (let i = 0; i < 100; i++) {
    const parent = (await source.head())!.hash;
    t.match(await owner.rollback({ to: 1n, parent: [parent], note: "" }), { ok: BigInt(3 + i) });
  }
  t.equal((await owner.status()).held.length, 102);
  await owner.configure(newestOnly(settings, 2));
  const status = await settled(canister, one.length);
  t.match([Number(status.chunks), ...status.held], exactly(one.length, 101n, 102n));
  t.equal(status.backlog[0], 0n);
});

t.test("a freed chunk's space is reused by a chunk that fits, not by one a byte larger", async (t) => {
  const canister = await startIcfsCanister(t);
  const { owner, source } = canister;
  await owner.configure(newestOnly((await owner.status()).settings, 1));
  const publishChunks = async (all: readonly Buffer[]) => {
    const { manifest, chunks } = treeOfChunks(all);
    await owner.put(chunks);
    t.match(await canister.publish(manifest), { ok: BigInt });
  };
  // A chunk that stays lies behind the freed one, so that the freed space cannot grow.
  const [freed, behind] = [randomBytes(1000), randomBytes(1000)];
  await publishChunks([freed, behind]);
  await publishChunks([behind]);
  const before = await settled(canister, 2);
  for (const size of [1001, 1000]) {
    const chunk = randomBytes(size);
    await owner.put([chunk]);
    for (const bytes of [behind, chunk]) {
      const got = await source.chunk({ sha256: sha256(bytes), size: bytes.length });
      t.ok(got.equals(bytes), `beside one of ${size} bytes`);
    }
  }
  const after = await owner.status();
  t.equal(
    after.region_bytes - before.region_bytes,
    1001n,
    "only the chunk that is one byte larger extends the region",
  );
});

const seed = newSeed();

t.test(`a random sequence leaves exactly the chunks that a model expects; SEED=${seed}`, async (t) => {
  const canister = await startIcfsCanister(t);
  const { owner, network, id, source } = canister;
  const { settings } = await owner.status();
  let rules = newestOnly(settings, 3);
  await owner.configure(rules);
  const randomInt = random(seed);
  // The model: the chunks of each held release, the kept releases, the loose chunks, and the bytes of every chunk.
  const held = new Map<number, Set<string>>();
  const kept = new Set<number>();
  const loose = new Set<string>();
  const bytes = new Map<string, Buffer>();
  let newest = 0;
  const retire = () => {
    for (const number of held.keys()) {
      if (number + rules.hold_newest <= newest && !kept.has(number)) held.delete(number);
    }
  };
  const expected = () => new Set([...loose, ...[...held.values()].flatMap((hashes) => [...hashes])]);
  const remember = (chunk: Buffer) => {
    const hash = sha256(chunk).toString("hex");
    bytes.set(hash, chunk);
    return hash;
  };
  const steps = {
    async put() {
      const chunk = randomBytes(1 + randomInt(200_000));
      await owner.put([chunk]);
      loose.add(remember(chunk));
    },
    async publish() {
      // The release has some old and some new chunks, of very different sizes.
      const old = [...expected()].filter(() => randomInt(4) === 0).map((hash) => bytes.get(hash)!);
      const fresh = Array.from({ length: randomInt(5) }, () =>
        randomBytes(1 + randomInt(10 ** (1 + randomInt(5)))),
      );
      const { manifest, chunks } = treeOfChunks([...old, ...fresh]);
      for (const chunk of chunks) await owner.put([chunk]);
      const result = await canister.publish(manifest);
      if (!("ok" in result)) throw new Error(JSON.stringify(result));
      newest += 1;
      const encoded = Buffer.concat(encodeManifest(manifest));
      const hashes = new Set([...chunks, encoded].map(remember));
      for (const hash of hashes) loose.delete(hash);
      held.set(newest, hashes);
      retire();
    },
    async rollback() {
      const to = [...held.keys()][randomInt(held.size || 1)];
      if (to === undefined) return;
      const parent = (await source.head())!.hash;
      t.match(await owner.rollback({ to: BigInt(to), parent: [parent], note: "" }), {
        ok: BigInt(newest + 1),
      });
      newest += 1;
      held.set(newest, held.get(to)!);
      retire();
    },
    async keep() {
      const number = [...held.keys()][randomInt(held.size || 1)];
      if (number === undefined) return;
      if (kept.has(number)) kept.delete(number);
      else kept.add(number);
      await owner.keep(BigInt(number), kept.has(number));
      retire();
    },
    async configure() {
      rules = newestOnly(settings, 1 + randomInt(4));
      await owner.configure(rules);
      retire();
    },
    async upgrade() {
      await network.replace(id, "upgrade", ICFS_WASM);
    },
  };
  const often = [
    "put",
    "put",
    "publish",
    "publish",
    "publish",
    "rollback",
    "keep",
    "configure",
    "upgrade",
  ] as const;
  for (let i = 0; i < 60; i++) {
    const step = often[randomInt(often.length)]!;
    await steps[step]();
    const model = expected();
    const status = await settled(canister, model.size);
    const size = [...model].reduce((sum, hash) => sum + bytes.get(hash)!.length, 0);
    t.match(
      { ...status, held: [...status.held].map(Number), loose: Number(status.loose_chunks) },
      {
        chunks: BigInt(model.size),
        chunk_bytes: BigInt(size),
        held: exactly(...held.keys()),
        loose: loose.size,
      },
      `${i}: ${step}`,
    );
    t.equal(
      status.region_bytes - status.hole_bytes,
      status.chunk_bytes,
      "chunks and holes make up the whole region",
    );
  }
  for (const hash of expected()) {
    const chunk = bytes.get(hash)!;
    const got = await source.chunk({ sha256: Buffer.from(hash, "hex"), size: chunk.length });
    if (!got.equals(chunk)) t.fail(`chunk ${hash} has other bytes`);
  }
  const gone = [...bytes.keys()]
    .filter((hash) => !expected().has(hash))
    .map((hash) => Buffer.from(hash, "hex"));
  t.equal((await owner.missing(gone)).length, gone.length, `${gone.length} chunks are gone`);
});

/** A tree with one file for each different chunk. */
function treeOfChunks(all: readonly Buffer[]): ReturnType<typeof treeOf> {
  const unique = [...new Map(all.map((chunk) => [sha256(chunk).toString("hex"), chunk])).values()];
  const entries = unique.map((chunk, i) => ({
    kind: "file" as const,
    path: `f${String(i).padStart(4, "0")}`,
    modified: 0n,
    size: chunk.length,
    sha256: sha256(chunk),
    executable: false,
    extents: [{ chunk: i, offset: 0, length: chunk.length }],
  }));
  return {
    manifest: { chunks: unique.map((chunk) => ({ sha256: sha256(chunk), size: chunk.length })), entries },
    chunks: unique,
  };
}
