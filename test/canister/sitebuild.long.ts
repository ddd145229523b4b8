/**
 * The pages of a tree do not depend on the tree before (canister/sitebuild.mo, canister/difference.mo). They can be made from nothing, by
 * comparison with the pages before, or only where the index shows a difference. Each way gives the same hashes, and the same places of the
 * files' bytes.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { Actor } from "@icp-sdk/core/agent";
import t, { type Test } from "tap";
import type { Entry } from "../../lib/tree/manifest.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { compiled } from "../support/compiled.ts";
import { startEmptyNetwork } from "../support/networks.ts";
import { newSeed, type Random, random } from "../support/random.ts";

const MIB = 1024 * 1024;

/** A directory; a symlink's target, from the root; or a file, with a number that stands for its bytes, and one for their place. */
type Content = "directory" | { readonly to: string } | { readonly bytes: number; readonly pack: number };
type Tree = Map<string, Content>;

const pick = <T>(next: Random, items: readonly T[]): T => items[next(items.length)]!;
const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest();

/** Names that are hard to keep apart: they sort around the slash, or are those of pages, of response verification, or index.html. */
const NAMES = ["a", "a-b", "a.c", "b", "c", "2", "-2", "index.html", "<$>", "<*>"];
/** Enough files for a directory of several pages. */
const nameIn = (directory: string, next: Random) => (directory === "c" ? `f${next(500)}` : pick(next, NAMES));

const directoriesOf = (tree: Tree) =>
  [...tree].filter(([, what]) => what === "directory").map(([path]) => path);

function remove(tree: Tree, path: string): void {
  for (const other of [...tree.keys()])
    if (other === path || other.startsWith(`${path}/`)) tree.delete(other);
}

/** Adds, changes or removes something. It rarely removes a directory with its content. */
function change(tree: Tree, next: Random): void {
  const directory = pick(next, ["", "", "c", ...directoriesOf(tree)]);
  if (directory !== "" && tree.get(directory) !== "directory") return;
  const path =
    next(8) === 0
      ? pick(next, ["a", ...tree.keys()])
      : `${directory && `${directory}/`}${nameIn(directory, next)}`;
  if (path.split("/").length > 4 || (tree.get(path) === "directory" && next(12) > 0)) return;
  const what = next(8);
  const targets = [...tree].filter(([, content]) => !isLink(content)).map(([to]) => to);
  remove(tree, path);
  if (what < 2) tree.set(path, "directory");
  else if (what < 4) tree.set(path, { to: pick(next, ["", ...targets.filter((to) => tree.has(to))]) });
  // Number 0 is a file of more than 1 MiB.
  else if (what < 7) tree.set(path, { bytes: next(30), pack: next(3) });
}

const isLink = (content: Content): content is { readonly to: string } =>
  typeof content !== "string" && "to" in content;

const LONG = Buffer.alloc(MIB, 1);

/** Removes links whose target is gone, or is itself a link. */
function removeDangling(tree: Tree): void {
  for (const [path, what] of [...tree]) {
    if (!isLink(what)) continue;
    const target = what.to === "" ? "directory" : tree.get(what.to);
    if (target === undefined || isLink(target)) tree.delete(path);
  }
}

