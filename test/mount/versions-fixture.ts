/**
 * Mounts a tree that flips between versions: `versions-fixture.ts MOUNTPOINT INTERVAL_MS`. With an interval of
 * 0 it flips each time it gets SIGUSR2. Each version has the same paths;
 * every byte of a file says its version, so that a reader notices a mix. Sizes and times differ between some
 * versions and not between others. Prints `{"version": N}` whenever one has become live.
 */
import { createHash } from "node:crypto";
import { on } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { chooseTransport } from "../../lib/fs/choose-transport.ts";
import { defaultMountOptions } from "../../lib/fs/mounting/fuse-options.ts";
import { prepareMountpoint } from "../../lib/fs/mounting/mountpoint.ts";
import type { MountedTransport } from "../../lib/fs/transport.ts";
import type { ServedRelease } from "../../lib/fs/view/inodes.ts";
import { TreeFileSystem } from "../../lib/fs/view/tree-filesystem.ts";
import { createLog } from "../../lib/log.ts";
import { exitProcess } from "../../lib/process/exit.ts";
import { serveUntilUnmounted } from "../../lib/process/lifetime.ts";
import { atOnce } from "../../lib/steps.ts";
import type { Entry, Manifest } from "../../lib/tree/manifest.ts";
import { type Chunk, keyOf, Tree } from "../../lib/tree/tree.ts";
import { served } from "../support/served.ts";
import { TRANSPORT } from "../support/transport.ts";

const CHUNK = 256 * 1024;
const SECOND = 1_000_000_000n;
/** How many names of a directory differ in each version: more than fit into one answer. */
const NAMES = 2000;
/** The digits of the greatest of them, so that their order as text is their order. */
const NAME_DIGITS = 4;
/** By keyOf(); the oldest first. */
const chunks = new Map<string, Buffer>();

function file(path: string, version: number, size: number): { entry: Entry; references: Chunk[] } {
  const references: Chunk[] = [];
  const extents = [];
  for (let at = 0; at < size; at += CHUNK) {
    const length = Math.min(CHUNK, size - at);
    const bytes = Buffer.alloc(length, version % 256);
    const reference = {
      sha256: createHash("sha256").update(`${path} ${version} ${at}`).digest(),
      size: length,
    };
    const key = keyOf(reference);
    // To the end, as another version has it too.
    chunks.delete(key);
    chunks.set(key, bytes);
    references.push(reference);
    extents.push({ chunk: at / CHUNK, offset: 0, length });
  }
  const entry: Entry = {
    kind: "file",
    path,
    // Two versions in a row have the same time.
    modified: BigInt(Math.floor(version / 2)) * SECOND,
    size,
    sha256: Buffer.alloc(32, version),
    executable: false,
    extents,
  };
  return { entry, references };
}

/** Version 0 also has a file that never changes. */
function release(version: number): ServedRelease {
  const manifest: { chunks: Chunk[]; entries: Entry[] } = { chunks: [], entries: [] };
  const add = ({ entry, references }: ReturnType<typeof file>) => {
    if (entry.kind !== "file") return;
    const extents = entry.extents.map((extent) => ({
      ...extent,
      chunk: extent.chunk + manifest.chunks.length,
    }));
    manifest.chunks.push(...references);
    manifest.entries.push({ ...entry, extents });
  };
  // In three of four versions the size is the same as in the version before.
  const size = 1_500_000 + (Math.floor(version / 4) % 3) * 100_000;
  add(file("changing", version, size));
  add(file("constant", 0, 700_000));
  // The directory keeps its inode, but its time changes.
  manifest.entries.push({ kind: "directory", path: "dir", modified: BigInt(version) * SECOND });
  add(file("dir/changing", version, size));
  manifest.entries.push({ kind: "directory", path: "names", modified: 0n });
  for (let i = 0; i < NAMES; i++) {
    add(file(`names/${version}-${String(i).padStart(NAME_DIGITS, "0")}`, version, 0));
  }
  return served(Tree.of(manifest as Manifest, BigInt(version) * SECOND), version);
}

const [mountpoint, interval] = process.argv.slice(2);
const log = createLog("info");
const fileSystem = new TreeFileSystem(
  release(0),
  { get: async (reference) => chunks.get(keyOf(reference))!, prefetch: () => {} },
  { canister: "aaaaa-aa", listXattrs: false },
);

// Listens from the start: without a listener the signal would end the process.
const asked = on(process, "SIGUSR2");

async function flip(mounted: MountedTransport): Promise<void> {
  for (let version = 1; ; version++) {
    await (Number(interval) > 0 ? sleep(Number(interval)) : asked.next());
    const swap = atOnce(fileSystem.prepare(release(version)));
    await mounted.switchTo(() => void swap([]));
    console.log(JSON.stringify({ version }));
    // Frees chunks of versions that no reader can have open any more: readers close their files within seconds.
    if (chunks.size > 1600) for (const old of [...chunks.keys()].slice(0, 600)) chunks.delete(old);
  }
}

await serveUntilUnmounted({
  mount: async () =>
    (await chooseTransport(TRANSPORT))({
      fileSystem,
      mountpoint: await prepareMountpoint(mountpoint!, log),
      options: defaultMountOptions("versions"),
      log,
    }),
  ready: async (mounted) => {
    console.log(JSON.stringify({ version: 0 }));
    void flip(mounted);
  },
  log,
});
exitProcess(0);
