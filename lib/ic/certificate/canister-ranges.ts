/**
 * Which canisters a subnet has, as the root key certifies it in a delegation (IC interface specification, "The system state
 * tree"). Deprecated endpoints have it in one leaf, `subnet / ID / canister_ranges`; newer ones in shards by the first
 * canister in each, `canister_ranges / ID / FIRST`, of which they show one or more.
 */
import { FormatError } from "../../errors.ts";
import { CborReader } from "./cbor-reader.ts";
import { type HashTree, lookupLeaf, lookupTree } from "./hash-tree.ts";

/**
 * Whether the subnet has the canister. If the tree shows shards, the last one that does not begin after the canister counts.
 *
 * @throws FormatError when the tree shows no ranges of the subnet
 */
export function isInRanges(tree: HashTree, subnet: Uint8Array, canister: Uint8Array): boolean {
  const shards = lookupTree(tree, ["canister_ranges", subnet]);
  const ranges =
    shards === undefined
      ? lookupLeaf(tree, ["subnet", subnet, "canister_ranges"])
      : (shardOf(shards, canister) ?? NO_RANGES);
  if (ranges === undefined) throw new FormatError("its delegation has no canister ranges of its subnet");
  return decodeRanges(ranges).some(
    ([first, last]) => Buffer.compare(first, canister) <= 0 && Buffer.compare(canister, last) <= 0,
  );
}

/** CBOR of an empty array. */
const NO_RANGES = Buffer.of(0x80);

/** The ranges in the shard that could have the canister; undefined when the tree shows only shards that begin after it. */
function shardOf(shards: HashTree, canister: Uint8Array): Buffer | undefined {
  let found: (HashTree & { kind: "labelled" }) | undefined;
  const walk = (node: HashTree): void => {
    if (node.kind === "fork") {
      walk(node.left);
      walk(node.right);
    } else if (node.kind === "labelled" && Buffer.compare(node.label, canister) <= 0) {
      if (found === undefined || Buffer.compare(found.label, node.label) < 0) found = node;
    }
  };
  walk(shards);
  if (found === undefined) return undefined;
  if (found.subtree.kind !== "leaf")
    throw new FormatError("its delegation has a shard without canister ranges");
  return found.subtree.value;
}

/** First and last canister of each range. */
function decodeRanges(cbor: Uint8Array): (readonly [Buffer, Buffer])[] {
  const reader = new CborReader(cbor);
  reader.selfDescribed();
  const ranges = Array.from({ length: reader.array() }, () => {
    if (reader.array() !== 2) throw new FormatError("a canister range that does not have two ends");
    return [reader.bytes(), reader.bytes()] as const;
  });
  reader.end();
  return ranges;
}
