/**
 * Reads an icfs canister by queries: certificate → header → manifest → chunk, each verified by the hash in the one before
 * (docs/PROTOCOL.md).
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import pLimit from "p-limit";
import { FormatError } from "../../errors.ts";
import { blobArgument, NO_ARGUMENTS, queryBlob } from "../../ic/agent.ts";
import { ERROR_CODES, RejectError } from "../../ic/call-errors.ts";
import { CborReader } from "../../ic/certificate/cbor-reader.ts";
import { VerificationError, verifyCertificate } from "../../ic/certificate/certificate.ts";
import { decodeHashTree, lookupLeaf, rootHash } from "../../ic/certificate/hash-tree.ts";
import type { BlsVerify } from "../../ic/certificate/valid-signatures.ts";
import { fromAnyGateway } from "../../ic/gateway/any-gateway.ts";
import type { Received } from "../../ic/transport/bounded-fetch.ts";
import { refusalToRead, withoutChannels } from "../../refusals.ts";
import { inSteps } from "../../steps.ts";
import { hexOf, sha256 } from "../../tree/hash.ts";
import { decodeHeader, type Header, headerHash } from "../../tree/header.ts";
import type { ChunkReference, Manifest } from "../../tree/manifest.ts";
import { decodingManifest } from "../../tree/manifest-decoder.ts";
import type { Urgency } from "../../urgency.ts";
import type { Pieces } from "../source.ts";
import { channelsIn } from "./channels.ts";
import { decodeHeaders } from "./header-list.ts";
import { channelPath, releasePath } from "./mirror-paths.ts";
import { type Head, MissingChunkError, type NetworkReader } from "./release-reader.ts";

/** Pieces of a manifest that are requested at once: enough to fill a long link, and few enough for a boundary node's rate limit. */
const PARALLEL_PIECES = 16;

/**
 * Limit on a proof: a header of a thousand pieces has 35 KB, a witness a few hundred bytes, a certificate a few thousand. (The decoders
 * have limits of their own.)
 */
export const MAX_PROOF_BYTES = 256 * 1024;

/** Returns what checks the next certificate's signatures; undefined: verifySignature() of lib/ic/certificate/bls.ts. */
export type BlsVerifier = () => BlsVerify | undefined;

/** What head() proves: the newest release alone, or in addition the last record of a channel, or of all channels. */
export type Shown = "release" | "channels" | { readonly channel: string };

export class IcfsReader implements NetworkReader {
  readonly #agent: HttpAgent;
  readonly #proofAgent: HttpAgent;
  readonly #canister: Principal;
  readonly #rootKey: Uint8Array;
  readonly #blsVerify: BlsVerifier;
  readonly #shown: Shown;
  readonly proofPath: string;

  /**
   * @param agent without query signatures: everything that it fetches is certified or hash-chained
   * @param proofAgent for answers of at most MAX_PROOF_BYTES
   */
  constructor(
    agent: HttpAgent,
    canister: Principal,
    rootKey: Uint8Array,
    blsVerify: BlsVerifier = () => undefined,
    proofAgent: HttpAgent = agent,
    shown: Shown = "release",
  ) {
    this.#agent = agent;
    this.#proofAgent = proofAgent;
    this.#canister = canister;
    this.#rootKey = rootKey;
    this.#blsVerify = blsVerify;
    this.#shown = shown;
    // All channels together have no such URL.
    this.proofPath = typeof shown === "string" ? releasePath : channelPath(shown.channel);
  }

