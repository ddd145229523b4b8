/**
 * Counts the instructions of the canister's methods, beside the IC's limits: `make bench-instructions`.
 *
 *     node bench/instructions.ts [--json] [--pages]
 *
 * --pages: only what the pages for HTTP add to a publication, and the memory that they take.
 */
import { createHash, randomBytes } from "node:crypto";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Actor, HttpAgent } from "@icp-sdk/core/agent";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import type { Principal } from "@icp-sdk/core/principal";
import { compileMotoko } from "../canister/compile.ts";
import { icfsCanister, type PublishResult } from "../lib/icfs-canister.ts";
import { withQuickPut } from "../lib/publish/quick-put.ts";
import { IcfsReader } from "../lib/source/icfs/query-reader.ts";
import type { Entry } from "../lib/tree/manifest.ts";
import { encodeManifest } from "../lib/tree/manifest-encoder.ts";
import { startLocalNetwork } from "../localnet/index.ts";
import { memoryOf } from "../test/support/canister-memory.ts";
import { installCanister, NO_INSTALL_ARGUMENTS, replaceCanister } from "../test/support/networks.ts";
import { countInstructions, instructionsOf } from "./instruction-count.ts";
import { print } from "./result.ts";

/** The IC's limits for one call. */
const UPDATE_LIMIT = 40_000_000_000n;
const QUERY_LIMIT = 5_000_000_000n;
const UPGRADE_LIMIT = 300_000_000_000n;
/** The canister's own limits: a publisher's unpublished chunks, and the chunks of one `put` (canister/chunks.mo). */
const MOST_LOOSE = 200_000;
const MOST_PUT = 30_000;
const MIB = 1024 * 1024;
const CANISTER = fileURLToPath(new URL("../canister", import.meta.url));

const { values } = parseArgs({
  options: { json: { type: "boolean", default: false }, pages: { type: "boolean", default: false } },
});
/** Call, millions of instructions, percent of the limit. */
const rows: string[][] = [];

const wasm = countInstructions(await compileCountable());
const identity = Ed25519KeyIdentity.generate();
const network = await startLocalNetwork({ port: 0, messageTimeLimit: 300_000 });
const agent = HttpAgent.createSync({ host: network.url, rootKey: network.rootKey, identity });
const canisterId = await installCanister(agent, wasm, NO_INSTALL_ARGUMENTS);
const canister = icfsCanister(agent, canisterId);
const source = new IcfsReader(agent, canisterId, network.rootKey);
const original = Actor.createActor<{
  listing(): Promise<[string, bigint][]>;
  get(range: { filename: string; sector_no: bigint; count: bigint }): Promise<Uint8Array>;
}>(
  ({ IDL }) => {
    const range = IDL.Record({ filename: IDL.Text, sector_no: IDL.Nat, count: IDL.Nat });
    return IDL.Service({
      listing: IDL.Func([], [IDL.Vec(IDL.Tuple(IDL.Text, IDL.Nat))], []),
      get: IDL.Func([range], [IDL.Vec(IDL.Nat8)], []),
    });
  },
  { agent, canisterId },
);

