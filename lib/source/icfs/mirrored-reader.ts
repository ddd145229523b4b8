/** An icfs canister by its mirrors, and by the network after them: all is verified as what the network says. */
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

/** Of a page of headers: the canister stops at a megabyte, and a header has 35 KB at most. */
export const MAX_HEADERS_BYTES = 2 * 1024 * 1024;

export class MirroredReader implements ReleaseReader {
  readonly #mirrors: Mirrors;
  readonly #network: NetworkReader;
  readonly #limit: number;

  /**
   * @param network what reads by the network; its restore() and manifest() verify what mirrors have brought
   * @param limit milliseconds without a byte after which a request fails
   */
  constructor(mirrors: Mirrors, network: NetworkReader, limit: number) {
    this.#mirrors = mirrors;
    this.#network = network;
    this.#limit = limit;
  }

  /**
   * The newest release by the first mirror that has a fresh proof, or by the network; where nobody has one, by the newest of the older
   * proofs, if that is not older than is allowed. @throws UserError when it is
   */
  async head(accept?: (head: Head | undefined) => Promise<void>): Promise<Head | undefined> {
    const stale: Head[] = [];
    let refused: { readonly error: unknown } | undefined;
    const verify = async (proof: Buffer): Promise<Head | undefined> => {
      const head = await this.#network.restore(proof).catch((error) => {
        // It is certified that there is no such channel, or was.
        if (error instanceof AbsentChannelError) throw new NotHereError(error.message, { cause: error });
        throw error;
      });
      try {
        checkTime(head.certifiedAt);
      } catch (error) {
        if (head.certifiedAt.getTime() < Date.now()) stale.push(head);
        throw new NotHereError(`its proof is of ${head.certifiedAt.toISOString()}`, { cause: error });
      }
      // The subnet has signed it, and not long ago: who carries it cannot know better.
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
      const { maxStale, only } = this.#mirrors;
      if (refused !== undefined && only) throw refused.error;
      const newest = stale.toSorted((a, b) => b.certifiedAt.getTime() - a.certifiedAt.getTime())[0];
      if (newest === undefined) throw error;
      const age = Date.now() - newest.certifiedAt.getTime();
      if (age <= maxStale) {
        await accept?.(newest);
        return newest;
      }
      if (!only) throw error;
      throw new UserError(
        `the newest proof that a mirror has was certified ${ageText(age)} ago${maxStale > 0 ? ", which --max-stale does not allow" : ": --max-stale TIME, such as 7d, takes one so old"}; \`icfs mirror\` brings it up to date`,
      );
    }
  }

  /** What kind of canister it is: an icfs canister where a mirror proves a release, however old; else what `detect` finds. */
  kind(detect: () => Promise<SourceKind>): Promise<SourceKind> {
    return this.#mirrors.ask<SourceKind>({
      path: this.#network.proofPath,
      most: MAX_PROOF_BYTES,
      limit: this.#limit,
      verify: async (proof) => {
        await this.#network.restore(proof);
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
      // Nobody lies: somebody may be copying the mirror's files, of which the headers come later.
      missing: (why) => new NoAnswerError(`no mirror has the headers below release ${from + 1}: ${why}`),
    });
  }

  /** The network's reader puts it together, of pieces that come from here. */
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
      verify: async (bytes) => {
        if (bytes.length === 0) throw new FormatError("a chunk has no bytes");
        if (!(await sha256(bytes)).equals(expected)) {
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
