/**
 * The pages of a tree do not depend on the tree before (canister/sitebuild.mo, canister/difference.mo): whether they are made from nothing,
 * compared with those before, or made where the index says that something differs, they have the same hash.
 */
import { createHash, randomBytes, randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { Actor } from "@icp-sdk/core/agent";
import t from "tap";
import type { Entry } from "../../lib/tree/manifest.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { compiled } from "../support/compiled.ts";
import { startEmptyNetwork } from "../support/networks.ts";

const MIB = 1024 * 1024;
const TREES = 60;

/** A directory; a symlink's target, from the root; or a file, by a number that stands for its bytes and one for where they are. */
type Content = "directory" | { readonly to: string } | { readonly bytes: number; readonly pack: number };
type Tree = Map<string, Content>;

const pick = <T>(items: readonly T[]): T => items[randomInt(items.length)]!;
const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest();

/** Names that stand in one another's way: before and behind a slash, those of pages and of response verification, and index.html. */
const NAMES = ["a", "a-b", "a.c", "b", "c", "2", "-2", "index.html", "<$>", "<*>"];
/** Enough files for a directory of several pages. */
const nameIn = (directory: string) => (directory === "c" ? `f${randomInt(500)}` : pick(NAMES));

const directoriesOf = (tree: Tree) =>
  [...tree].filter(([, what]) => what === "directory").map(([path]) => path);

function remove(tree: Tree, path: string): void {
  for (const other of [...tree.keys()])
    if (other === path || other.startsWith(`${path}/`)) tree.delete(other);
}

/** Adds, changes or removes something; of directories with what is in them few. */
function change(tree: Tree): void {
  const directory = pick(["", "", "c", ...directoriesOf(tree)]);
  if (directory !== "" && tree.get(directory) !== "directory") return;
  const path =
    randomInt(8) === 0 ? pick(["a", ...tree.keys()]) : `${directory && `${directory}/`}${nameIn(directory)}`;
  if (path.split("/").length > 4 || (tree.get(path) === "directory" && randomInt(12) > 0)) return;
  const what = randomInt(8);
  const targets = [...tree].filter(([, content]) => !isLink(content)).map(([to]) => to);
  remove(tree, path);
  if (what < 2) tree.set(path, "directory");
  else if (what === 2) tree.set(path, { to: pick(["", ...targets.filter((to) => tree.has(to))]) });
  // Number 0 is a file of more than 1 MiB.
  else if (what < 7) tree.set(path, { bytes: randomInt(30), pack: randomInt(3) });
}

const isLink = (content: Content): content is { readonly to: string } =>
  typeof content !== "string" && "to" in content;

const LONG = randomBytes(MIB);

function manifestOf(tree: Tree): Buffer {
  // What a link led to may be gone, or a link itself.
  for (const [path, what] of [...tree]) {
    if (!isLink(what)) continue;
    const target = what.to === "" ? "directory" : tree.get(what.to);
    if (target === undefined || isLink(target)) tree.delete(path);
  }
  const chunks: { sha256: Buffer; size: number }[] = [];
  const chunkOf = (hash: Buffer, size: number) => {
    const at = chunks.findIndex((chunk) => chunk.sha256.equals(hash));
    return at === -1 ? chunks.push({ sha256: hash, size }) - 1 : at;
  };
  const paths = [...tree.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const entries = paths.map((path): Entry => {
    const what = tree.get(path)!;
    if (what === "directory") return { kind: "directory", path, modified: BigInt(randomInt(100)) };
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

t.test("random trees, one after the other", { timeout: 600_000 }, async (t) => {
  const network = await startEmptyNetwork(t);
  const main = fileURLToPath(new URL("./sitebuild/main.mo", import.meta.url));
  const canisterId = await network.install(
    compiled(main, [fileURLToPath(new URL("../../canister", import.meta.url))]),
  );
  const pages = Actor.createActor<{
    put(chunk: Uint8Array): Promise<void>;
    next(manifest: Uint8Array, budget: bigint): Promise<readonly string[]>;
    clear(): Promise<bigint>;
  }>(
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
  const tree: Tree = new Map([["c", "directory"]]);
  for (let i = 0; i < 450; i++) tree.set(`c/f${i}`, { bytes: 1 + (i % 29), pack: 0 });
  for (let i = 0; i < 200; i++) change(tree);
  for (let i = 0; i < TREES; i++) {
    // Mostly a few changes, now and then many, and once in a while none.
    const changes = pick([0, 1, 2, 3, 3, 10, 100]);
    for (let change_ = 0; change_ < changes; change_++) change(tree);
    const manifest = manifestOf(tree);
    // A slice of one step each, and all in one.
    const wrong = await pages.next(manifest, pick([1n, 1_000_000_000_000n]));
    t.strictSame(wrong, [], `tree ${i}, of ${tree.size} entries`);
    if (wrong.length > 0) break;
  }
  t.equal(await pages.clear(), 0n, "nothing is left of pages that are gone");
});
