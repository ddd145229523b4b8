/** Makes certificates as a network does, and invalid ones: with any keys, times, canister ranges and data. */
import * as cbor from "@dfinity/cbor";
import { Principal } from "@icp-sdk/core/principal";
import { encodeTree, type HashTree, labels, leaf, type Path, witness } from "../../localnet/hash-tree.ts";
import { type BlsKey, keysOf, newSecrets } from "../../localnet/keys.ts";
import { leb128 } from "../../localnet/wasm-reader.ts";

/** A new key. */
export const newBlsKey = (): BlsKey => keysOf(newSecrets()).root;

/** The first and the last canister of a range. */
export type Range = readonly [Uint8Array, Uint8Array];
/** Ranges that are listed together, in order. */
export type Shard = readonly Range[];

export interface CertificateFields {
  readonly canister: Principal;
  readonly data: Uint8Array;
  /** Signs the delegation. */
  readonly root: BlsKey;
  /** Signs the certificate; a new one unless given. */
  readonly subnet?: BlsKey;
  /** The canisters of the delegation, in shards; default: all in one range. */
  readonly shards?: readonly Shard[];
  /** Where they are listed; default: in both places. */
  readonly form?: "flat" | "sharded" | "both";
  /** The indices of the shards that are shown; default: all. */
  readonly shown?: readonly number[];
  /** The canisters of another subnet in the same delegation; default: absent. */
  readonly others?: readonly Shard[];
  /** Milliseconds since 1970; default: now. */
  readonly time?: number;
  readonly delegationTime?: number;
  /** Changes the delegation's certificate. */
  readonly delegation?: (certificate: Uint8Array, subnet: BlsKey) => Uint8Array;
  /** Whether the root key signs the certificate directly. */
  readonly withoutDelegation?: boolean;
}

/** A canister's id by its number, as networks assign them. */
export function canisterId(number: number): Principal {
  return Principal.fromUint8Array(idBytes(number));
}

export function idBytes(number: number): Uint8Array {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(number));
  bytes[8] = bytes[9] = 1;
  return Uint8Array.from(bytes);
}

const ALL = [idBytes(0), Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 255, 1, 1])] as const;

/** A certificate, in CBOR, that shows the canister's certified data and the time. */
export function certify(fields: CertificateFields): Uint8Array {
  const { canister, data, root, subnet = newBlsKey(), time = Date.now() } = fields;
  const id = canister.toUint8Array();
  const tree = labels([
    ["canister", labels([[id, labels([["certified_data", leaf(data)]])]])],
    ["time", timeLeaf(time)],
  ]);
  const paths: Path[] = [[Buffer.from("canister"), id, Buffer.from("certified_data")], [Buffer.from("time")]];
  if (fields.withoutDelegation) return signed(tree, root, paths);
  const subnetId = Principal.selfAuthenticating(subnet.publicKey).toUint8Array();
  const { tree: delegationTree, paths: delegationPaths } = delegationOf(fields, subnetId, subnet);
  const good = signed(delegationTree, root, delegationPaths);
  const certificate = fields.delegation?.(good, subnet) ?? good;
  return signed(tree, subnet, paths, { subnet_id: subnetId, certificate });
}

/** The root key's certificate about a subnet, reduced to what is shown. */
function delegationOf(
  { shards = [[ALL]], form = "both", shown = [...shards.keys()], others, ...fields }: CertificateFields,
  id: Uint8Array,
  { publicKey }: BlsKey,
): { tree: HashTree; paths: Path[] } {
  const labelled = (parts: readonly Shard[]) =>
    labels(parts.map((ranges) => [ranges[0]![0], rangesLeaf(ranges)] as const));
  const subnets: [Uint8Array, HashTree][] = [[id, labelled(shards)]];
  if (others !== undefined) subnets.push([Uint8Array.from(id, (byte) => byte ^ 0x55), labelled(others)]);
  const tree = labels([
    ["canister_ranges", labels(subnets)],
    [
      "subnet",
      labels([
        [
          id,
          labels([
            ["canister_ranges", rangesLeaf(shards.flat())],
            ["public_key", leaf(publicKey)],
          ]),
        ],
      ]),
    ],
    ["time", timeLeaf(fields.delegationTime ?? fields.time ?? Date.now())],
  ]);
  const [ranges, subnet] = [Buffer.from("canister_ranges"), Buffer.from("subnet")];
  const paths: Path[] = [[Buffer.from("time")], [subnet, id, Buffer.from("public_key")]];
  if (form !== "sharded") paths.push([subnet, id, ranges]);
  if (form !== "flat") {
    for (const index of shown) paths.push([ranges, id, shards[index]![0]![0]]);
    for (const [other] of subnets.slice(1)) paths.push([ranges, other]);
  }
  return { tree, paths };
}

function rangesLeaf(ranges: Shard): HashTree {
  return leaf(cbor.encodeWithSelfDescribedTag(ranges.map((range) => [...range])));
}

interface Delegation {
  readonly [field: string]: Uint8Array;
}

function timeLeaf(milliseconds: number): HashTree {
  return leaf(leb128(BigInt(milliseconds) * 1_000_000n));
}

function signed(tree: HashTree, key: BlsKey, paths?: readonly Path[], delegation?: Delegation): Uint8Array {
  return cbor.encodeWithSelfDescribedTag({
    tree: encodeTree(paths === undefined ? tree : witness(tree, paths)),
    signature: key.signRootHash(tree.hash),
    ...(delegation === undefined ? {} : { delegation }),
  });
}
