/** `listing` on the icfs canister (canister/files.mo), for trees with many paths, and for trees whose symlinks make many paths of few. */
import { mkdir } from "node:fs/promises";
import { join, posix } from "node:path";
import fc from "fast-check";
import t from "tap";
import { fromAgent } from "../../lib/ic/agent-error.ts";
import type { Entry } from "../../lib/tree/manifest.ts";
import { filesFound, makeTree, type Tree } from "../support/directories.ts";
import { icbootActor } from "../support/icboot.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { startIcfsCanister } from "../support/icfs-canister.ts";
import { file, HASH } from "../support/manifests.ts";

const failure = (call: Promise<unknown>): Promise<string> =>
  call.then(
    (value) => `succeeded with ${value}`,
    (error) => fromAgent(error).message,
  );
const directory = (path: string): Entry => ({ kind: "directory", path, modified: 0n });
const link = (path: string, target: string): Entry => ({ kind: "symlink", path, modified: 0n, target });

t.test("a listing too large for a reply is refused with that reason", async (t) => {
  const { publish, network, id } = await startIcfsCanister(t);
  const ours = icbootActor(network.agent, id);
  const get = (filename: string) => ours.get({ filename, sector_no: 0n, count: 1n });
  const many = (length: number) =>
    Array.from({ length }, (_, i) => file(`${String(i).padStart(6, "0")}-${"x".repeat(92)}`, [], 0));
  t.match(await publish({ chunks: [], entries: many(30_000) }), { ok: 1n });
  t.equal((await ours.listing()).length, 30_000, "3,030,000 bytes of names fit in a reply");
  t.match(await publish({ chunks: [], entries: many(32_000) }), { ok: 2n });
  t.match(await failure(ours.listing()), /listing: the paths of all files do not fit a reply of 3 MiB/);
  t.equal((await get(`031999-${"x".repeat(92)}`)).length, 0, "get still answers");
});

t.test("a listing through links that multiply paths is refused", async (t) => {
  const { owner, publish, network, id } = await startIcfsCanister(t);
  const ours = icbootActor(network.agent, id);
  const get = (filename: string) => ours.get({ filename, sector_no: 0n, count: 1n });
  const doubling = (leaf: Entry[]) =>
    Array.from({ length: 30 }, (_, i) => {
      const [here, next] = [`d${String(i).padStart(2, "0")}`, `../d${String(i + 1).padStart(2, "0")}`];
      return [directory(here), link(`${here}/a`, next), link(`${here}/b`, next)];
    })
      .flat()
      .concat(directory("d30"), leaf);
  const content = Buffer.from("12345");
  const [sha256] = await owner.put([content]);
  const chunks = [{ sha256: sha256!, size: 5 }];
  const leaf = { ...file("d30/f", [{ chunk: 0, offset: 0, length: 5 }], 5), sha256: HASH };
  t.match(await publish({ chunks, entries: doubling([leaf]) }), { ok: 1n });
  t.match(await failure(ours.listing()), /listing: (the paths of all files|symlinks lead to too many)/);
  t.equal(Buffer.from(await get(`d00/${"a/b/".repeat(15)}f`)).toString(), "12345", "get goes on");
  t.match(await publish({ chunks: [], entries: doubling([]) }), { ok: 2n });
  t.match(
    await failure(ours.listing()),
    /listing: symlinks lead to too many paths/,
    "the listing is refused even without a single file",
  );
});

/** Some directories, files in them, and links from anywhere to anywhere. The names have characters that sort before and after the slash. */
const trees: fc.Arbitrary<Tree> = fc
  .record({
    directories: fc.array(fc.array(fc.constantFrom("a", "a-b", "a.d", "b"), { minLength: 1, maxLength: 3 }), {
      minLength: 3,
      maxLength: 8,
    }),
    files: fc.array(fc.nat(), { minLength: 2, maxLength: 6 }),
    links: fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 2, maxLength: 7 }),
  })
  .map(({ directories, files, links }) => {
    const all = new Set(["."]);
    for (const names of directories)
      for (let i = 1; i <= names.length; i++) all.add(names.slice(0, i).join("/"));
    const places = [...all];
    const tree: Record<string, Tree[string]> = {};
    for (const path of places.slice(1)) tree[path] = null;
    for (const [i, at] of files.entries())
      tree[posix.join(places[at % places.length]!, `a0${i}`)] = Buffer.alloc(0);
    const targets = [".", ...Object.keys(tree)];
    for (const [i, [at, to]] of links.entries()) {
      const from = places[at % places.length]!;
      const target = posix.relative(from, targets[to % targets.length]!) || ".";
      tree[posix.join(from, `l${i}`)] = `->${target}`;
      targets.push(posix.join(from, `l${i}`));
    }
    return tree;
  });

t.test("the listing has the files that find -L finds, whatever links there are", async (t) => {
  const { publish, network, id } = await startIcfsCanister(t);
  const ours = icbootActor(network.agent, id);
  const root = await temporaryDirectory(t);
  let made = 0;
  let paths = 0;
  await fc.assert(
    fc.asyncProperty(trees, async (tree) => {
      made += 1;
      const here = join(root, `${made}`);
      await mkdir(here);
      await makeTree(here, tree);
      const entries = Object.entries(tree)
        .map(([path, what]) => {
          if (what === null) return directory(path);
          return typeof what === "string" ? link(path, what.slice(2)) : file(path, [], 0);
        })
        .sort((a, b) => (a.path < b.path ? -1 : 1));
      t.match(await publish({ chunks: [], entries }), { ok: BigInt });
      const listed = (await ours.listing()).map(([path]) => path);
      const found = (await filesFound(here)).map(([path]) => path);
      paths += listed.length;
      t.strictSame([...listed].sort(), [...found].sort(), JSON.stringify(tree));
    }),
    { numRuns: 25 },
  );
  t.ok(paths > 100, `${paths} paths in ${made} trees`);
});
