/**
 * The interface to a canister with files: its current tree, and the chunks of its files. Before it returns anything, a source verifies it
 * as well as its kind of canister allows. How it fetches the bytes is up to the source.
 */
import { VerificationError } from "../ic/certificate/certificate.ts";
import type { Chunk, Tree, VerifiedChunk } from "../tree/tree.ts";
import type { Urgency } from "../urgency.ts";

export type SourceKind = "icfs" | "icboot" | "assets";

/**
 * What vouches for a tree's bytes: the subnet's certificate over their hashes; the subnet's consensus for each read;
 * or the signature of the one node that answered.
 */
export type Verification = "certified" | "replicated" | "node-signature";

/**
 * How to read data without a certificate: `query`, with one node's signature, or `replicated`, through the subnet's
 * consensus, which takes seconds for each read.
 */
export type Trust = "query" | "replicated";

/** A canister's tree at one moment: a release or, if the canister has none, a snapshot. */
export interface Release {
  /** From 1; undefined if the canister does not number them. */
  readonly number: number | undefined;
  /** What identifies it: SHA-256 of the release's header, or of the snapshot's list. */
  readonly hash: Buffer;
  /** When the subnet certified that it is the newest; without certificates, when the canister said so. */
  readonly certifiedAt: Date;
  readonly verified: Verification;
  /** The channel that points to it, if one was requested, and the serial of its record. */
  readonly channel?: { readonly name: string; readonly serial: number } | undefined;
}

/** The data is wrong, and will be wrong again: retrying does not help. */
export class LastingError extends VerificationError {}

/** A file has changed since it was listed or first read; the next release has its new version. */
export class ChangedError extends LastingError {}

/** A file's bytes do not match what the canister, or the subnet, says about them. */
export class WrongContentError extends LastingError {}

/** Where verified pieces are kept, by their SHA-256 in hexadecimal (lib/cache). */
export interface Pieces {
  read(sha256: string): Promise<Buffer | undefined>;
  /** Never rejects. */
  write(sha256: string, bytes: Buffer): Promise<void>;
}

export interface Source {
  readonly kind: SourceKind;
  /** Whether each chunk takes seconds, however few are requested at once. */
  readonly slow: boolean;
  /** Grows when more becomes known about what was read, and evidence() contains more. */
  readonly learned: number;
  /**
   * The newest release, or the requested one. Tries a few times.
   *
   * @param thorough a user has asked for it: check everything that can be checked
   * @throws UserError when there is none; VerificationError, FormatError, RejectError, Error
   */
  newest(thorough?: boolean): Promise<Release>;
  /** A release's tree. @param pieces asked first, and given the pieces that they lack. @throws as newest() */
  tree(release: Release, pieces?: Pieces): Promise<Tree>;
  /**
   * A chunk's verified bytes, and the chunk as it is known from then on: with its hash. One attempt.
   *
   * @param arrived called as parts arrive, if it takes more than one answer
   * @param received told of the one answer's bytes as they arrive, if somebody counts them
   * @param urgency until it rises the answer may take its time
   * @throws VerificationError, FormatError, RejectError, Error
   */
  chunk(
    chunk: Chunk,
    arrived?: () => void,
    received?: (bytes: number) => void,
    urgency?: Urgency,
  ): Promise<VerifiedChunk>;
  /** The chunk as it is known by now, as Tree.known(). */
  known(chunk: Chunk): Chunk;
  /** The release's proof, for restore(). Undefined: it is too large to keep. */
  evidence(release: Release): Promise<Buffer | undefined>;
  /** The release of evidence(), verified again, except for its age. @throws VerificationError, FormatError */
  restore(evidence: Buffer): Promise<Release>;
  /** SHA-256, in hexadecimal, of the pieces that tree() reads. */
  piecesOf(release: Release): readonly string[];
}
