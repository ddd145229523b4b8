/** Reads an icfs canister from its mirrors, and then from the network. Mirrors' answers are verified like the network's. */
import { FormatError, UserError } from "../../errors.ts";
import { NoAnswerError } from "../../ic/call-errors.ts";
import { checkTime, VerificationError } from "../../ic/certificate/certificate.ts";
import { NotHereError } from "../../ic/gateway/question.ts";
import type { Received } from "../../ic/transport/bounded-fetch.ts";
import { hexOf, sha256 } from "../../tree/hash.ts";
import type { Header } from "../../tree/header.ts";
import { MAX_CHUNK_BYTES } from "../../tree/limits.ts";
import type { ChunkReference, Manifest } from "../../tree/manifest.ts";
import { ageText } from "../../units.ts";
import type { Urgency } from "../../urgency.ts";
import type { Pieces, SourceKind } from "../source.ts";
import { AbsentChannelError } from "./channels.ts";
import { decodeHeaders } from "./header-list.ts";
import { chunkPath, headersPath } from "./mirror-paths.ts";
import type { Mirrors, Question } from "./mirrors.ts";
import { MAX_PROOF_BYTES } from "./query-reader.ts";
import { type Head, MissingChunkError, type NetworkReader, type ReleaseReader } from "./release-reader.ts";

/** Limit on a page of headers: the canister stops at a megabyte, and a header has 35 KB at most. */
export const MAX_HEADERS_BYTES = 2 * 1024 * 1024;

/** How long ago a proof was certified, in milliseconds. */
function ageOf({ certifiedAt }: Head): number {
  return Date.now() - certifiedAt.getTime();
}

export class MirroredReader implements ReleaseReader {
  readonly #mirrors: Mirrors;
  readonly #network: NetworkReader;
  readonly #limit: number;

  /**
   * @param network the reader for the network; its restore() and manifest() verify what mirrors have sent
   * @param limit milliseconds without a byte after which a request fails
   */
  constructor(mirrors: Mirrors, network: NetworkReader, limit: number) {
    this.#mirrors = mirrors;
    this.#network = network;
    this.#limit = limit;
  }

