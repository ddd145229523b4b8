/**
 * Certificates: parts of the state tree, signed by the subnet's key, which the root key delegates to.
 *
 * One signature for a whole state tree serves every certificate cut from it, until the state changes or the time in the tree is a
 * second old.
 */
import * as cbor from "@dfinity/cbor";
import { Principal } from "@icp-sdk/core/principal";
import { encodeTree, type HashTree, labels, leaf, type Path, withoutPath, witness } from "./hash-tree.ts";
import type { BlsKey, NetworkKeys, NodeKey } from "./keys.ts";
import { leb128 } from "./wasm-reader.ts";

/** How old the time in a certificate may be when it is sent. */
const MAX_AGE_NS = 1_000_000_000n;
/** All canister ids, in eight ranges of equal size: by the three upper bits of their numbers. */
const RANGES = Array.from({ length: 8 }, (_, index): Range => {
  const last = Uint8Array.from([32 * index + 31, 255, 255, 255, 255, 255, 255, 255, 1, 1]);
  return [Uint8Array.from([32 * index, 0, 0, 0, 0, 0, 0, 0, 1, 1]), last];
});
/** The IC's limit on the ranges in a shard. */
const SHARD_RANGES = 5;

export const TIME = Buffer.from("time");
const SUBNET = Buffer.from("subnet");
const CANISTER_RANGES = Buffer.from("canister_ranges");
const PUBLIC_KEY = Buffer.from("public_key");

/** A first and a last canister id: 8 bytes of number, and the bytes 1, 1 that mark a canister. */
type Range = readonly [Uint8Array, Uint8Array];

/**
 * The form of the subnet's canister ranges in a certificate. Older endpoints have one leaf, `subnet/ID/canister_ranges`. Newer
 * ones have a leaf for every few ranges, `canister_ranges/ID/FIRST CANISTER`, and show the one that could hold the requested
 * canister; without a canister, they show none.
 */
export type RangesShown = "flat" | { readonly shardOf: Uint8Array | undefined };

export class Certification {
  readonly node: NodeKey;
  readonly subnet: Uint8Array;
  readonly #root: BlsKey;
  readonly #key: BlsKey;
  /** What the root key says about the subnet, signed. */
  readonly #delegation: { readonly tree: HashTree; readonly signature: Uint8Array };
  readonly #now: () => bigint;
  readonly #state: () => (readonly [string, HashTree])[];
  #signed: { tree: HashTree; signature: Uint8Array; time: bigint } | undefined;

  /**
   * @param now nanoseconds since 1970
   * @param state the parts of the state tree that the canisters and their calls make up, by their first label
   */
  constructor(keys: NetworkKeys, now: () => bigint, state: () => (readonly [string, HashTree])[]) {
    this.node = keys.node;
    this.#root = keys.root;
    this.#key = keys.subnet;
    this.#now = now;
    this.#state = state;
    this.subnet = Principal.selfAuthenticating(this.#key.publicKey).toUint8Array();
    const delegation = labels([...this.#subnetTree(false), ["time", leaf(leb128(now()))]]);
    this.#delegation = { tree: delegation, signature: this.#root.signRootHash(delegation.hash) };
  }

  /** The root key, DER. */
  get rootKey(): Uint8Array {
    return this.#root.publicKey;
  }

  /** Forgets the signed tree, since the state has changed. */
  stateChanged(): void {
    this.#signed = undefined;
  }

  /** A certificate (CBOR) that shows the time and what is at these paths. */
  certificate(paths: readonly Path[], ranges: RangesShown): Uint8Array {
    const { tree, signature } = this.#signedTree();
    const shown = witness(tree, [[TIME], ...paths]);
    return cbor.encodeWithSelfDescribedTag({
      tree: encodeTree(ranges === "flat" ? shown : withoutPath(shown, this.#flatRanges)),
      signature,
      delegation: { subnet_id: this.subnet, certificate: this.#delegationCertificate(ranges) },
    });
  }

  get #flatRanges(): Path {
    return [SUBNET, this.subnet, CANISTER_RANGES];
  }

  #signedTree(): { tree: HashTree; signature: Uint8Array } {
    const time = this.#now();
    if (this.#signed === undefined || time - this.#signed.time > MAX_AGE_NS) {
      const tree = labels([...this.#state(), ...this.#subnetTree(true), ["time", leaf(leb128(time))]]);
      this.#signed = { tree, signature: this.#key.signRootHash(tree.hash), time };
    }
    return this.#signed;
  }

  /** The tree's part about the subnet: its key, its nodes, and its canister ids in the old place and the new. */
  #subnetTree(withNodes: boolean): (readonly [string, HashTree])[] {
    const subnet: [string, HashTree][] = [
      ["canister_ranges", rangesLeaf(RANGES)],
      ["public_key", leaf(this.#key.publicKey)],
    ];
    if (withNodes) {
      subnet.push(["node", labels([[this.node.id, labels([["public_key", leaf(this.node.publicKey)]])]])]);
    }
    return [
      ["canister_ranges", labels([[this.subnet, labels(SHARDS)]])],
      ["subnet", labels([[this.subnet, labels(subnet)]])],
    ];
  }

  #delegationCertificate(ranges: RangesShown): Uint8Array {
    const { tree, signature } = this.#delegation;
    const paths: Path[] = [[TIME], [SUBNET, this.subnet, PUBLIC_KEY]];
    if (ranges === "flat") paths.push(this.#flatRanges);
    const shard = ranges === "flat" ? undefined : shardOf(ranges.shardOf);
    if (shard !== undefined) paths.push([CANISTER_RANGES, this.subnet, shard]);
    return cbor.encodeWithSelfDescribedTag({ tree: encodeTree(witness(tree, paths)), signature });
  }
}

function rangesLeaf(ranges: readonly Range[]): HashTree {
  return leaf(cbor.encodeWithSelfDescribedTag(ranges.map((range) => [...range])));
}

/** Leaves for every few ranges. Each is named by its first canister id. */
const SHARDS = Array.from({ length: Math.ceil(RANGES.length / SHARD_RANGES) }, (_, index) => {
  const ranges = RANGES.slice(index * SHARD_RANGES, (index + 1) * SHARD_RANGES);
  return [ranges[0]![0], rangesLeaf(ranges)] as const;
});

/** The label of the only shard that could hold the canister. */
function shardOf(canister: Uint8Array | undefined): Uint8Array | undefined {
  if (canister === undefined) return undefined;
  return SHARDS.findLast(([first]) => Buffer.compare(first, canister) <= 0)?.[0];
}
