/**
 * Many hosts in one process, which a test starts with `fork`: each has a source, a cache directory, memory and mirrors of its own, like a
 * mount, and fetches the whole newest release. Only the counting is added to what a mount does.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ChunkCache } from "../../lib/cache/chunk-cache.ts";
import { type DiskStore, openDiskStore } from "../../lib/cache/disk-store.ts";
import { messageOf } from "../../lib/errors.ts";
import { parseCanisterId } from "../../lib/ic/canister-id.ts";
import { verifySignature } from "../../lib/ic/certificate/bls.ts";
import type { BlsVerify } from "../../lib/ic/certificate/valid-signatures.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { Hydrator, startOf } from "../../lib/live/hydrate.ts";
import type { Log } from "../../lib/log.ts";
import { type MirrorHealth, Mirrors } from "../../lib/source/icfs/mirrors.ts";
import { openSource } from "../../lib/source/open-source.ts";
import type { Chunk } from "../../lib/tree/tree.ts";

export interface Host {
  /** For the host's cache. */
  readonly directory: string;
  readonly mirrors: readonly string[];
}

/** A task for the hosts. */
export interface Storm {
  readonly hosts: readonly Host[];
  readonly network: string;
  /** In hexadecimal. */
  readonly rootKey: string;
  readonly canister: string;
  /** Milliseconds. */
  readonly readTimeout: number;
  /** Milliseconds by which the hosts' clocks are ahead of this machine's. */
  readonly ahead: number;
  /** In bytes, for each host. */
  readonly memory: number;
}

/** The result of one host. */
export interface HostResult {
  /** Why it does not have the release. */
  readonly error?: string;
  /** The number of the release that it has. */
  readonly release?: number;
  /** Milliseconds from the start of the storm until all of the release was on its disk. */
  readonly took: number;
  /** Chunks that did not come within a reader's limit. */
  readonly missed: number;
  /** Failed attempts to fetch a chunk. */
  readonly failures: number;
  /** Milliseconds that the slowest chunk took. */
  readonly slowest: number;
  /** Bytes of all chunk files on its disk. */
  readonly bytes: number;
  /** Files on its disk whose contents do not match their names. */
  readonly wrong: number;
  readonly mirrors: readonly MirrorHealth[];
  readonly said: readonly string[];
}

const DISK_BYTES = 1024 * 1024 * 1024;

async function become(storm: Storm, host: Host, started: number): Promise<HostResult> {
  const said: string[] = [];
  const log = logTo(said);
  // Each host needs an object of its own: the state of the gateways belongs to the network object.
  const network = resolveNetwork(storm.network);
  const address = {
    network,
    rootKey: Buffer.from(storm.rootKey, "hex"),
    canister: parseCanisterId(storm.canister),
  };
  const store = openDiskStore(host.directory, DISK_BYTES, log);
  const mirrors = new Mirrors(host.mirrors, { only: false, maxStale: 0 });
  mirrors.tell = (event) => log.warn(event);
  const seen = { missed: 0, slowest: 0 };
  let cache: ChunkCache | undefined;
  let release: number | undefined;
  let error: string | undefined;
  try {
    const source = await openSource(address, {
      kind: undefined,
      trust: "query",
      requestTimeout: storm.readTimeout / 2,
      mirrors,
      remember: false,
      blsVerify: () => verifyOnce,
      log,
    });
    const newest = await source.newest();
    release = newest.number;
    const tree = await source.tree(newest, store);
    cache = new ChunkCache(source, {
      memory: storm.memory,
      readTimeout: storm.readTimeout,
      disk: store,
      log,
    });
    const chunks = counted(cache, seen);
    await new Hydrator(chunks, () => false, log).hydrate(tree, startOf(tree), new AbortController().signal);
  } catch (thrown) {
    error = messageOf(thrown);
  }
  const took = performance.now() - started;
  await store.close();
  return {
    ...(error !== undefined && { error }),
    ...(release !== undefined && { release }),
    took,
    ...seen,
    failures: cache?.statistics.failures ?? 0,
    ...(await onDisk(store)),
    mirrors: mirrors.health(),
    said,
  };
}

/** Real hosts each have a processor to check signatures; here forty would wait for one processor. */
const checked = new Map<string, boolean>();
const verifyOnce: BlsVerify = (...signed) => {
  const key = signed.map((part) => Buffer.from(part).toString("base64")).join(" ");
  let isRight = checked.get(key);
  if (isRight === undefined) {
    isRight = verifySignature(...signed);
    checked.set(key, isRight);
  }
  return isRight;
};

function counted(cache: ChunkCache, seen: { missed: number; slowest: number }) {
  return {
    load: async (chunk: Chunk, options: { keep: boolean }) => {
      const asked = performance.now();
      try {
        return await cache.load(chunk, options);
      } catch (error) {
        seen.missed += 1;
        throw error;
      } finally {
        seen.slowest = Math.max(seen.slowest, performance.now() - asked);
      }
    },
  };
}

/** Reads the files directly: the store would hash them, and remove wrong ones. */
async function onDisk({ directory }: DiskStore): Promise<Pick<HostResult, "bytes" | "wrong">> {
  const found = { bytes: 0, wrong: 0 };
  const chunks = join(directory, "chunks");
  // Where nothing has come, the directory does not exist.
  const entries = await readdir(chunks, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const bytes = await readFile(join(entry.parentPath, entry.name));
    if (createHash("sha256").update(bytes).digest("hex") !== entry.name) found.wrong += 1;
    found.bytes += bytes.length;
  }
  return found;
}

function logTo(said: string[]): Log {
  const say = (text: string) => void said.push(text);
  return { error: say, warn: say, info: say, debug: say };
}

const { now: date } = Date;
process.on("message", async (storm: Storm) => {
  Date.now = () => date() + storm.ahead;
  const started = performance.now();
  const results = await Promise.all(storm.hosts.map((host) => become(storm, host, started)));
  process.send!(results);
});