  /**
   * The newest release, from the first mirror that has a fresh proof of an allowed age, or from the network. If nobody has one, the newest
   * of the older proofs counts, if its age is allowed.
   *
   * @throws as ReleaseReader.head(); UserError when only mirrors are asked, and none has a proof of an allowed age
   */
  async head(accept?: (head: Head | undefined) => Promise<void>): Promise<Head | undefined> {
    const { maxStale, only } = this.#mirrors;
    const stale: Head[] = [];
    let refused: { readonly error: unknown } | undefined;
    const verify = async (proof: Buffer): Promise<Head | undefined> => {
      const head = await this.#network.restore(proof).catch((error) => {
        // A certificate says that there is, or was, no such channel.
        if (error instanceof AbsentChannelError) throw new NotHereError(error.message, { cause: error });
        throw error;
      });
      const { certifiedAt } = head;
      try {
        checkTime(certifiedAt);
        if (maxStale > 0 && ageOf(head) > maxStale) throw new Error("--max-stale does not allow it");
      } catch (error) {
        if (certifiedAt.getTime() < Date.now()) stale.push(head);
        throw new NotHereError(`its proof is of ${certifiedAt.toISOString()}`, { cause: error });
      }
      // The subnet has signed it recently, so the network cannot have a better answer.
      await accept?.(head).catch((error) => {
        refused ??= { error };
        throw new NotHereError("this host does not accept its release", { cause: error });
      });
      return head;
    };
    try {
      return await this.#mirrors.ask<Head | undefined>({
        path: this.#network.proofPath,
        most: MAX_PROOF_BYTES,
        limit: this.#limit,
        verify,
        network: () => this.#network.head(accept),
        missing: (why) => new UserError(`no mirror has the newest release: ${why}`),
      });
    } catch (error) {
      if (refused !== undefined && only) throw refused.error;
      const newest = stale.toSorted((a, b) => b.certifiedAt.getTime() - a.certifiedAt.getTime())[0];
      if (newest === undefined) throw error;
      const age = ageOf(newest);
      if (age <= maxStale) {
        await accept?.(newest);
        return newest;
      }
      if (!only) throw error;
      throw new UserError(
        `the newest proof that a mirror has was certified ${ageText(age)} ago${maxStale > 0 ? ", which --max-stale does not allow" : ": --max-stale TIME, such as 7d, accepts one that old"}; \`icfs mirror\` brings it up to date`,
      );
    }
  }

  /** The kind of the canister: an icfs canister if a mirror proves a release of any age; otherwise `detect` decides. */
  kind(detect: () => Promise<SourceKind>): Promise<SourceKind> {
    return this.#mirrors.ask<SourceKind>({
      path: this.#network.proofPath,
      most: MAX_PROOF_BYTES,
      limit: this.#limit,
      verify: async (proof) => {
        await this.#network.restore(proof).catch((error) => {
          // Only an icfs canister certifies that it has no such channel.
          if (!(error instanceof AbsentChannelError)) throw error;
        });
        return "icfs";
      },
      network: detect,
      missing: (why) => new UserError(`no mirror has a release: ${why}`),
    });
  }

  restore(proof: Uint8Array): Promise<Head> {
    return this.#network.restore(proof);
  }

  headers(
    from: number,
    count: number,
    accept?: (headers: readonly Uint8Array[]) => void,
  ): Promise<readonly Uint8Array[]> {
    return this.#mirrors.ask<readonly Uint8Array[]>({
      path: headersPath(from),
      most: MAX_HEADERS_BYTES,
      limit: this.#limit,
      verify: async (bytes) => {
        const headers = decodeHeaders(bytes).slice(0, count);
        accept?.(headers);
        return headers;
      },
      network: () => this.#network.headers(from, count, accept),
      // Not a VerificationError: somebody may be copying the mirror's files, and the headers come later.
      missing: (why) => new NoAnswerError(`no mirror has the headers below release ${from + 1}: ${why}`),
    });
  }

  /** The network's reader assembles the manifest, from pieces that mirrors send. */
  manifest(header: Header, kept?: Pieces): Promise<Manifest> {
    const read = async (hash: string) => {
      const found = await kept?.read(hash);
      if (found !== undefined) return found;
      const network = () => this.#network.piece(Buffer.from(hash, "hex"));
      const piece = await this.#chunk(hash, "the manifest", network);
      await kept?.write(hash, piece);
      return piece;
    };
    return this.#network.manifest(header, { read, write: async () => {} });
  }

  async chunk(reference: ChunkReference, received?: Received, urgency?: Urgency): Promise<Buffer> {
    const network: Question<Buffer>["network"] = (...told) => this.#network.chunk(reference, ...told);
    const bytes = await this.#chunk(hexOf(reference.sha256), "a file", network, received, urgency);
    // The hash is right, so the manifest lies about the size.
    if (bytes.length !== reference.size) {
      throw new VerificationError("a chunk has another size than the manifest says");
    }
    return bytes;
  }

  #chunk(
    hash: string,
    part: string,
    network: Question<Buffer>["network"],
    received?: Received,
    urgency?: Urgency,
  ): Promise<Buffer> {
    const expected = Buffer.from(hash, "hex");
    return this.#mirrors.ask<Buffer>({
      path: chunkPath(hash),
      isChunk: true,
      most: MAX_CHUNK_BYTES,
      limit: this.#limit,
      verify: async (bytes, digest) => {
        if (bytes.length === 0) throw new FormatError("a chunk has no bytes");
        if (!(digest ?? (await sha256(bytes))).equals(expected)) {
          throw new VerificationError(`chunk ${hash} arrived with other bytes`);
        }
        return bytes;
      },
      network,
      received,
      urgency,
      missing: (why) => new MissingChunkError(`no mirror has chunk ${hash} of ${part}: ${why}`),
    });
  }
}