/** The canister with `listing` and `get` as updates, because a query's counts are undone along with its other effects. */
async function compileCountable(): Promise<Uint8Array> {
  const directory = await mkdtemp(join(tmpdir(), "icfs-bench-"));
  try {
    await cp(CANISTER, directory, { recursive: true });
    const main = join(directory, "main.mo");
    const source = (await readFile(main, "utf8"))
      .replace(/public shared query (\(\{ caller \}\) func (listing|get)\()/g, "public shared $1")
      .replace("case _ false;", "case _ true;")
      // So that the counter can be read between the messages of one publication.
      .replaceAll("if (isLarge) await async {};", "if (isLarge) for (_ in Nat.range(0, 40)) await async {};")
      .replaceAll("\n      await async {};", "\n      for (_ in Nat.range(0, 40)) await async {};");
    await writeFile(main, source);
    return compileMotoko(main).wasm;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/**
 * Counts the instructions of the largest message of a call, including messages that follow from it: the counter is read between
 * them, as often as possible.
 */
function measure<T>(what: string, call: () => Promise<T>, limit = UPDATE_LIMIT): Promise<T> {
  return measureOf(agent, canisterId, what, call, limit);
}

async function measureOf<T>(
  agent: HttpAgent,
  canister: Principal,
  what: string,
  call: () => Promise<T>,
  limit: bigint,
): Promise<T> {
  let last = await instructionsOf(agent, canister);
  let instructions = 0n;
  const sample = async () => {
    const now = await instructionsOf(agent, canister);
    // An upgrade resets the counter.
    if (now < last) last = 0n;
    if (now - last > instructions) instructions = now - last;
    last = now;
  };
  let isOver = false;
  const sampling = (async () => {
    while (!isOver) await sample();
  })();
  const result = await call();
  isOver = true;
  await sampling;
  await sample();
  const share = Number((instructions * 10_000n) / limit) / 100;
  const row = [what, (Number(instructions) / 1e6).toFixed(1), share.toFixed(2)];
  console.error(row.join(", "));
  rows.push(row);
  return result;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

/** The entries and chunks of a tree of `files` files, 60 per directory and 20 per chunk, similar to GRUB's modules. */
function modules(files: number): { entries: Entry[]; chunks: Buffer[] } {
  const perChunk = 20;
  const chunks: Buffer[] = [];
  const entries: Entry[] = [];
  for (let i = 0; i < files; i++) {
    const directory = `directory-${String(Math.floor(i / 60)).padStart(5, "0")}`;
    if (i % 60 === 0) entries.push({ kind: "directory", path: directory, modified: 0n });
    if (i % perChunk === 0) chunks.push(randomBytes(200));
    const chunk = chunks.length - 1;
    const offset = 10 * (i % perChunk);
    entries.push({
      kind: "file",
      path: `${directory}/some-module-${String(i).padStart(6, "0")}.mod`,
      modified: 0n,
      size: 10,
      sha256: sha256(chunks[chunk]!.subarray(offset, offset + 10)),
      executable: false,
      extents: [{ chunk, offset, length: 10 }],
    });
  }
  return { entries, chunks };
}

/**
 * Publishes trees of several sizes, and each again with one file changed. Measures until their pages are served, and the memory
 * that they take.
 */
async function pages(): Promise<void> {
  for (const files of [300, 10_000, 98_000]) {
    const network = await startLocalNetwork({ port: 0, messageTimeLimit: 600_000 });
    const agent = HttpAgent.createSync({ host: network.url, rootKey: network.rootKey, identity });
    const id = await installCanister(agent, wasm, NO_INSTALL_ARGUMENTS);
    const canister = icfsCanister(agent, id);
    const reader = new IcfsReader(agent, id, network.rootKey);
    const { entries, chunks } = modules(files);
    const release = async (what: string) => {
      for (let at = 0; at < chunks.length; at += 1000) await canister.put(chunks.slice(at, at + 1000));
      const { manifest } = await putManifest(canister, entries, chunks);
      const newest = await reader.head();
      const before = await memoryOf(agent, id);
      const start = await instructionsOf(agent, id);
      await measureOf(
        agent,
        id,
        `${what}, until its pages are served`,
        async () => {
          const parent: [] | [Uint8Array] = newest === undefined ? [] : [newest.hash];
          const result = await canister.publish({ manifest, parent, note: "" });
          if (!("ok" in result)) throw new Error(JSON.stringify(result));
          while ((await canister.status()).http[0]?.release !== result.ok) await sleep(200);
        },
        UPDATE_LIMIT,
      );
      const all = Number((await instructionsOf(agent, id)) - start) / 1e6;
      rows.push([`${what}, all messages together`, all.toFixed(1), "-"]);
      const after = await memoryOf(agent, id);
      const more = ({ heap, stable }: typeof after) => `heap ${heap / MIB} MiB, stable ${stable / MIB} MiB`;
      console.error(`${what}: ${all.toFixed(1)} M in all; before ${more(before)}; after ${more(after)}`);
    };
    await release(`publish of ${files} files`);
    const last = entries.at(-1);
    if (last?.kind !== "file") throw new Error("the last entry is a file");
    chunks[chunks.length - 1] = randomBytes(200);
    const offset = last.extents[0]!.offset;
    entries[entries.length - 1] = { ...last, sha256: sha256(chunks.at(-1)!.subarray(offset, offset + 10)) };
    await release(`the next one of ${files} files, of which one differs`);
    await network.close();
  }
}

/** Puts the manifest of a tree whose chunks are stored already. @returns the hashes of its pieces, and its size in bytes */
async function putManifest(
  to: Pick<typeof canister, "put">,
  entries: readonly Entry[],
  chunks: readonly Buffer[],
): Promise<{ readonly manifest: Uint8Array[]; readonly bytes: number }> {
  const table = chunks.map((chunk) => ({ sha256: sha256(chunk), size: chunk.length }));
  const bytes = Buffer.concat(encodeManifest({ chunks: table, entries }));
  const manifest: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += MIB)
    manifest.push(...(await to.put([bytes.subarray(at, at + MIB)])));
  return { manifest, bytes: bytes.length };
}

/** Publishes a tree of `files` files, and measures that. @returns the hash of the release's header */
async function publish(files: number, parent: [] | [Uint8Array]): Promise<Uint8Array> {
  const { entries, chunks } = modules(files);
  for (let at = 0; at < chunks.length; at += 1000) await canister.put(chunks.slice(at, at + 1000));
  const { manifest, bytes } = await putManifest(canister, entries, chunks);
  const name = `publish, ${entries.length} entries, ${chunks.length} chunks, ${(bytes / MIB).toFixed(2)} MiB manifest`;
  const result: PublishResult = await measure(name, () => canister.publish({ manifest, parent, note: "" }));
  if (!("ok" in result)) throw new Error(JSON.stringify(result));
  const head = await source.head();
  if (head === undefined) throw new Error("there is no release");
  return head.hash;
}

const newestHash = async (): Promise<[] | [Uint8Array]> => {
  const head = await source.head();
  return head === undefined ? [] : [head.hash];
};

/** Publishes a tree whose chunks are stored already, and measures that. */
async function publishMade(
  what: string,
  entries: readonly Entry[],
  chunks: readonly Buffer[],
): Promise<void> {
  const { manifest, bytes } = await putManifest(canister, entries, chunks);
  const parent = await newestHash();
  const name = `publish, ${what}, ${(bytes / MIB).toFixed(2)} MiB manifest`;
  const result = await measure(name, () => canister.publish({ manifest, parent, note: "" }));
  if (!("ok" in result)) throw new Error(JSON.stringify(result));
}

/** A file of these chunks. */
const fileOf = (path: string, chunks: readonly Buffer[]): Entry => ({
  kind: "file",
  path,
  modified: 0n,
  size: chunks.reduce((sum, { length }) => sum + length, 0),
  sha256: sha256(randomBytes(4)),
  executable: false,
  extents: chunks.map(({ length }, chunk) => ({ chunk, offset: 0, length })),
});

/** The trees that are most expensive to check, among those that a manifest of 32 MiB can describe. */
async function worstTrees(): Promise<void> {
  const directory = (path: string): Entry => ({ kind: "directory", path, modified: 0n });
  const numbered = (number: number, bytes: number) => String(number).padStart(bytes, "0");
  const wide = Array.from({ length: 100_000 }, (_, i) => directory(numbered(i, 250)));
  await publishMade("100000 paths of 250 bytes", wide, []);
  const deep = Array.from({ length: 100_000 }, (_, i) =>
    directory(`${numbered(Math.floor(i / 250), 4)}${"/a".repeat(i % 250)}`),
  );
  await publishMade("100000 directories in chains of 250", deep, []);
  const chunk = randomBytes(4);
  await canister.put([chunk]);
  const target = `./${numbered(0, 140)}`;
  const links = Array.from({ length: 37_200 }, (_, i): Entry => {
    return { kind: "symlink", path: numbered(i + 1, 140), modified: 0n, target };
  });
  await publishMade(
    "37200 symlinks, as many steps as may be",
    [fileOf(numbered(0, 140), [chunk]), ...links],
    [chunk],
  );
  const { number } = (await source.head())!.header;
  await publishMade("a file", [fileOf("a", [chunk])], [chunk]);
  const parent = await newestHash();
  await measure("rollback to those symlinks", () =>
    canister.rollback({ to: BigInt(number), parent, note: "" }),
  );
}

/** Nearly as many four-byte chunks as a canister can have, put by five publishers; then a release of most of them. */
async function full(): Promise<void> {
  const chunks = Array.from({ length: 5 * MOST_LOOSE - 100 }, (_, i) => {
    const chunk = Buffer.alloc(4);
    chunk.writeUInt32LE(0x1000_0000 + i);
    return chunk;
  });
  for (let first = 0; first < chunks.length; first += MOST_LOOSE) {
    const identity = Ed25519KeyIdentity.generate();
    await canister.grant(identity.getPrincipal(), { publisher: null });
    const own = HttpAgent.createSync({ host: network.url, rootKey: network.rootKey, identity });
    const quick = withQuickPut(icfsCanister(own, canisterId), own, canisterId);
    const end = Math.min(first + MOST_LOOSE, chunks.length);
    for (let at = first; at < end; at += MOST_PUT) {
      const some = chunks.slice(at, Math.min(at + MOST_PUT, end));
      const put = () => quick.put(some);
      // The last full call of the last publisher.
      const isLast = at + 2 * MOST_PUT > chunks.length && some.length === MOST_PUT;
      if (isLast) await measure(`put of ${some.length} chunks of 4 bytes, with ${at} of them there`, put);
      else await put();
    }
  }
  const { settings } = await canister.status();
  await measure(`configure, with ${chunks.length} chunks unpublished`, () => canister.configure(settings));
  const most = chunks.slice(0, 680_000);
  await publishMade(`${most.length} new chunks of 4 bytes`, [fileOf("all", most)], most);
  await measure(
    "upgrade, with a canister that is full",
    () => replaceCanister(agent, canisterId, "upgrade", wasm),
    UPGRADE_LIMIT,
  );
}

/** Nearly as many four-byte chunks as one publisher can have unpublished, all in one release, which is then freed. */
async function piledUp(): Promise<void> {
  const chunks = Array.from({ length: MOST_LOOSE - 30 }, (_, i) => {
    const chunk = Buffer.alloc(4);
    chunk.writeUInt32LE(i);
    return chunk;
  });
  const quick = withQuickPut(canister, agent, canisterId);
  for (let at = 0; at < chunks.length; at += MOST_PUT) {
    const some = chunks.slice(at, at + MOST_PUT);
    await measure(`put of ${some.length} chunks of 4 bytes`, () => quick.put(some));
  }
  const entry: Entry = {
    kind: "file",
    path: "all",
    modified: 0n,
    size: 4 * chunks.length,
    sha256: sha256(randomBytes(4)),
    executable: false,
    extents: chunks.map((_, chunk) => ({ chunk, offset: 0, length: 4 })),
  };
  const table = chunks.map((chunk) => ({ sha256: sha256(chunk), size: chunk.length }));
  const bytes = Buffer.concat(encodeManifest({ chunks: table, entries: [entry] }));
  const manifest: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += MIB)
    manifest.push(...(await canister.put([bytes.subarray(at, at + MIB)])));
  const newest = async () => (await source.head())!;
  const { hash } = await newest();
  await measure(`publish, ${chunks.length} new chunks of 4 bytes, counted meanwhile`, () =>
    canister.publish({ manifest, parent: [hash], note: "" }),
  );
  const { header } = await newest();
  for (const to of [header.number - 1, header.number, header.number]) {
    const parent: [Uint8Array] = [(await newest()).hash];
    await measure(`rollback to release ${to}`, () => canister.rollback({ to: BigInt(to), parent, note: "" }));
  }
  await measure("rollback to a small release", async () => {
    const parent: [Uint8Array] = [(await newest()).hash];
    return canister.rollback({ to: 1n, parent, note: "" });
  });
  const { settings } = await canister.status();
  await measure(
    "configure, which releases all but one, and what is freed then, a slice at a time",
    async () => {
      await canister.configure({ ...settings, hold_newest: 1, hold_nanoseconds: 0n });
      while ((await canister.status()).backlog[0] !== 0n) await sleep(50);
    },
  );
  await measure("upgrade", () => replaceCanister(agent, canisterId, "upgrade", wasm), UPGRADE_LIMIT);
}

async function calls(): Promise<void> {
  await measure("put of 1 MiB", () => canister.put([randomBytes(MIB)]));
  await measure("put of 256 KiB", () => canister.put([randomBytes(MIB / 4)]));
  await measure("put of 1 byte", () => canister.put([randomBytes(1)]));
  const known = randomBytes(MIB);
  await canister.put([known]);
  await measure("put of 1 MiB that is there already", () => canister.put([known]));
  let head: [] | [Uint8Array] = [];
  for (const files of [10, 300, 10_000, 40_000, 98_000]) {
    head = [await publish(files, head)];
    // More do not fit in the reply of an update.
    if (files <= 40_000) await measure(`listing of ${files} files`, () => original.listing(), QUERY_LIMIT);
    const sector = { filename: "directory-00000/some-module-000007.mod", sector_no: 0n, count: 1n };
    await measure(`get of a sector of one of ${files} files`, () => original.get(sector), QUERY_LIMIT);
  }
  await worstTrees();
  await piledUp();
  await full();
}

if (!values.pages) await calls();
await pages();
await network.close();
print(
  {
    title: "Instructions",
    about:
      "How many instructions the largest message of each call executes, counted in a build of the canister that counts them (bench/instruction-count.ts), and the share of " +
      "the IC's limit for an update call (for listing and get: for a query; for an upgrade: for an installation).",
    tables: [{ columns: ["call", "million instructions", "% of the limit"], rows }],
    goals: [],
  },
  values.json,
);
process.exit(0);
