/**
 * The content of an asset canister, as far as one node's list and the subnet's certificate agree: the list has the assets,
 * their lengths and times; the certified tree has their hashes. The tree may have more: aliases, and deleted assets.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Principal } from "@icp-sdk/core/principal";
import type { Call } from "../../ic/canister-calls.ts";
import { VerificationError, verifyCertificate } from "../../ic/certificate/certificate.ts";
import type { BlsVerify } from "../../ic/certificate/valid-signatures.ts";
import { inSteps } from "../../steps.ts";
import { fewAttempts } from "../few-attempts.ts";
import type { LeftOut } from "../listed-tree.ts";
import { certifiedTree, type ListedAsset } from "./asset-canister.ts";
import { type CertifiedAssets, walkingTree } from "./certified-tree.ts";
import { listAll } from "./listing.ts";
import { certifiedEncoding, isPossible, labelOf } from "./snapshot.ts";

export interface Certifying {
  readonly canister: Principal;
  readonly rootKey: Uint8Array;
  readonly blsVerify: () => BlsVerify | undefined;
}

/** The reply of certified_tree, verified. */
export interface Proof {
  readonly certificate: Buffer;
  readonly tree: Buffer;
  readonly certifiedAt: Date;
  /** SHA-256 by label. */
  readonly hashes: ReadonlyMap<string, Buffer>;
}

/** Up to this many assets are listed again each time, even if the tree is the same, since it does not show deletions: ten pages. */
const MANY = 1000;
/** A larger list is read again when the tree has changed, or after this many milliseconds. */
const LIST_MANY_MS = 10 * 60_000;
/** Attempts: while somebody stores assets, list and tree may be from different moments. */
const ATTEMPTS = 3;
/** Milliseconds between the first two attempts; as many more before each further one. */
const PAUSE_MS = 500;
/** Assets between two pauses: about a millisecond. */
const ASSETS_PER_STEP = 500;

export class CertifiedList {
  readonly #call: Call;
  readonly #by: Certifying;
  readonly #leftOut: LeftOut;
  /** The last tree, and what walking it has found: a large tree takes a while, and seldom changes. */
  #last: { readonly tree: Buffer; readonly walked: CertifiedAssets } | undefined;
  /** The certified part of the list for that tree. */
  #listed:
    | { readonly tree: Buffer; readonly assets: readonly ListedAsset[]; readonly until: number }
    | undefined;

  /** @param call by query, with signatures checked */
  constructor(call: Call, by: Certifying, leftOut: LeftOut) {
    this.#call = call;
    this.#by = by;
    this.#leftOut = leftOut;
  }

  /**
   * The assets whose certified encoding matches the list.
   *
   * @param thorough lists them again, even if there are many
   * @throws VerificationError; what `call` throws
   */
  async newest(thorough: boolean): Promise<{ proof: Proof; assets: readonly ListedAsset[] }> {
    for (let attempt = 1; ; attempt++) {
      const proof = await fewAttempts(async () => this.verified(await certifiedTree(this.#call), "fresh"));
      const listed = this.#listed;
      if (!thorough && listed?.tree.equals(proof.tree) && performance.now() < listed.until) {
        return { proof, assets: listed.assets };
      }
      const all = await listAll(this.#call);
      const { assets, others } = await inSteps(choosingCertified(all, proof));
      if (assets.length < all.length && attempt < ATTEMPTS) {
        await sleep(PAUSE_MS * attempt);
        continue;
      }
      for (const { key } of others) {
        this.#leftOut.say(key, "the subnet certifies other content for it, or none");
      }
      const until = performance.now() + (all.length > MANY ? LIST_MANY_MS : 0);
      this.#listed = { tree: proof.tree, assets, until };
      return { proof, assets };
    }
  }

  /** A reply of certified_tree, verified. @throws VerificationError, FormatError */
  async verified(
    { certificate, tree }: Pick<Proof, "certificate" | "tree">,
    age: "fresh" | "any",
  ): Promise<Proof> {
    const { canister, rootKey, blsVerify } = this.#by;
    const certified = await verifyCertificate(
      certificate,
      rootKey,
      canister,
      "certified_data",
      age,
      blsVerify(),
    );
    const walked = await this.#walk(tree);
    const isNothing = walked.isEmpty && certified.data.length === 0;
    if (!isNothing && !walked.root.equals(certified.data)) {
      throw new VerificationError(
        "the tree is not the one that the certificate certifies; if assets are being stored, it will be",
      );
    }
    if (walked.hashes === undefined && !walked.isEmpty) {
      throw new VerificationError(
        "the canister certifies HTTP responses only, and not what its assets hash to; with --trust replicated its list is read through consensus",
      );
    }
    return { certificate, tree, certifiedAt: certified.time, hashes: walked.hashes ?? new Map() };
  }

  async #walk(tree: Buffer): Promise<CertifiedAssets> {
    if (this.#last?.tree.equals(tree) !== true) {
      this.#last = { tree, walked: await inSteps(walkingTree(tree)) };
    }
    return this.#last.walked;
  }
}

/** The assets whose listed content is certified, and the others. In steps. */
function* choosingCertified(
  all: readonly ListedAsset[],
  proof: Proof,
): Generator<void, { assets: ListedAsset[]; others: ListedAsset[] }> {
  const chosen = { assets: [] as ListedAsset[], others: [] as ListedAsset[] };
  for (const [i, asset] of all.entries()) {
    if (i % ASSETS_PER_STEP === 0) yield;
    chosen[isCertified(asset, proof) ? "assets" : "others"].push(asset);
  }
  return chosen;
}

/** Whether the tree has the hash of the asset's content. An asset without content is not in the tree, and counts as certified. */
function isCertified(asset: ListedAsset, { hashes }: Proof): boolean {
  const encoding = certifiedEncoding(asset);
  if (encoding === undefined) return true;
  const certified = hashes.get(labelOf(asset.key));
  return isPossible(encoding) && certified?.equals(encoding.sha256!) === true;
}
