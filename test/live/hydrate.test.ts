/** In which order a whole release is fetched, and that a failure only interrupts the work. */
import t from "tap";
import { Hydrator, startOf } from "../../lib/live/hydrate.ts";
import { createLog } from "../../lib/log.ts";

import { Tree, type TreeEntry } from "../../lib/tree/tree.ts";
import { chunk } from "../cache/caches.ts";

const CONFIGURATION = "kernel deb/linux\nappend initrd=deb/initrd.gz\n";
const FILES: Record<string, string> = {
  a: "1",
  b: "2",
  c: "3",
  d: "4",
  "deb/initrd.gz": "5",
  "deb/linux": "6",
  e: "7",
  "pxelinux.0": "8",
  "pxelinux.cfg/default": CONFIGURATION,
};
const chunks = Object.values(FILES).map(chunk);
const entries: TreeEntry[] = [
  { kind: "directory", path: "deb", modified: 0n },
  { kind: "directory", path: "pxelinux.cfg", modified: 0n },
  ...Object.keys(FILES).map((path, i) => ({
    kind: "file" as const,
    path,
    modified: 0n,
    size: chunks[i]!.bytes.length,
    sha256: undefined,
    executable: false,
    extents: [{ chunk: i, offset: 0, length: chunks[i]!.bytes.length }],
  })),
];
const tree = Tree.of(
  {
    chunks: chunks.map(({ reference }) => reference),
    entries: entries.sort((one, other) => (one.path < other.path ? -1 : 1)),
  },
  0n,
);

/** The files in the order in which they were first asked for. @param fails whether the attempt at a file fails */
async function order(turn: number, fails: (path: string) => boolean = () => false): Promise<string[]> {
  const asked = new Set<string>();
  const hydrator = new Hydrator(
    {
      async load(reference) {
        const index = chunks.findIndex((one) => one.reference === reference);
        const path = Object.keys(FILES)[index]!;
        if (fails(path)) throw new Error("not now");
        asked.add(path);
        return chunks[index]!.bytes;
      },
    },
    () => true,
    createLog("error"),
    turn,
  );
  const progress = startOf(tree);
  await hydrator.hydrate(tree, progress, new AbortController().signal);
  const { files, filesDone, bytes, bytesDone } = progress;
  if (filesDone !== files || bytesDone !== bytes) throw new Error(JSON.stringify(progress));
  return [...asked];
}

const LOADERS = ["pxelinux.0", "pxelinux.cfg/default"];
const NAMED = ["deb/linux", "deb/initrd.gz"];

t.test("files that machines boot from are fetched first, in the order of their configuration", async (t) => {
  t.same(await order(0), [...LOADERS, ...NAMED, "a", "b", "c", "d", "e"]);
});

t.test("each group of files is fetched from this host's turn onwards", async (t) => {
  t.same(await order(0.5), [...LOADERS.toReversed(), ...NAMED.toReversed(), "c", "d", "e", "a", "b"]);
  t.same(await order(0.99), [...LOADERS.toReversed(), ...NAMED.toReversed(), "e", "a", "b", "c", "d"]);
});

t.test("files that could not be fetched are tried again", async (t) => {
  const failed = new Set<string>();
  const once = (path: string) =>
    ["pxelinux.cfg/default", "deb/linux", "c"].includes(path) && !failed.has(path);
  const all = await order(0, (path) => {
    if (!once(path)) return false;
    failed.add(path);
    return true;
  });
  t.same(all.toSorted(), Object.keys(FILES).toSorted());
});

t.test("an abort ends hydration at once, even while a chunk is being fetched", async (t) => {
  const abort = new AbortController();
  const load = () => {
    setImmediate(() => abort.abort());
    return new Promise<Buffer>(() => {});
  };
  const hydrator = new Hydrator({ load }, () => true, createLog("error"));
  await t.rejects(hydrator.hydrate(tree, startOf(tree), abort.signal), { name: "AbortError" });
});
