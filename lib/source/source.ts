/**
 * What the rest needs of a canister that has files in it: the tree as it is now, and each chunk of its files. A source
 * verifies as well as its kind of canister allows, then and only then hands over; what carries the bytes (agent queries
 * today) is its own business.
 */
import { VerificationError } from "../ic/certificate/certificate.ts";
import type { Chunk, Tree, VerifiedChunk } from "../tree/tree.ts";
import type { Urgency } from "../urgency.ts";

export type SourceKind = "icfs" | "icboot" | "assets";

/**
 * What vouches for a tree's bytes: a certificate of the subnet over what they hash to; the subnet's consensus, read by read;
 * or the signature of the one node that answered.
 */
export type Verification = "certified" | "replicated" | "node-signature";

/**
 * How to read what no certificate vouches for: `query`, with one node's signature, or `replicated`, through the subnet's
 * consensus, which takes seconds for each read.
 */
export type Trust = "query" | "replicated";

/** A canister's tree at one moment: a release, or, where the canister has none, a snapshot. */
export interface Release {
  /** From 1; undefined where the canister does not number them. */
  readonly number: number | undefined;
  /** Names it: of the release's header, or of the snapshot's listing. */
  readonly hash: Buffer;
  /** When the subnet certified that it is the newest; without certificates, when the canister said so. */
  readonly certifiedAt: Date;
  readonly verified: Verification;
  /** The channel that stands for it, where that was asked for, and the serial of the record that says so. */
  readonly channel?: { readonly name: string; readonly serial: number } | undefined;
}

/** What arrived is wrong, and will be the next time: to try again is of no use. */
export class LastingError extends VerificationError {}

/** A file is not what it was when it was listed or first read; the next release has it as it is now. */
export class ChangedError extends LastingError {}

/** The canister has a file with other bytes than it, or the subnet, says. */
export class WrongContentError extends LastingError {}

/** Where verified pieces are kept, by their SHA-256 in hexadecimal (lib/cache). */
export interface Pieces {
  read(sha256: string): Promise<Buffer | undefined>;
  /** Never rejects. */
  write(sha256: string, bytes: Buffer): Promise<void>;
}

export interface Source {
  readonly kind: SourceKind;
  /** A chunk takes seconds, however few are asked for at once. */
  readonly slow: boolean;
  /** Grows when more is known of what was read, and evidence() says more. */
  readonly learned: number;
  /**
   * The newest release, or the one that was asked for. Tries a few times.
   *
   * @param thorough somebody has asked for it: whatever can be looked at is
   * @throws UserError when there is none; VerificationError, FormatError, RejectError, Error
   */
  newest(thorough?: boolean): Promise<Release>;
  /** A release's tree. @param pieces asked first, and given what they have not got. @throws as newest() */
  tree(release: Release, pieces?: Pieces): Promise<Tree>;
  /**
   * A chunk's verified bytes, and the chunk as it is known from then on: with its hash. One attempt.
   *
   * @param arrived called as parts arrive, where it takes more than one answer
   * @param received told of the one answer's bytes as they arrive, where somebody counts them
   * @param urgency until it rises the answer may take its time
   * @throws VerificationError, FormatError, RejectError, Error
   */
  chunk(
    chunk: Chunk,
    arrived?: () => void,
    received?: (bytes: number) => void,
    urgency?: Urgency,
  ): Promise<VerifiedChunk>;
  /** What a chunk is known to be by now, as Tree.known(). */
  known(chunk: Chunk): Chunk;
  /** What proves the release without asking again, for restore(). Undefined: more than can be kept. */
  evidence(release: Release): Promise<Buffer | undefined>;
  /** What evidence() was made of, verified again, but for its age. @throws VerificationError, FormatError */
  restore(evidence: Buffer): Promise<Release>;
  /** SHA-256, in hexadecimal, of the pieces that tree() reads. */
  piecesOf(release: Release): readonly string[];
}
