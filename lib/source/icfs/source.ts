/** The icfs canister as a source: everything is certified, and never older than what this host has accepted. */
import { FormatError } from "../../errors.ts";
import { inSteps } from "../../steps.ts";
import { hexOf } from "../../tree/hash.ts";
import type { Header } from "../../tree/header.ts";
import type { ChunkReference } from "../../tree/manifest.ts";
import type { Chunk, Tree, VerifiedChunk } from "../../tree/tree.ts";
import type { Urgency } from "../../urgency.ts";
import type { ReleaseAddress } from "../address.ts";
import { fewAttempts } from "../few-attempts.ts";
import type { Pieces, Release, Source } from "../source.ts";
import { ancestors } from "./chain.ts";
import {
  type Evidence,
  openHead,
  openTree,
  type ProvenRelease,
  proveBelow,
  restoreRelease,
} from "./open-release.ts";
import type { Head, ReleaseReader } from "./release-reader.ts";

/** A proven release, in the form of all sources. */
export class IcfsRelease implements Release {
  readonly proven: ProvenRelease;
  readonly verified = "certified";

  constructor(proven: ProvenRelease) {
    this.proven = proven;
  }

  get header(): Header {
    return this.proven.header;
  }

  get number(): number {
    return this.header.number;
  }

  get hash(): Buffer {
    return this.proven.hash;
  }

  get channel(): Release["channel"] {
    const { channel } = this.proven;
    return channel && { name: channel.name, serial: channel.serial };
  }

  get certifiedAt(): Date {
    return this.proven.certifiedAt;
  }
}

export class IcfsSource implements Source {
  readonly kind = "icfs";
  readonly slow = false;
  readonly learned = 0;
  readonly #address: ReleaseAddress;
  readonly #reader: ReleaseReader;
  readonly #head: () => Promise<Head>;
  /** The last proof. */
  #before: ProvenRelease | undefined;

  /** @param head gets the newest release, if this host accepts it; default: openHead() with the reader */
  constructor(
    address: ReleaseAddress,
    reader: ReleaseReader,
    head: () => Promise<Head> = () => openHead(address, reader),
  ) {
    this.#address = address;
    this.#reader = reader;
    this.#head = head;
  }

  async newest(): Promise<IcfsRelease> {
    this.#before = await proveBelow(await this.#head(), this.#address, this.#reader, this.#before);
    return new IcfsRelease(this.#before);
  }

  tree({ proven }: IcfsRelease, pieces?: Pieces): Promise<Tree> {
    return openTree(this.#address, proven, this.#reader, pieces);
  }

  async chunk(
    chunk: Chunk,
    _arrived?: () => void,
    received?: (bytes: number) => void,
    urgency?: Urgency,
  ): Promise<VerifiedChunk> {
    // A manifest's chunks have hashes.
    const reference = chunk as ChunkReference;
    return { chunk: reference, bytes: await this.#reader.chunk(reference, received, urgency) };
  }

  known(chunk: Chunk): Chunk {
    return chunk;
  }

  async evidence({ proven }: IcfsRelease): Promise<Buffer | undefined> {
    const { proof, headers } = proven.evidence;
    if (headers === undefined) return undefined;
    return inSteps(encoding(proof, headers));
  }

  async restore(evidence: Buffer): Promise<IcfsRelease> {
    this.#before = await restoreRelease(this.#address, decode(evidence), this.#reader);
    return new IcfsRelease(this.#before);
  }

  /**
   * The headers of the releases below the newest one, by which `proven` is proved, newest first. Each is verified to be its successor's
   * parent.
   *
   * @param last the number of the lowest release
   * @param mostBytes bytes of headers after which it ends earlier
   * @throws VerificationError, FormatError, RejectError, Error
   */
  async headersBelow(
    { newest }: ProvenRelease,
    last: number,
    mostBytes: number,
  ): Promise<readonly Uint8Array[]> {
    const headers: Uint8Array[] = [];
    let bytes = 0;
    const fetch: ReleaseReader["headers"] = async (from, count, accept) => {
      const page = await fewAttempts(() => this.#reader.headers(from, count, accept));
      headers.push(...page);
      for (const { length } of page) bytes += length;
      return page;
    };
    for await (const _ of ancestors(newest, { headers: fetch }, last)) {
      // When the first header of a page arrives, the whole page has been verified.
      if (bytes >= mostBytes) break;
    }
    return headers;
  }

  /** Keeps manifests, which are small, and which an offline mount needs first. */
  piecesOf({ header }: IcfsRelease): string[] {
    return header.manifest.chunks.map(hexOf);
  }
}

/** Bytes of headers between two pauses: a millisecond or two. There may be 16 MiB of them. */
const BYTES_PER_STEP = 256 * 1024;

/** Evidence as JSON, with proof and headers in base64. In steps. */
function* encoding(proof: Uint8Array, headers: readonly Uint8Array[]): Generator<void, Buffer> {
  const parts = [`{"proof":"${base64(proof)}","headers":[`];
  let bytes = 0;
  for (const [i, header] of headers.entries()) {
    parts.push(`${i === 0 ? "" : ","}"${base64(header)}"`);
    bytes += header.length;
    if (bytes < BYTES_PER_STEP) continue;
    bytes = 0;
    yield;
  }
  parts.push("]}");
  yield;
  return Buffer.from(parts.join(""), "latin1");
}

/** The evidence in bytes of encoding(). @throws FormatError */
function decode(bytes: Buffer): Evidence {
  try {
    const { proof, headers } = JSON.parse(bytes.toString()) as { proof: string; headers: string[] };
    return { proof: Buffer.from(proof, "base64"), headers: headers.map((h) => Buffer.from(h, "base64")) };
  } catch {
    throw new FormatError("what was kept of the release cannot be read");
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
