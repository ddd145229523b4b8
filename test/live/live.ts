/** Live releases for tests, over sources, disks and transports that a test controls. */
import { createHash } from "node:crypto";
import { TreeFileSystem } from "../../lib/fs/view/tree-filesystem.ts";
import { LiveRelease, type MountedRelease } from "../../lib/live/live-release.ts";
import { createLog } from "../../lib/log.ts";
import type { KeptBy } from "../../lib/source/kept.ts";
import type { Release, Source } from "../../lib/source/source.ts";
import { type Chunk, keyOf, Tree } from "../../lib/tree/tree.ts";

/** A release that was certified just now. */
export function releaseOf(name: string, fields: Partial<Release> = {}): Release {
  const hash = createHash("sha256").update(name).digest();
  return { number: undefined, hash, certifiedAt: new Date(), verified: "certified", ...fields };
}

/** A chunk of 100 bytes. */
export const chunkOf = (content: string): Chunk => ({
  sha256: createHash("sha256").update(content).digest(),
  size: 100,
});

/** A tree with a file for each chunk, called 0, 1, ... */
export function treeOf(...chunks: Chunk[]): Tree {
  return knowingTree(chunks, (chunk) => chunk);
}

/** treeOf(), with what is known of its chunks. */
export function knowingTree(chunks: readonly Chunk[], known: (chunk: Chunk) => Chunk): Tree {
  const entries = chunks.map(({ size }, chunk) => ({
    kind: "file" as const,
    path: String(chunk),
    modified: 0n,
    size,
    sha256: undefined,
    executable: false,
    extents: [{ chunk, offset: 0, length: size }],
  }));
  return Tree.of({ chunks, entries, known }, 0n);
}

export const mountedOf = (release: Release, tree: Tree): MountedRelease => ({
  release,
  tree,
  hydration: undefined,
});

/** A live release of its own, which readers see through `fileSystem`. */
export function liveOf(
  first: MountedRelease,
  {
    disk = true,
    capacity = 1000,
    memory = 1000,
    maxStale = Number.POSITIVE_INFINITY,
    /** Takes the old release's names away from readers, and gives them the new ones. */
    transport = async (swap: () => void) => swap(),
    /** Says on which paths something is mounted, just before a switch. */
    paths = async (): Promise<string[]> => [],
  } = {},
) {
  const logged: string[] = [];
  const log = createLog("debug", (line) => logged.push(line.replace(/^\S+ \S+ /, "")));
  /** The releases that were kept, in order. */
  const kept: Release[] = [];
  /** Keys of chunks on disk, and of those in memory. */
  const onDisk = new Set<string>();
  const inMemory = new Set<string>();
  /** What the disk no longer accepts. */
  const broken = new Set<"proof" | "manifest" | "pins">();
  const pinned = { keys: new Set<string>() as ReadonlySet<string> };
  const source = {
    kind: "icfs",
    learned: 0,
    async evidence(release: Release) {
      kept.push(release);
      return Buffer.alloc(0);
    },
    piecesOf: ({ hash }: Release) => [`manifest of ${hash.toString("hex")}`],
  };
  const store = {
    fits: (sizes: readonly number[]) => sizes.reduce((sum, size) => sum + size, 0) <= capacity,
    readBlob: async () => undefined,
    writeBlob: async () => !broken.has("proof"),
    has: async (key: string) => onDisk.has(key) || (key.startsWith("manifest") && !broken.has("manifest")),
    async pin(_name: string, keys: ReadonlySet<string>) {
      pinned.keys = keys;
      return !broken.has("pins");
    },
    async unpin() {
      pinned.keys = new Set();
    },
  };
  const from = {
    address: { canister: { toText: () => "canister" }, rootKey: Buffer.alloc(0) },
    source: source as Partial<Source>,
  } as unknown as KeptBy;
  const live = new LiveRelease(
    from,
    first,
    { holds: async (chunk) => inMemory.has(keyOf(chunk)) },
    { store: disk ? store : undefined, memory, maxStale, log },
  );
  const fileSystem = new TreeFileSystem(
    live.now,
    { get: async () => Buffer.alloc(100), prefetch: () => {} },
    { canister: "canister", listXattrs: false },
  );
  live.mounted(fileSystem, { switchTo: transport }, { paths, switched: () => {} });
  const pieces = (...releases: Release[]) => releases.flatMap((release) => source.piecesOf(release));
  return { live, fileSystem, source, log, logged, kept, onDisk, inMemory, broken, pinned, pieces };
}
