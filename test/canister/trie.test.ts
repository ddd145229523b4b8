/** The tree of a directory's names (canister/trie.mo, canister/nodes.mo, canister/hashtree.mo). */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import * as cbor from "@dfinity/cbor";
import { Actor, type ActorSubclass } from "@icp-sdk/core/agent";
import t from "tap";
import { compiled } from "../support/compiled.ts";
import { startEmptyNetwork } from "../support/networks.ts";
import { newSeed, random } from "../support/random.ts";

interface Names {
  change(inserted: readonly Uint8Array[], removed: readonly Uint8Array[]): Promise<void>;
  hash(): Promise<Uint8Array>;
  grown(names: readonly Uint8Array[]): Promise<Uint8Array>;
  found(names: readonly Uint8Array[]): Promise<readonly boolean[]>;
  witness(shown: readonly Uint8Array[], absent: readonly Uint8Array[]): Promise<Uint8Array>;
  bytes(): Promise<bigint>;
  nameless(count: bigint): Promise<boolean>;
}

let names: ActorSubclass<Names>;
t.before(async () => {
  const network = await startEmptyNetwork(t);
  const main = fileURLToPath(new URL("./trie/main.mo", import.meta.url));
  const wasm = compiled(main, [fileURLToPath(new URL("../../canister", import.meta.url))]);
  const canisterId = await network.install(wasm);
  names = Actor.createActor<Names>(
    ({ IDL }) => {
      const name = IDL.Vec(IDL.Nat8);
      const some = IDL.Vec(name);
      return IDL.Service({
        change: IDL.Func([some, some], [], []),
        hash: IDL.Func([], [name], ["query"]),
        grown: IDL.Func([some], [name], ["query"]),
        found: IDL.Func([some], [IDL.Vec(IDL.Bool)], ["query"]),
        witness: IDL.Func([some, some], [name], ["query"]),
        bytes: IDL.Func([], [IDL.Nat], ["query"]),
        nameless: IDL.Func([IDL.Nat], [IDL.Bool], []),
      });
    },
    { agent: network.agent, canisterId },
  );
});

const inOrder = (hexes: Iterable<string>): Buffer[] =>
  [...hexes].map((hex) => Buffer.from(hex, "hex")).sort(Buffer.compare);

const seed = newSeed();
const randomInt = random(seed);

/** Names with common beginnings. Some are the beginning of others. */
const randomName = (): Buffer =>
  Buffer.from(
    randomInt(20) === 0
      ? Array.from({ length: randomInt(256) }, () => randomInt(256))
      : Array.from({ length: randomInt(6) }, () => [0, 97, 98, 255][randomInt(4)]!),
  );

type Tree = readonly [number, ...unknown[]];
const hashed = (...parts: (string | Uint8Array)[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

/** The root hash (IC interface specification, "Certificate"). */
function rootHash([kind, one, other]: Tree): Buffer {
  if (kind === 1) return hashed("\x10ic-hashtree-fork", rootHash(one as Tree), rootHash(other as Tree));
  if (kind === 2) return hashed("\x13ic-hashtree-labeled", one as Uint8Array, rootHash(other as Tree));
  if (kind === 3) return hashed("\x10ic-hashtree-leaf", one as Uint8Array);
  return Buffer.from(one as Uint8Array);
}

/** The labels of a witness in order, with undefined where something is pruned. */
function labels([kind, one, other]: Tree): (Buffer | undefined)[] {
  if (kind === 1) return [...labels(one as Tree), ...labels(other as Tree)];
  return kind === 2 ? [Buffer.from(one as Uint8Array)] : [undefined];
}

/** Whether a witness proves that a name is absent: it shows the name's neighbours, and nothing between them is pruned. */
function provesAbsence(witness: Tree, name: Buffer): boolean {
  const all = labels(witness);
  const behind = all.findIndex((label) => label !== undefined && Buffer.compare(label, name) > 0);
  const end = behind === -1 ? all.length : behind;
  const before = end === 0 ? undefined : all[end - 1];
  return end === 0 || (before !== undefined && Buffer.compare(before, name) < 0);
}

t.test(`the tree's shape depends only on the names, not on their history; SEED=${seed}`, async (t) => {
  const there = new Set<string>();
  for (let round = 0; round < 8; round++) {
    const inserted = Array.from({ length: 40 }, randomName);
    for (const name of inserted) there.add(name.toString("hex"));
    const removed = [...there].filter(() => randomInt(4) === 0);
    for (const hex of removed) there.delete(hex);
    await names.change(inserted, inOrder(removed));
    t.strictSame(await names.hash(), await names.grown(inOrder(there)), `${there.size} names`);
  }
  const all = inOrder(there);
  t.ok((await names.found(all)).every(Boolean), "every name is found");
  const absent = Array.from({ length: 100 }, randomName).filter((name) => !there.has(name.toString("hex")));
  t.notOk((await names.found(absent)).some(Boolean), "no absent name is found");
  const root = Buffer.from(await names.hash());
  for (let i = 0; i < 40; i++) {
    const shown = [all[randomInt(all.length)]!];
    const missing = absent.slice(i % absent.length).slice(0, randomInt(3));
    const witness = cbor.decode(Uint8Array.from(await names.witness(shown, missing))) as unknown as Tree;
    const wrong = [
      ...(rootHash(witness).equals(root) ? [] : ["another root"]),
      ...(labels(witness).some((label) => label?.equals(shown[0]!)) ? [] : ["not shown"]),
      ...missing.filter((name) => !provesAbsence(witness, name)).map((name) => name.toString("hex")),
    ];
    t.strictSame(wrong, [], "a witness");
  }
  await names.change([], all);
  t.equal(await names.bytes(), 0n, "removing every name leaves no bytes");
});

t.test("an empty name can be read anywhere in the region", async (t) => {
  // A node takes 5 units, and the region grows by pages of 4,096 units. With so many nodes, one ends exactly where the region ends.
  t.ok(await names.nameless(4_200n));
});
