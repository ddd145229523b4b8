/**
 * The IC's standard asset canister as a source. A file's hash is certified, but only one node vouches for its length, and for its
 * existence. If the certified tree does not fit a reply, or the user chose `--trust replicated`, the list comes by
 * consensus instead. Only a whole file has a hash, so nothing of a file is returned before all of it has been read once and
 * verified. From then on, its chunks have hashes of their own.
 */
import { messageOf } from "../../errors.ts";
import type { CanisterCalls } from "../../ic/canister-calls.ts";
import { VerificationError } from "../../ic/certificate/certificate.ts";
import type { Log } from "../../log.ts";
import { inSteps } from "../../steps.ts";
import { hexOf } from "../../tree/hash.ts";
import type { Chunk, Tree, VerifiedChunk } from "../../tree/tree.ts";
import { KnownChunks, type ListedChunk } from "../listed-file.ts";
import { LeftOut, listedTree } from "../listed-tree.ts";
import type { Pieces, Source } from "../source.ts";
import { isReplyTooLarge, type ListedAsset } from "./asset-canister.ts";
import { CertifiedList, type Certifying } from "./certified-list.ts";
import { decodeEvidence, encodingEvidence } from "./evidence.ts";
import { Files } from "./files.ts";
import { ReplicatedList } from "./replicated-list.ts";
import { type AssetFile, type AssetsSnapshot, filesOf, hashingFiles, labelOf } from "./snapshot.ts";

export class AssetsSource implements Source {
  readonly kind = "assets";
  readonly slow = false;
  readonly #log: Log;
  readonly #leftOut: LeftOut;
  readonly #certified: CertifiedList;
  readonly #replicated: ReplicatedList;
  readonly #files: Files;
  readonly #known = new KnownChunks();
  #byConsensus: boolean;
  #last:
    | {
        readonly assets: readonly ListedAsset[];
        readonly files: readonly AssetFile[];
        readonly hash: Buffer;
      }
    | undefined;

  /** @param byConsensus whether the list comes by consensus, even if there is a certified tree */
  constructor(calls: CanisterCalls, by: Certifying, byConsensus: boolean, log: Log) {
    this.#log = log;
    this.#leftOut = new LeftOut(log);
    this.#certified = new CertifiedList(calls.signed, by, this.#leftOut);
    this.#replicated = new ReplicatedList(calls);
    this.#files = new Files(calls.signed, this.#known, this.#leftOut);
    this.#byConsensus = byConsensus;
  }

  async newest(thorough = false): Promise<AssetsSnapshot> {
    if (!this.#byConsensus) {
      try {
        const { proof, assets } = await this.#certified.newest(thorough);
        return await this.#snapshot(assets, { certifiedAt: proof.certifiedAt, verified: "certified", proof });
      } catch (error) {
        if (!isReplyTooLarge(error)) throw error;
        this.#log.info(`certified_tree: ${messageOf(error)}; the list is read through consensus`);
        this.#byConsensus = true;
      }
    }
    const { assets, at } = await this.#replicated.newest(thorough);
    return this.#snapshot(assets, { certifiedAt: at, verified: "replicated", proof: undefined });
  }

  /** The snapshot of a list. If the list is the last one again, its files and their hash are not computed again. */
  async #snapshot(
    assets: readonly ListedAsset[],
    from: Pick<AssetsSnapshot, "certifiedAt" | "verified" | "proof">,
  ): Promise<AssetsSnapshot> {
    if (this.#last?.assets !== assets) {
      const files = await inSteps(filesOf(assets, this.#leftOut));
      this.#last = { assets, files, hash: await inSteps(hashingFiles(files)) };
    }
    const { files, hash } = this.#last;
    return { number: undefined, hash, files, ...from };
  }

  async tree({ files }: AssetsSnapshot, pieces?: Pieces): Promise<Tree> {
    this.#files.keepIn(pieces);
    return listedTree(await this.#files.of(files), this.#known);
  }

  get learned(): number {
    return this.#files.learned;
  }

  chunk(chunk: Chunk, arrived: () => void = () => {}): Promise<VerifiedChunk> {
    return this.#files.chunk(chunk as ListedChunk, arrived);
  }

  known(chunk: Chunk): Chunk {
    return this.#known.of(chunk);
  }

  evidence(snapshot: AssetsSnapshot): Promise<Buffer> {
    return inSteps(encodingEvidence(snapshot, (asset) => this.#files.known(asset), this.#known));
  }

  async restore(evidence: Buffer): Promise<AssetsSnapshot> {
    const { snapshot, learned } = decodeEvidence(evidence);
    if (this.#byConsensus && snapshot.verified !== "replicated") {
      throw new VerificationError("it was read with --trust query");
    }
    if (snapshot.proof !== undefined) {
      const { hashes } = await this.#certified.verified(snapshot.proof, "any");
      for (const { key, sha256 } of snapshot.files) {
        if (hashes.get(labelOf(key))?.equals(sha256) !== true) {
          throw new VerificationError(`asset ${key} is not what is certified: ${hexOf(sha256)}`);
        }
      }
    }
    for (const [file, whole] of learned) this.#files.remember(file, whole);
    return { ...snapshot, hash: await inSteps(hashingFiles(snapshot.files)) };
  }

  /** A snapshot has no chunks of its own. */
  piecesOf(): readonly string[] {
    return [];
  }
}
