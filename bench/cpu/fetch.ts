/**
 * Fetches all chunks of a release, in a process of its own: `fetch.ts icfs|general URL CANISTER [MIRROR]`. Prints a {@link
 * Fetched} as JSON. With a mirror, icfs fetches them only from there. The general way is @icp-sdk/core as its users use it: an
 * Actor, with replies decoded by IDL and queries' signatures checked.
 */
import { Actor, blsVerify, HttpAgent } from "@icp-sdk/core/agent";
import pLimit from "p-limit";
import { parseCanisterId } from "../../lib/ic/canister-id.ts";
import type { BlsVerify } from "../../lib/ic/certificate/valid-signatures.ts";
import { networkStatus, resolveNetwork } from "../../lib/ic/network.ts";
import { MirroredReader } from "../../lib/source/icfs/mirrored-reader.ts";
import { Mirrors } from "../../lib/source/icfs/mirrors.ts";
import { openReader, openTree, proveRelease } from "../../lib/source/icfs/open-release.ts";
import { sha256 } from "../../lib/tree/hash.ts";
import type { ChunkReference } from "../../lib/tree/manifest.ts";

const MIB = 1024 * 1024;
/** Chunks in flight, as many as a mount has at most. */
const PARALLEL = 16;
const TIMEOUT_MS = 30_000;
/** How old a mirror's proof may be: nothing updates it during the run. */
const MONTH_MS = 30 * 24 * 60 * 60 * 1000;

export interface Cost {
  /** Of this process with all its threads. */
  readonly cpuMs: number;
  readonly ms: number;
}

export interface Fetched {
  readonly mebibytes: number;
  /** From the certificate to the last chunk, in a fresh process. By icfs only. */
  readonly cold?: Cost & { readonly bls: Cost; readonly hashes: Cost };
  /** Fetching all chunks once more. */
  readonly again: Cost;
}

type FetchOne = (chunk: ChunkReference) => Promise<Uint8Array>;

const [way, url, canisterId, mirror] = process.argv.slice(2) as [
  "icfs" | "general",
  string,
  string,
  string | undefined,
];
const network = resolveNetwork(url);
const { rootKey } = await networkStatus(url);
const canister = parseCanisterId(canisterId);
const address = { network, rootKey, canister };

const bls = { cpuMs: 0, ms: 0 };
const countedBls: BlsVerify = async (...parameters) => {
  let valid = false;
  const cost = await costOf(async () => {
    valid = blsVerify(...parameters);
  });
  bls.cpuMs += cost.cpuMs;
  bls.ms += cost.ms;
  return valid;
};
const byQueries = openReader(address, TIMEOUT_MS, () => countedBls);
const reader =
  mirror === undefined
    ? byQueries
    : new MirroredReader(new Mirrors([mirror], { only: true, maxStale: MONTH_MS }), byQueries, TIMEOUT_MS);

async function open(): Promise<readonly ChunkReference[]> {
  const release = await proveRelease(address, reader, false);
  return (await openTree(address, release, reader)).chunks as readonly ChunkReference[];
}

async function fetchAll(chunks: readonly ChunkReference[], fetchOne: FetchOne): Promise<void> {
  const limit = pLimit(PARALLEL);
  await Promise.all(
    chunks.map((chunk) =>
      limit(async () => {
        if ((await fetchOne(chunk)).length !== chunk.size) throw new Error("a chunk has another size");
      }),
    ),
  );
}

async function costOf(work: () => Promise<void>): Promise<Cost> {
  const [cpu, started] = [process.cpuUsage(), performance.now()];
  await work();
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  return { cpuMs: (user + system) / 1000, ms };
}

async function byIcfs(): Promise<Fetched> {
  let chunks: readonly ChunkReference[] = [];
  const fetchOne: FetchOne = (chunk) => reader.chunk(chunk);
  const cold = await costOf(async () => {
    chunks = await open();
    await fetchAll(chunks, fetchOne);
  });
  const blsOnce = { ...bls };
  const again = await costOf(() => fetchAll(chunks, fetchOne));
  const bytes = await Promise.all(chunks.map((chunk) => reader.chunk(chunk)));
  const hashes = await costOf(async () => {
    for (const one of bytes) await sha256(one);
  });
  return { mebibytes: sizeOf(chunks), cold: { ...cold, bls: blsOnce, hashes }, again };
}

async function byActor(): Promise<Fetched> {
  const chunks = await open();
  const agent = HttpAgent.createSync({ host: url, rootKey });
  const actor = Actor.createActor<{ chunk(hash: Uint8Array): Promise<Uint8Array> }>(
    ({ IDL }) => {
      const blob = IDL.Vec(IDL.Nat8);
      return IDL.Service({ chunk: IDL.Func([blob], [blob], ["query"]) });
    },
    { agent, canisterId: canister },
  );
  const fetchOne: FetchOne = (chunk) => actor.chunk(chunk.sha256);
  await fetchAll(chunks, fetchOne);
  return { mebibytes: sizeOf(chunks), again: await costOf(() => fetchAll(chunks, fetchOne)) };
}

function sizeOf(chunks: readonly ChunkReference[]): number {
  return chunks.reduce((sum, { size }) => sum + size, 0) / MIB;
}

console.log(JSON.stringify(await (way === "icfs" ? byIcfs() : byActor())));
