/** What is read of an icfs canister: the newest release's proof, the chain of headers below it, manifests, chunks. */
import { VerificationError } from "../../ic/certificate/certificate.ts";
import type { ChannelRecord } from "../../tree/channel.ts";
import type { Header } from "../../tree/header.ts";
import type { ChunkReference, Manifest } from "../../tree/manifest.ts";
import type { Urgency } from "../../urgency.ts";
import type { Pieces } from "../source.ts";

/** The source answers that it has not got a chunk: that of a release whose tree is not held any more, or it lies. */
export class MissingChunkError extends VerificationError {}

/** A release whose header is proved. */
export interface VerifiedHeader {
  readonly header: Header;
  /** SHA-256 of the header's bytes. */
  readonly hash: Buffer;
}

/** A record of a channel that is proved to be its last. */
export interface VerifiedRecord {
  readonly record: ChannelRecord;
  /** SHA-256 of the record's bytes. */
  readonly hash: Buffer;
}

/** The newest release's verified header. */
export interface Head extends VerifiedHeader {
  /** When the subnet certified that this is the newest release. */
  readonly certifiedAt: Date;
  /** What proves it, for `restore`. */
  readonly proof: Uint8Array;
  /** The last records of the channels that were asked for, by name; undefined: only the release was. */
  readonly channels?: ReadonlyMap<string, VerifiedRecord> | undefined;
}

/** One attempt each; retries and deadlines are the caller's. */
export interface ReleaseReader {
  /**
   * The newest release, or undefined before the first one. Its certificate has been verified.
   * @param accept may be called with it, and throws VerificationError when it is not to be accepted: another gateway may have another
   * @throws VerificationError, FormatError; RejectError and Error when there is no answer
   */
  head(accept?: (head: Head | undefined) => Promise<void>): Promise<Head | undefined>;
  /**
   * What head() returned once, from its `proof`, without the network: verified again, but for its age.
   * @throws VerificationError, FormatError
   */
  restore(proof: Uint8Array): Promise<Head>;
  /**
   * The headers of releases `from`, `from` - 1, ... as many as the source likes to give, not verified: a caller walks
   * the parents from a verified one.
   * @param accept may be called with them, and throws VerificationError when they are wrong: another gateway may have others
   */
  headers(
    from: number,
    count: number,
    accept?: (headers: readonly Uint8Array[]) => void,
  ): Promise<readonly Uint8Array[]>;
  /**
   * The verified tree of a verified header.
   * @param pieces asked first, and given what they have not got
   * @throws FormatError, VerificationError, ... as head()
   */
  manifest(header: Header, pieces?: Pieces): Promise<Manifest>;
  /**
   * A chunk's bytes, whose hash and size have been checked.
   * @param received told of its bytes as they arrive, before they are
   * @param urgency until it rises the answer may take its time
   * @throws VerificationError, ... as head()
   */
  chunk(reference: ChunkReference, received?: (bytes: number) => void, urgency?: Urgency): Promise<Buffer>;
}

/** By the network itself. */
export interface NetworkReader extends ReleaseReader {
  /** Where mirrors have what head() asks for. */
  readonly proofPath: string;
  /** A piece of a manifest, whose hash has been checked. @throws VerificationError, ... as head() */
  piece(sha256: Uint8Array): Promise<Buffer>;
}
