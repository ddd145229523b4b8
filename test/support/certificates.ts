/** Certificates as a network makes them, and as none should: of any keys, times, canister ranges and data. */
import * as cbor from "@dfinity/cbor";
import { Principal } from "@dfinity/principal";
import { encodeTree, type HashTree, labels, leaf, type Path, witness } from "../../localnet/hash-tree.ts";
import { type BlsKey, keysOf, newSecrets } from "../../localnet/keys.ts";
import { leb128 } from "../../localnet/wasm-reader.ts";

/** A key of nobody else. */
export const newBlsKey = (): BlsKey => keysOf(newSecrets()).root;

export interface CertificateFields {
  readonly canister: Principal;
  readonly data: Uint8Array;
  /** Signs the delegation. */
  readonly root: BlsKey;
  /** Signs the certificate; a new one unless given. */
  readonly subnet?: BlsKey;
  /** The first and the last canister of the delegation; all of them unless given. */
  readonly range?: readonly [Uint8Array, Uint8Array];
  /** Milliseconds since 1970; now unless given. */
  readonly time?: number;
  readonly delegationTime?: number;
  /** Makes the delegation's certificate another one. */
  readonly delegation?: (certificate: Uint8Array, subnet: BlsKey) => Uint8Array;
  /** The root key signs the certificate itself. */
  readonly withoutDelegation?: boolean;
}

/** A canister's id by its number, as networks count them. */
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
  const { canister, data, root, subnet = newBlsKey(), range = ALL, time = Date.now() } = fields;
  const id = canister.toUint8Array();
  const tree = labels([
    ["canister", labels([[id, labels([["certified_data", leaf(data)]])]])],
    ["time", timeLeaf(time)],
  ]);
  const paths: Path[] = [[Buffer.from("canister"), id, Buffer.from("certified_data")], [Buffer.from("time")]];
  if (fields.withoutDelegation) return signed(tree, root, paths);
  const subnetId = Principal.selfAuthenticating(subnet.publicKey).toUint8Array();
  const rangeLeaf = leaf(cbor.encodeWithSelfDescribedTag([range]));
  const delegationTree = labels([
    ["canister_ranges", labels([[subnetId, labels([[range[0], rangeLeaf]])]])],
    [
      "subnet",
      labels([
        [
          subnetId,
          labels([
            ["canister_ranges", rangeLeaf],
            ["public_key", leaf(subnet.publicKey)],
          ]),
        ],
      ]),
    ],
    ["time", timeLeaf(fields.delegationTime ?? time)],
  ]);
  const good = signed(delegationTree, root);
  const certificate = fields.delegation?.(good, subnet) ?? good;
  return signed(tree, subnet, paths, { subnet_id: subnetId, certificate });
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
