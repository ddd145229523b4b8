/**
 * The network's keys: a BLS key for the root and one for the subnet, and the Ed25519 key of its only node.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { Principal } from "@icp-sdk/core/principal";
import { newSecret, publicKeyOf, sign as signBls } from "./bls.ts";
import { domain } from "./hash-tree.ts";

/** DER of a BLS12-381 public key in G2, up to the key itself (interface specification, "Certificate encoding"). */
const BLS_DER_PREFIX = Buffer.from(
  "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100",
  "hex",
);
const STATE_ROOT_DOMAIN = domain("ic-state-root");
const RESPONSE_DOMAIN = domain("ic-response");

export interface BlsKey {
  /** DER. */
  readonly publicKey: Uint8Array;
  /** Signs the root hash of a state tree; a signature has 48 bytes. */
  signRootHash(rootHash: Uint8Array): Uint8Array;
}

export interface NodeKey {
  /** The node's principal. */
  readonly id: Uint8Array;
  /** DER. */
  readonly publicKey: Uint8Array;
  /** Signs the hash of a query response. */
  signResponse(responseHash: Uint8Array): Uint8Array;
}

/** A network's keys in the form in which they are kept. */
export interface NetworkSecrets {
  readonly root: Uint8Array;
  readonly subnet: Uint8Array;
  /** PKCS#8, DER. */
  readonly node: Uint8Array;
}

export interface NetworkKeys {
  readonly root: BlsKey;
  readonly subnet: BlsKey;
  readonly node: NodeKey;
}

export function newSecrets(): NetworkSecrets {
  const { privateKey } = generateKeyPairSync("ed25519") as { privateKey: KeyObject };
  return {
    root: newSecret(),
    subnet: newSecret(),
    node: new Uint8Array(privateKey.export({ type: "pkcs8", format: "der" })),
  };
}

export function keysOf(secrets: NetworkSecrets): NetworkKeys {
  return { root: blsKey(secrets.root), subnet: blsKey(secrets.subnet), node: nodeKey(secrets.node) };
}

function blsKey(secret: Uint8Array): BlsKey {
  const publicKey = publicKeyOf(secret);
  return {
    publicKey: new Uint8Array(Buffer.concat([BLS_DER_PREFIX, publicKey])),
    signRootHash: (rootHash) => signBls(Buffer.concat([STATE_ROOT_DOMAIN, rootHash]), secret),
  };
}

function nodeKey(pkcs8: Uint8Array): NodeKey {
  const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), type: "pkcs8", format: "der" });
  const der = new Uint8Array(createPublicKey(privateKey).export({ type: "spki", format: "der" }));
  return {
    id: Principal.selfAuthenticating(der).toUint8Array(),
    publicKey: der,
    signResponse: (hash) => new Uint8Array(sign(null, Buffer.concat([RESPONSE_DOMAIN, hash]), privateKey)),
  };
}