/** @param modified when the directories were changed, which must not change their pages */
function manifestOf(tree: Tree, modified: bigint): Buffer {
  const chunks: { sha256: Buffer; size: number }[] = [];
  const chunkOf = (hash: Buffer, size: number) => {
    const at = chunks.findIndex((chunk) => chunk.sha256.equals(hash));
    return at === -1 ? chunks.push({ sha256: hash, size }) - 1 : at;
  };
  const paths = [...tree.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const entries = paths.map((path): Entry => {
    const what = tree.get(path)!;
    if (what === "directory") return { kind: "directory", path, modified };
    if ("to" in what) {
      const up = "../".repeat(path.split("/").length - 1);
      return { kind: "symlink", path, modified: 0n, target: `${up}${what.to}` || "." };
    }
    const { bytes, pack } = what;
    const isLong = bytes === 0;
    const extents = isLong
      ? [0, 1].map((part) => ({
          chunk: chunkOf(sha256(LONG), MIB),
          offset: 0,
          length: part === 0 ? MIB : 5 + pack,
        }))
      : [{ chunk: chunkOf(sha256(`pack ${pack}`), 100), offset: bytes, length: 10 }];
    const size = extents.reduce((sum, { length }) => sum + length, 0);
    return {
      kind: "file",
      path,
      modified: 0n,
      size,
      sha256: sha256(`${bytes} ${size}`),
      executable: false,
      extents,
    };
  });
  return Buffer.concat(encodeManifest({ chunks, entries }));
}

interface Pages {
  put(chunk: Uint8Array): Promise<void>;
  next(manifest: Uint8Array, budget: bigint): Promise<readonly string[]>;
  clear(): Promise<bigint>;
}

const network = await startEmptyNetwork(t);
const main = fileURLToPath(new URL("./sitebuild/main.mo", import.meta.url));
const canisterId = await network.install(
  compiled(main, [fileURLToPath(new URL("../../canister", import.meta.url))]),
);
const pages = Actor.createActor<Pages>(
  ({ IDL }) => {
    const bytes = IDL.Vec(IDL.Nat8);
    return IDL.Service({
      put: IDL.Func([bytes], [], []),
      next: IDL.Func([bytes, IDL.Nat], [IDL.Vec(IDL.Text)], []),
      clear: IDL.Func([], [IDL.Nat], []),
    });
  },
  { agent: network.agent, canisterId },
);
await pages.put(LONG);

/** Instructions for a slice: so few that each slice is one step, or enough for all steps in one. */
const BUDGETS = [1n, 1_000_000_000_000n];

/** Trees whose pages once differed from those made from nothing. */
const PAIRS: Record<string, [before: Record<string, Content>, after: Record<string, Content>]> = {
  "a link is left out because its target is just being walked": [
    {
      a: "directory",
      "a/in": { to: "b/c" },
      b: "directory",
      "b/back": { to: "a" },
      "b/c": "directory",
      "b/c/f": { bytes: 1, pack: 0 },
    },
    { d: { bytes: 1, pack: 0 } },
  ],
  "an empty directory where a link was": [
    { a: { to: "b" }, b: "directory", "b/f": { bytes: 1, pack: 0 } },
    { a: "directory" },
  ],
};

for (const [what, [before, more]] of Object.entries(PAIRS)) {
  t.test(what, async (t) => {
    for (const tree of [before, { ...before, ...more }])
      t.strictSame(await pages.next(manifestOf(new Map(Object.entries(tree)), 0n), BUDGETS[0]!), []);
    t.equal(await pages.clear(), 0n);
  });
}

/** Checks random trees, each made by changing the one before. @param some numbers of changes, of which one is picked each time */
async function follow(t: Test, tree: Tree, next: Random, trees: number, some: readonly number[]) {
  for (let i = 0; i < trees; i++) {
    for (let changes = pick(next, some); changes > 0; changes--) change(tree, next);
    removeDangling(tree);
    const wrong = await pages.next(manifestOf(tree, BigInt(next(100))), pick(next, BUDGETS));
    t.strictSame(wrong, [], `tree ${i}, of ${tree.size} entries`);
    if (wrong.length > 0) break;
  }
  t.equal(await pages.clear(), 0n, "no bytes are left once the pages are cleared");
}

const seed = newSeed();

t.test(`random trees, one after the other; SEED=${seed}`, async (t) => {
  const next = random(seed);
  for (let start = 0; start < 8; start++) {
    const tree: Tree = new Map([["c", "directory"]]);
    for (let i = 0; i < 40; i++) change(tree, next);
    await follow(t, tree, next, 12, [0, 1, 2, 3, 3, 10, 30]);
  }
});

t.test(`a directory of several pages, changed at random; SEED=${seed}`, async (t) => {
  const next = random(seed);
  const tree: Tree = new Map([["c", "directory"]]);
  for (let i = 0; i < 450; i++) tree.set(`c/f${i}`, { bytes: 1 + (i % 29), pack: 0 });
  await follow(t, tree, next, 12, [1, 3, 10, 100]);
});
