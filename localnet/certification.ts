/**
 * Certificates: parts of the state tree, signed by the subnet's key, which the root key delegates to.
 *
 * A signature takes some 8 ms, so one is made for a whole state tree and serves every certificate cut from it, until
 * the state changes or the time in the tree is a second old.
 */
import * as cbor from "@dfinity/cbor";
import { Principal } from "@dfinity/principal";
import { encodeTree, type HashTree, labels, leaf, type Path, witness } from "./hash-tree.ts";
import type { BlsKey, NetworkKeys, NodeKey } from "./keys.ts";
import { leb128 } from "./wasm-reader.ts";

/** How old the time in a certificate may be when it is handed out. */
const MAX_AGE_NS = 1_000_000_000n;
/** Every canister id: 8 bytes of number, and the bytes 1, 1 that mark a canister. */
const FIRST_CANISTER = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
const LAST_CANISTER = Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 255, 1, 1]);

export const TIME = Buffer.from("time");

export class Certification {
  readonly node: NodeKey;
  readonly subnet: Uint8Array;
  readonly #root: BlsKey;
  readonly #key: BlsKey;
  readonly #delegation: { subnet_id: Uint8Array; certificate: Uint8Array };
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
    this.#delegation = { subnet_id: this.subnet, certificate: this.#delegationCertificate() };
  }

  /** The root key, DER. */
  get rootKey(): Uint8Array {
    return this.#root.publicKey;
  }

  /** Forgets the signed tree, as the state is no longer what it shows. */
  stateChanged(): void {
    this.#signed = undefined;
  }

  /** A certificate (CBOR) that shows the time and what is at these paths. */
  certificate(paths: readonly Path[]): Uint8Array {
    const { tree, signature } = this.#signedTree();
    return cbor.encodeWithSelfDescribedTag({
      tree: encodeTree(witness(tree, [[TIME], ...paths])),
      signature,
      delegation: this.#delegation,
    });
  }

  #signedTree(): { tree: HashTree; signature: Uint8Array } {
    const time = this.#now();
    if (this.#signed === undefined || time - this.#signed.time > MAX_AGE_NS) {
      const tree = labels([...this.#state(), ...this.#subnetTree(true), ["time", leaf(leb128(time))]]);
      this.#signed = { tree, signature: this.#key.signRootHash(tree.hash), time };
    }
    return this.#signed;
  }

  /** What the tree says about the subnet: its key, its nodes, and its canister ids in the old place and the new. */
  #subnetTree(withNodes: boolean): (readonly [string, HashTree])[] {
    const ranges = leaf(cbor.encodeWithSelfDescribedTag([[FIRST_CANISTER, LAST_CANISTER]]));
    const subnet: [string, HashTree][] = [
      ["canister_ranges", ranges],
      ["public_key", leaf(this.#key.publicKey)],
    ];
    if (withNodes) {
      subnet.push(["node", labels([[this.node.id, labels([["public_key", leaf(this.node.publicKey)]])]])]);
    }
    return [
      // A shard is labelled with the first canister id in it.
      ["canister_ranges", labels([[this.subnet, labels([[FIRST_CANISTER, ranges]])]])],
      ["subnet", labels([[this.subnet, labels(subnet)]])],
    ];
  }

  #delegationCertificate(): Uint8Array {
    const tree = labels([...this.#subnetTree(false), ["time", leaf(leb128(this.#now()))]]);
    return cbor.encodeWithSelfDescribedTag({
      tree: encodeTree(tree),
      signature: this.#root.signRootHash(tree.hash),
    });
  }
}