  head(accept?: (head: Head | undefined) => Promise<void>): Promise<Head | undefined> {
    return fromAnyGateway(this.#proofAgent, async (agent) => {
      const head = await this.#verified(await this.#askForHead(agent), "fresh");
      await accept?.(head);
      return head;
    });
  }

  async restore(proof: Uint8Array): Promise<Head> {
    const head = await this.#verified(proof, "any");
    if (head === undefined) throw new FormatError("the proof proves no release");
    return head;
  }

  #askForHead(agent: HttpAgent): Promise<Uint8Array> {
    if (this.#shown === "release") return this.#query(agent, "release", NO_ARGUMENTS);
    return this.#query(
      agent,
      "channels",
      textArgument(this.#shown === "channels" ? undefined : this.#shown.channel),
    );
  }

  async #verified(reply: Uint8Array, age: "fresh" | "any"): Promise<Head | undefined> {
    if (reply.length > MAX_PROOF_BYTES) throw new FormatError(`a proof of ${reply.length} bytes`);
    const proof = decodeProof(reply, this.#shown !== "release");
    const certified = await verifyCertificate(
      proof.certificate,
      this.#rootKey,
      this.#canister,
      "certified_data",
      age,
      this.#blsVerify(),
    );
    const witness = decodeHashTree(proof.witness);
    if (!rootHash(witness).equals(certified.data)) {
      throw new VerificationError("the witness is not the tree that the certificate certifies");
    }
    const leaf = lookupLeaf(witness, ["icfs", "head"]);
    if (leaf === undefined) throw new VerificationError("the certificate certifies no icfs release");
    if (leaf.length === 0 && proof.header.length === 0) return undefined;
    const hash = headerHash(proof.header);
    if (!hash.equals(leaf)) throw new VerificationError("the header is not the one that is certified");
    const head = { header: decodeHeader(proof.header), hash, certifiedAt: certified.time, proof: reply };
    if (proof.records === undefined) return head;
    const name = typeof this.#shown === "string" ? undefined : this.#shown.channel;
    return { ...head, channels: channelsIn(witness, proof.records, this.#canister, name) };
  }

  headers(
    from: number,
    count: number,
    accept?: (headers: readonly Uint8Array[]) => void,
  ): Promise<readonly Uint8Array[]> {
    return fromAnyGateway(this.#agent, async (agent) => {
      const headers = decodeHeaders(await this.#query(agent, "headers", headersArguments(from, count)));
      if (headers.length > count) throw new FormatError("more headers than asked for");
      accept?.(headers);
      return headers;
    });
  }

  async manifest({ manifest }: Header, kept?: Pieces): Promise<Manifest> {
    const limit = pLimit(PARALLEL_PIECES);
    let total = 0;
    const pieces = await Promise.all(
      manifest.chunks.map((hash) =>
        limit(async () => {
          const piece = await this.#piece(hash, kept);
          total += piece.length;
          // Checked at once: a thousand pieces could have 4 GB.
          if (total > manifest.size) {
            limit.clearQueue();
            throw new VerificationError("the manifest is longer than its header says");
          }
          return piece;
        }),
      ),
    );
    const bytes = Buffer.concat(pieces);
    if (bytes.length !== manifest.size || !(await sha256(bytes)).equals(manifest.sha256)) {
      throw new VerificationError("the manifest is not the one in the header");
    }
    return inSteps(decodingManifest(bytes));
  }

  async #piece(hash: Uint8Array, kept: Pieces | undefined): Promise<Buffer> {
    const found = await kept?.read(hexOf(hash));
    if (found !== undefined) return found;
    const piece = await this.piece(hash);
    await kept?.write(hexOf(hash), piece);
    return piece;
  }

  piece(hash: Uint8Array): Promise<Buffer> {
    return this.#verifiedChunk(hash, "the manifest");
  }

  async chunk(
    { sha256: hash, size }: ChunkReference,
    received?: Received,
    urgency?: Urgency,
  ): Promise<Buffer> {
    const bytes = await this.#verifiedChunk(hash, "a file", received, urgency);
    // The hash is right, so the manifest lies about the size.
    if (bytes.length !== size) throw new VerificationError("a chunk has another size than the manifest says");
    return bytes;
  }

  #verifiedChunk(hash: Uint8Array, part: string, received?: Received, urgency?: Urgency): Promise<Buffer> {
    const ask = async (agent: HttpAgent) => {
      const bytes = await this.#query(agent, "chunk", blobArgument(hash));
      if (bytes.length === 0) {
        throw new MissingChunkError(`the canister does not have chunk ${hexOf(hash)} of ${part}`);
      }
      if (!(await sha256(bytes)).equals(hash)) {
        throw new VerificationError(`chunk ${hexOf(hash)} arrived with other bytes`);
      }
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    };
    return fromAnyGateway(this.#agent, ask, received, urgency);
  }

  async #query(agent: HttpAgent, method: string, arg: Uint8Array): Promise<Uint8Array> {
    try {
      return await queryBlob(agent, this.#canister, method, arg);
    } catch (error) {
      if (!(error instanceof RejectError)) throw error;
      const { code, errorCode, reason } = error;
      if (method === "channels" && errorCode === ERROR_CODES.methodNotFound) {
        throw new RejectError(code, withoutChannels(this.#canister), errorCode, reason);
      }
      const refusal = refusalToRead(error, await this.#agent.getPrincipal(), this.#canister);
      throw refusal === undefined ? error : new RejectError(code, refusal, errorCode, reason);
    }
  }
}

interface Proof {
  readonly header: Buffer;
  readonly records: readonly Buffer[] | undefined;
  readonly witness: Buffer;
  readonly certificate: Buffer;
}

/**
 * The answer of `release()`: the CBOR map { header, witness, certificate }, in this order; or of `channels()`, with records after the
 * header.
 *
 * @throws FormatError
 */
function decodeProof(reply: Uint8Array, hasRecords: boolean): Proof {
  const reader = new CborReader(reply);
  if (reader.map() !== (hasRecords ? 4 : 3)) throw new FormatError("the proof has too few parts or too many");
  const begin = (name: string) => {
    if (reader.text() !== name) throw new FormatError(`the proof has no ${name} where it belongs`);
  };
  const part = (name: string): Buffer => {
    begin(name);
    return reader.bytes();
  };
  const items = (name: string): Buffer[] => {
    begin(name);
    const parts: Buffer[] = [];
    for (let left = reader.array(); left > 0; left--) parts.push(reader.bytes());
    return parts;
  };
  const proof = {
    header: part("header"),
    records: hasRecords ? items("records") : undefined,
    witness: part("witness"),
    certificate: part("certificate"),
  };
  reader.end();
  return proof;
}

/** Candid of (opt text). The text must have fewer than 128 bytes. */
function textArgument(text: string | undefined): Uint8Array {
  const prefix = Buffer.from("4449444c016e710100", "hex");
  if (text === undefined) return Buffer.concat([prefix, Buffer.from([0])]);
  const bytes = Buffer.from(text);
  return Buffer.concat([prefix, Buffer.from([1, bytes.length]), bytes]);
}

/** Candid of (nat64, nat32). */
function headersArguments(from: number, count: number): Uint8Array {
  const bytes = Buffer.from("4449444c00027879000000000000000000000000", "hex");
  bytes.writeBigUInt64LE(BigInt(from), 8);
  bytes.writeUInt32LE(count, 16);
  return bytes;
}
