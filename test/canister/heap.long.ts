/** A canister's heap while it takes chunks in: what is claimed once is paid for ever, so garbage has to go in time. */
import { randomBytes } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Actor } from "@icp-sdk/core/agent";
import t, { type Test } from "tap";
import type { Entry } from "../../lib/tree/manifest.ts";
import { memoryOf } from "../support/canister-memory.ts";
import { compiled } from "../support/compiled.ts";
import { type StartedCanister, sha256, startIcfsCanister, treeOf } from "../support/icfs-canister.ts";
import { OWNER } from "../support/kept-networks.ts";

const MIB = 1024 * 1024;
/** Motoko's partitions: one is filled, one has what was kept of the last, and one the collector's marks. */
const PARTITIONS = 3 * 64 * MIB;
const PUTS = 200;

t.test("a heap of three partitions does", { timeout: 300_000 }, async (t) => {
  const { network, id, owner } = await startIcfsCanister(t);
  const started = await memoryOf(network.agent, id);
  t.ok(started.heap < 16 * MIB, `${started.heap} bytes are claimed before anything is put`);
  await owner.put([randomBytes(MIB)]);
  const { heap } = await memoryOf(network.agent, id);
  t.ok(heap < 16 * MIB, "there is no collection, which claims a partition, before one is full");
  for (let i = 0; i < PUTS; i++) await owner.put([randomBytes(MIB)]);
  const full = await memoryOf(network.agent, id);
  t.ok(full.stable >= (PUTS + 1) * MIB, "the chunks are in stable memory");
  t.ok(full.heap <= PARTITIONS, `${PUTS} MiB have been put, and the heap has ${full.heap} bytes`);
});

/** Waits until a canister has made all its pages and freed what it will. */
async function settled({ owner }: StartedCanister): Promise<void> {
  for (;;) {
    const { http, newest, backlog } = await owner.status();
    const { on, release } = http[0]!;
    if (backlog[0] === 0n && release === (on ? newest : 0n)) return;
    await sleep(50);
  }
}

/** As many files as fill their directories' pages, and packs of 20 files. */
const FILES = 4_000;
const PINNED = 4;

/** The canister, with methods that tell how much of its heap is in use, and have garbage collected. */
function telling(t: Test): Uint8Array<ArrayBuffer> {
  const directory = t.testdir();
  cpSync(fileURLToPath(new URL("../../canister", import.meta.url)), directory, { recursive: true });
  const main = join(directory, "main.mo");
  const source = readFileSync(main, "utf8");
  const changed = source
    .replace(
      "  // --- owning ---",
      "  public func collect_all() : async () { collector.__motoko_gc_trigger() };\n$&",
    )
    .replace(
      "  // --- owning ---",
      "  public query func live_bytes() : async Nat { Prim.rts_heap_size() };\n$&",
    )
    .replace(
      "      #chunk : () -> Hash;",
      "$&\n      #collect_all : () -> ();\n      #live_bytes : () -> ();",
    )
    .replace("case _ false;", "case _ true;");
  writeFileSync(main, changed);
  return compiled(main);
}

async function startTelling(t: Test) {
  const canister = await startIcfsCanister(t, { api: "both" }, telling(t));
  const heap = Actor.createActor<{ collect_all(): Promise<void>; live_bytes(): Promise<bigint> }>(
    ({ IDL }) =>
      IDL.Service({
        collect_all: IDL.Func([], [], []),
        live_bytes: IDL.Func([], [IDL.Nat], ["query"]),
      }),
    { agent: canister.network.agentFor(OWNER), canisterId: canister.id },
  );
  /** Bytes of the heap that are in use when nothing more is to be made, and garbage has been collected. */
  const live = async () => {
    await settled(canister);
    let least = await heap.live_bytes();
    // A collection takes several messages.
    for (let round = 0; round < 30; round++) {
      await heap.collect_all();
      const bytes = await heap.live_bytes();
      if (bytes < least) least = bytes;
    }
    return Number(least);
  };
  return { ...canister, live };
}

t.test("pages take nothing of the heap for good", { timeout: 600_000 }, async (t) => {
  const canister = await startTelling(t);
  const { owner, live } = canister;
  /** What the pages have in use: the heap with them and without. */
  const ofPages = async () => {
    const withPages = await live();
    const { bytes } = (await owner.status()).http[0]!;
    await owner.serve_http(false);
    const without = await live();
    await owner.serve_http(true);
    await settled(canister);
    return { heap: withPages - without, region: Number(bytes), all: withPages };
  };
  const chunkOf = (file: number) => Math.floor(file / 20);
  const contents = Array.from({ length: FILES }, (_, i) => `contents ${10_000 + i}`);
  const publish = async () => {
    const packs = Array.from({ length: FILES / 20 }, (_, i) =>
      Buffer.from(contents.slice(20 * i, 20 * (i + 1)).join("")),
    );
    await owner.put(packs);
    const entries = contents.map((text, i): Entry => {
      const size = text.length;
      const extents = [{ chunk: chunkOf(i), offset: size * (i % 20), length: size }];
      return {
        kind: "file",
        path: `f${10_000 + i}`,
        modified: 0n,
        size,
        sha256: sha256(Buffer.from(text)),
        executable: false,
        extents,
      };
    });
    const chunks = packs.map((pack) => ({ sha256: sha256(pack), size: pack.length }));
    const result = await canister.publish({ chunks, entries });
    if (!("ok" in result)) throw new Error(JSON.stringify(result));
    await owner.keep(result.ok, true);
    await settled(canister);
  };
  const empty = await live();
  await publish();
  const first = await ofPages();
  for (let i = 0; i < PINNED; i++) {
    contents[i] = `contents ${90_000 + i}`;
    await publish();
  }
  const next = await ofPages();
  const perPath = (bytes: number) => (bytes / FILES).toFixed(1);
  t.comment(
    `a path: ${perPath(first.heap)} bytes of heap, ${perPath(first.region)} of stable memory, ${perPath(first.all - empty)} of heap with all that the canister keeps of a release`,
  );
  const perPinned = (what: "heap" | "region" | "all") => (next[what] - first[what]) / PINNED;
  t.comment(
    `a pinned release: ${perPinned("heap")} bytes of heap, ${perPinned("region")} of stable memory, ${perPinned("all")} of heap with all`,
  );
});

const ROLLBACKS = 200;

t.test("rollbacks hold one tree", { timeout: 600_000 }, async (t) => {
  const { owner, publish, source, live } = await startTelling(t);
  const { manifest, chunks } = treeOf(
    Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`file${1000 + i}`, `contents ${i}`])),
  );
  await owner.put(chunks);
  t.match(await publish(manifest), { ok: 1n });
  const before = await live();
  for (let i = 0; i < ROLLBACKS; i++) {
    const parent: [Uint8Array] = [(await source.head())!.hash];
    t.match(await owner.rollback({ to: 1n, parent, note: "" }), { ok: BigInt(i + 2) });
  }
  const each = ((await live()) - before) / ROLLBACKS;
  t.equal((await owner.status()).held.length, ROLLBACKS + 1, "all are held");
  t.comment(`a rollback: ${each.toFixed(0)} bytes of heap`);
  t.ok(each < 2_000, `${each} bytes: a list of the tree's chunks would take 16,000`);
});
