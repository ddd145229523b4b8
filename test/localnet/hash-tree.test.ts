import * as cbor from "@dfinity/cbor";
import { type HashTree as AgentTree, LookupPathStatus, lookup_path, reconstruct } from "@icp-sdk/core/agent";
import fc from "fast-check";
import t from "tap";
import {
  EMPTY,
  encodeTree,
  type HashTree,
  labels,
  leaf,
  lookup,
  withoutPath,
  witness,
} from "../../localnet/hash-tree.ts";
import { LabeledMap } from "../../localnet/labeled-map.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

/** The tree as a client decodes it. */
function received(tree: HashTree): AgentTree {
  return cbor.decode(cbor.encode(encodeTree(tree))) as AgentTree;
}

/** The labels that a tree shows, in order, with `?` where something is pruned between them. */
function shown(tree: HashTree): string[] {
  if (tree.kind === "fork") return [...shown(tree.left), ...shown(tree.right)];
  if (tree.kind === "labeled") return [Buffer.from(tree.label).toString()];
  return tree.kind === "pruned" ? ["?"] : [];
}

const tree = labels([
  ["d", leaf(bytes("D"))],
  ["b", labels([["x", leaf(bytes("X"))]])],
  ["f", leaf(bytes("F"))],
  ["h", EMPTY],
  ["j", leaf(bytes("J"))],
]);

t.test("a client finds the paths of a witness, under the same root", async (t) => {
  const cut = witness(tree, [[bytes("b"), bytes("x")], [bytes("j")]]);
  t.same(cut.hash, tree.hash);
  t.same(Buffer.from(await reconstruct(received(cut))), tree.hash);
  const found = lookup_path([bytes("b"), bytes("x")], received(cut));
  t.equal(found.status, LookupPathStatus.Found);
  t.same(lookup(cut, [bytes("j")]), bytes("J"));
  t.equal(
    lookup_path([bytes("d")], received(cut)).status,
    LookupPathStatus.Unknown,
    "the other paths stay hidden",
  );
});

t.test("absence is proved by the neighbours", async (t) => {
  const cases: [string, string[]][] = [
    ["a", ["b"]],
    ["c", ["b", "d"]],
    ["e", ["d", "f"]],
    ["g", ["f", "h"]],
    ["z", ["j"]],
  ];
  for (const [label, neighbours] of cases) {
    const cut = witness(tree, [[bytes(label)]]);
    t.same(cut.hash, tree.hash);
    t.same(
      shown(cut).filter((name) => name !== "?"),
      neighbours,
      label,
    );
    t.equal(lookup_path([bytes(label)], received(cut)).status, LookupPathStatus.Absent, label);
  }
  const below = witness(tree, [[bytes("b"), bytes("y")]]);
  t.equal(lookup_path([bytes("b"), bytes("y")], received(below)).status, LookupPathStatus.Absent);
  const empty = witness(tree, [[bytes("h"), bytes("y")]]);
  t.equal(lookup_path([bytes("h"), bytes("y")], received(empty)).status, LookupPathStatus.Absent);
});

t.test("neighbours do not reveal their contents", async (t) => {
  const cut = witness(tree, [[bytes("c")]]);
  t.equal(lookup(cut, [bytes("b"), bytes("x")]), undefined);
  t.equal(lookup(cut, [bytes("d")]), undefined);
});

t.test("a path can be hidden, with its label, under the same root", (t) => {
  const hidden = withoutPath(tree, [bytes("b"), bytes("x")]);
  t.same(hidden.hash, tree.hash);
  t.equal(lookup(hidden, [bytes("b"), bytes("x")]), undefined);
  t.same(lookup(hidden, [bytes("j")]), bytes("J"));
  t.same(shown(withoutPath(tree, [bytes("d")])), ["b", "?", "f", "h", "j"]);
  t.same(
    withoutPath(tree, [bytes("b"), bytes("none")]),
    tree,
    "hiding a path that does not exist changes nothing",
  );
  t.end();
});

t.test("a witness has the root of its tree and proves every requested path", async () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(
      fc.uniqueArray(label, { selector: String }),
      fc.array(label, { minLength: 1 }),
      (present, wanted) => {
        const whole = labels(present.map((name) => [name, leaf(name)] as const));
        const cut = witness(
          whole,
          wanted.map((name) => [name]),
        );
        if (Buffer.compare(cut.hash, whole.hash) !== 0) return false;
        return wanted.every((name) => {
          const value = lookup(cut, [name]);
          const isPresent = present.some((other) => Buffer.compare(other, name) === 0);
          return isPresent
            ? value !== undefined && Buffer.compare(value, name) === 0
            : provesAbsence(cut, name);
        });
      },
    ),
  );
});

/** Whether nothing is pruned where the label would be. */
function provesAbsence(tree: HashTree, label: Uint8Array): boolean {
  const nodes: HashTree[] = [];
  const flatten = (node: HashTree): void => {
    if (node.kind === "fork") {
      flatten(node.left);
      flatten(node.right);
    } else nodes.push(node);
  };
  flatten(tree);
  const after = nodes.findIndex((node) => node.kind === "labeled" && Buffer.compare(node.label, label) > 0);
  const next = after === -1 ? nodes.length : after;
  return nodes[next - 1]?.kind !== "pruned" && (nodes[next]?.kind ?? "end") !== "pruned";
}

t.test("a map of many labels makes a tree like any other", async (t) => {
  const map = new LabeledMap();
  t.equal(map.tree().kind, "empty");
  const ids = Array.from({ length: 500 }, (_, index) => Buffer.of(index * 7, index >> 8, index));
  for (const id of ids) map.set(id, leaf(id));
  map.set(ids[0]!, leaf(bytes("new")));
  map.delete(ids[1]!);
  const all = map.tree();
  t.same(lookup(all, [ids[0]!]), bytes("new"));
  t.equal(lookup(all, [ids[1]!]), undefined);
  for (const id of ids.slice(2)) t.same(lookup(all, [id]), id);
  t.ok(provesAbsence(witness(all, [[ids[1]!]]), ids[1]!));
});
