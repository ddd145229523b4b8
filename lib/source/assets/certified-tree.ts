/**
 * The hash tree of an asset canister, in one walk: its root hash, which the subnet certifies, and the hashes of assets,
 * `http_assets / KEY` = SHA-256 of the content. Most of it is about HTTP responses; of these, only the hashes matter.
 *
 * Encoding: IC interface specification, "Certificate", "Encoding of certificates".
 */
import { FormatError } from "../../errors.ts";
import { CborReader } from "../../ic/certificate/cbor-reader.ts";
import { digest } from "../../ic/certificate/hash-tree.ts";

export interface CertifiedAssets {
  readonly root: Buffer;
  /** SHA-256 by key; undefined when the canister certifies no assets in this way. */
  readonly hashes: ReadonlyMap<string, Buffer> | undefined;
  /** Whether the tree is empty, as before anything was ever stored. A tree that hides what it has is not. */
  readonly isEmpty: boolean;
}

const ASSETS = "http_assets";
const EMPTY = digest("ic-hashtree-empty");
/** Balanced trees of a million labels are 40 deep, two nodes a level; paths of HTTP responses have trees in trees. */
const MAX_DEPTH = 1000;
/** Between two pauses: a millisecond or two. */
const NODES_PER_STEP = 500;

/** The position of the walk: at the top, below http_assets, below one key there, or elsewhere. */
type Place = "top" | "assets" | { readonly key: string } | "elsewhere";

/** Walks a tree in CBOR, in steps. @throws FormatError */
export function* walkingTree(cbor: Uint8Array): Generator<void, CertifiedAssets> {
  const walk = new Walk(cbor);
  const root = yield* walk.node("top", 0);
  walk.end();
  return { root, hashes: walk.hashes, isEmpty: root.equals(EMPTY) };
}

class Walk {
  hashes: Map<string, Buffer> | undefined;
  nodes = 0;
  readonly #reader: CborReader;

  constructor(cbor: Uint8Array) {
    this.#reader = new CborReader(cbor);
    this.#reader.selfDescribed();
  }

  end(): void {
    this.#reader.end();
  }

  /** The hash of the next node. */
  *node(place: Place, depth: number): Generator<void, Buffer> {
    if (depth > MAX_DEPTH) throw new FormatError("a hash tree nested too deeply");
    this.nodes += 1;
    if (this.nodes % NODES_PER_STEP === 0) yield;
    const reader = this.#reader;
    const length = reader.array();
    const tag = length > 0 ? reader.unsigned() : -1;
    if (tag === 0 && length === 1) return EMPTY;
    if (tag === 1 && length === 3) {
      const left = yield* this.node(place, depth + 1);
      return digest("ic-hashtree-fork", left, yield* this.node(place, depth + 1));
    }
    if (tag === 2 && length === 3) {
      const label = reader.bytes();
      const below = yield* this.node(this.#below(place, label), depth + 1);
      return digest("ic-hashtree-labeled", label, below);
    }
    if (tag === 3 && length === 2) return this.#leaf(place, reader.bytes());
    if (tag === 4 && length === 2) {
      const pruned = reader.bytes();
      if (pruned.length !== 32) throw new FormatError("a pruned hash tree without a hash");
      return pruned;
    }
    throw new FormatError("an unknown kind of hash tree node");
  }

  #below(place: Place, label: Buffer): Place {
    if (place === "top" && label.toString() === ASSETS) {
      this.hashes ??= new Map();
      return "assets";
    }
    return place === "assets" ? { key: label.toString() } : "elsewhere";
  }

  /** A key without a leaf belongs to a deleted asset. */
  #leaf(place: Place, value: Buffer): Buffer {
    if (typeof place === "object" && value.length === 32) this.hashes!.set(place.key, value);
    return digest("ic-hashtree-leaf", value);
  }
}
