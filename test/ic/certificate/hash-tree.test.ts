import { type HashTree as AgentTree, Cbor, reconstruct } from "@icp-sdk/core/agent";
import fc from "fast-check";
import t from "tap";
import { decodeHashTree, lookupLeaf, rootHash } from "../../../lib/ic/certificate/hash-tree.ts";

/** A hash tree as the IC encodes it: arrays that begin with their kind. */
type Node =
  | readonly [0]
  | readonly [1, Node, Node]
  | readonly [2, Uint8Array, Node]
  | readonly [3 | 4, Uint8Array];

/** Without the agent's self-describing tag, as canisters write their witnesses. */
function encode(tree: unknown): Uint8Array {
  return Cbor.encode(tree as never).slice(3);
}

const utf8 = (text: string) => new Uint8Array(Buffer.from(text));
const labelled = (label: string, subtree: Node): Node => [2, utf8(label), subtree];
const leaf = (text: string): Node => [3, utf8(text)];
const pruned: Node = [4, new Uint8Array(32).fill(9)];

t.test("the root hash of any tree equals the agent's", async (t) => {
  const { tree } = fc.letrec<{ tree: Node }>((tie) => ({
    tree: fc.oneof(
      { depthSize: "medium" },
      fc.constant<Node>([0]),
      fc.uint8Array({ maxLength: 40 }).map((bytes): Node => [3, bytes]),
      fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes): Node => [4, bytes]),
      fc.tuple(tie("tree"), tie("tree")).map(([left, right]): Node => [1, left, right]),
      fc
        .tuple(fc.uint8Array({ maxLength: 10 }), tie("tree"))
        .map(([label, below]): Node => [2, label, below]),
    ),
  }));
  const sameRoot = fc.asyncProperty(tree, async (tree) => {
    const expected = await reconstruct(tree as unknown as AgentTree);
    return rootHash(decodeHashTree(encode(tree))).equals(expected);
  });
  await t.resolves(fc.assert(sameRoot, { numRuns: 300 }));
});

t.test("a leaf is found at its path and nowhere else", async (t) => {
  const tree = decodeHashTree(
    encode([
      1,
      labelled("icfs", [1, labelled("a", leaf("no")), [1, pruned, labelled("head", leaf("yes"))]]),
      [1, labelled("other", leaf("elsewhere")), [0]],
    ]),
  );
  t.equal(lookupLeaf(tree, ["icfs", "head"])?.toString(), "yes");
  t.equal(lookupLeaf(tree, ["icfs", "a"])?.toString(), "no");
  t.equal(lookupLeaf(tree, ["other"])?.toString(), "elsewhere");
  for (const path of [
    [],
    ["icfs"],
    ["head"],
    ["icfs", "head", "x"],
    ["icf"],
    ["icfs", "hea"],
    ["icfs", ""],
  ]) {
    t.equal(lookupLeaf(tree, path), undefined, path.join("/"));
  }
  t.equal(lookupLeaf(decodeHashTree(encode(leaf("bare"))), [])?.toString(), "bare");
});

t.test("data that is not a hash tree is refused", async (t) => {
  const nested = (depth: number): Node => {
    let tree: Node = [0];
    for (let i = 0; i < depth; i++) tree = labelled("", tree);
    return tree;
  };
  decodeHashTree(encode(nested(90)));
  const cases: Record<string, unknown> = {
    "an empty array": [],
    "an unknown kind": [5, utf8("")],
    "an empty node with more": [0, 0],
    "a fork of one": [1, [0]],
    "a fork of three": [1, [0], [0], [0]],
    "a label without a tree": [2, utf8("a")],
    "a label of text": [2, "a", [0]],
    "a leaf of text": [3, "a"],
    "a leaf of two": [3, utf8("a"), utf8("b")],
    "a pruned tree of 31 bytes": [4, new Uint8Array(31)],
    "no array": utf8("tree"),
    "a kind of text": ["0"],
    "too deep": nested(102),
  };
  for (const [name, tree] of Object.entries(cases)) {
    t.throws(() => decodeHashTree(encode(tree)), { name: "FormatError" }, name);
  }
  t.throws(() => decodeHashTree(Buffer.concat([encode([0]), Buffer.alloc(1)])), { name: "FormatError" });
  t.throws(() => decodeHashTree(Buffer.alloc(0)), { name: "FormatError" });
  t.throws(() => decodeHashTree(Buffer.alloc(1_000_000, 0x83)), { name: "FormatError" });
});

t.test("a tree too large for a witness is refused before it is hashed", async (t) => {
  const bushy = (leaves: number): Node =>
    leaves === 1 ? [3, new Uint8Array()] : [1, bushy(leaves >> 1), bushy(leaves - (leaves >> 1))];
  t.doesNotThrow(() => decodeHashTree(encode(bushy(500))));
  t.throws(() => decodeHashTree(encode(bushy(501))), {
    name: "FormatError",
    message: /more than 1000 nodes/,
  });
  t.throws(() => decodeHashTree(encode([3, new Uint8Array(65_536)])), {
    message: /a hash tree of 6554\d bytes/,
  });
});
