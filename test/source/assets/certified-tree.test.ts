/** The walk over an asset canister's hash tree finds the same root and the same assets as a decoder of whole trees. */
import { createHash } from "node:crypto";
import { Cbor } from "@icp-sdk/core/agent";
import fc from "fast-check";
import t from "tap";
import { decodeHashTree, rootHash } from "../../../lib/ic/certificate/hash-tree.ts";
import { walkingTree } from "../../../lib/source/assets/certified-tree.ts";
import { atOnce } from "../../../lib/steps.ts";

type Node =
  | readonly [0]
  | readonly [1, Node, Node]
  | readonly [2, Uint8Array, Node]
  | readonly [3 | 4, Uint8Array];

const utf8 = (text: string) => new Uint8Array(Buffer.from(text));
const hash = (text: string) => new Uint8Array(createHash("sha256").update(text).digest());
/** With the self-describing tag of CBOR, as asset canisters write it. */
const encode = (tree: Node) => new Uint8Array(Cbor.encode(tree as never));

/** Labels side by side, as a balanced tree. */
function forked(nodes: readonly Node[]): Node {
  if (nodes.length === 0) return [0];
  if (nodes.length === 1) return nodes[0]!;
  const middle = nodes.length >> 1;
  return [1, forked(nodes.slice(0, middle)), forked(nodes.slice(middle))];
}

t.test("the walk finds the root hash and the assets of any tree", async (t) => {
  const keys = fc.uniqueArray(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), {
    maxLength: 50,
  });
  fc.assert(
    fc.property(keys, fc.boolean(), (keys, tombstones) => {
      const assets = keys.map((key): Node => [2, utf8(key), [3, hash(key)]]);
      if (tombstones) assets.push([2, utf8("/gone"), [0]], [2, utf8("/short"), [3, utf8("short")]]);
      const tree: Node = [
        1,
        [2, utf8("http_assets"), forked(assets)],
        // The same labels mean something else in other places.
        [2, utf8("http_expr"), [2, utf8("http_assets"), [2, utf8("/other"), [3, hash("other")]]]],
      ];
      const walked = atOnce(walkingTree(encode(tree)));
      t.ok(walked.root.equals(rootHash(decodeHashTree(encode(tree).slice(3)))));
      t.same(
        new Map([...walked.hashes!].map(([key, value]) => [key, value.toString("hex")])),
        new Map(keys.map((key) => [key, Buffer.from(hash(key)).toString("hex")])),
      );
    }),
  );
});

t.test("trees without assets have no hashes, and bytes that are not a tree are refused", async (t) => {
  t.match(atOnce(walkingTree(encode([0]))), { isEmpty: true, hashes: undefined });
  const other = atOnce(walkingTree(encode([2, utf8("http_expr"), [0]])));
  t.match(other, { isEmpty: false, hashes: undefined });
  const hidden = atOnce(walkingTree(encode([4, other.root])));
  t.match(
    hidden,
    { root: other.root, isEmpty: false, hashes: undefined },
    "a pruned tree does not count as empty",
  );
  // A label within a label within a label, and so on.
  const deep = Buffer.from(`${"83024161".repeat(100_000)}8100`, "hex");
  t.throws(() => atOnce(walkingTree(deep)), { name: "FormatError" });
  for (const bytes of ["", "80", "8105", "83010203", "820400"]) {
    t.throws(() => atOnce(walkingTree(Buffer.from(bytes, "hex"))), { name: "FormatError" }, bytes);
  }
});
