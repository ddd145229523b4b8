/** How an icfs canister is read: the newest release's proof, the chain of headers below it, manifests, chunks. */
import { VerificationError } from "../../ic/certificate/certificate.ts";
import type { ChannelRecord } from "../../tree/channel.ts";
import type { Header } from "../../tree/header.ts";
import type { ChunkReference, Manifest } from "../../tree/manifest.ts";
import type { Urgency } from "../../urgency.ts";
import type { Pieces } from "../source.ts";

/** The canister, or a mirror, says that it does not have a chunk: the release is no longer held, or this is a lie. */
export class MissingChunkError extends VerificationError {}

/** A release whose header is proved. */
export interface VerifiedHeader {
  readonly header: Header;
  /** SHA-256 of the header's bytes. */
  readonly hash: Buffer;
}

/** A channel's last record, with proof. */
export interface VerifiedRecord {
  readonly record: ChannelRecord;
  /** SHA-256 of the record's bytes. */
  readonly hash: Buffer;
}

/** The newest release's verified header. */
export interface Head extends VerifiedHeader {
  /** When the subnet certified that this is the newest release. */
  readonly certifiedAt: Date;
  /** The bytes that prove it, for restore(). */
  readonly proof: Uint8Array;
  /** The last records of the requested channels, by name; undefined: only the release was requested. */
  readonly channels?: ReadonlyMap<string, VerifiedRecord> | undefined;
}

/** One attempt each; retries and deadlines are the caller's. */
export interface ReleaseReader {
  /**
   * The newest release, or undefined before the first one. Its certificate has been verified.
   * @param accept called with it by some readers, and throws VerificationError to refuse it: another gateway may have a better one
   * @throws VerificationError, FormatError; RejectError and Error when there is no answer
   */
  head(accept?: (head: Head | undefined) => Promise<void>): Promise<Head | undefined>;
  /**
   * An earlier result of head(), from its `proof`, without the network: verified again, except for its age.
   * @throws VerificationError, FormatError
   */
  restore(proof: Uint8Array): Promise<Head>;
  /**
   * The headers of releases `from`, `from` - 1, ..., at most `count`, and as many of them as the canister chooses to return. They are not
   * verified: a caller walks the parents from a verified one (chain.ts).
   * @param accept called with them by some readers, and throws VerificationError to refuse them: another gateway may have the right ones
   */
  headers(
    from: number,
    count: number,
    accept?: (headers: readonly Uint8Array[]) => void,
  ): Promise<readonly Uint8Array[]>;
  /**
   * The verified manifest of a verified header.
   * @param pieces asked first, and given the pieces that they lack
   * @throws FormatError, VerificationError, ... as head()
   */
  manifest(header: Header, pieces?: Pieces): Promise<Manifest>;
  /**
   * A chunk's bytes, with hash and size checked.
   * @param received told of its bytes as they arrive, before they are checked
   * @param urgency until it rises the answer may take its time
   * @throws VerificationError, ... as head()
   */
  chunk(reference: ChunkReference, received?: (bytes: number) => void, urgency?: Urgency): Promise<Buffer>;
}

/** A reader for the network itself. */
export interface NetworkReader extends ReleaseReader {
  /** Where mirrors have the answer to head(). */
  readonly proofPath: string;
  /** A piece of a manifest, whose hash has been checked. @throws VerificationError, ... as head() */
  piece(sha256: Uint8Array): Promise<Buffer>;
}
