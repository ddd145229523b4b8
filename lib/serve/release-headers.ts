/**
 * The headers below the newest release, for clients that walk down the chain from its proof. They are fetched and verified once
 * per release, and kept.
 */
import { decodeHeaders, encodeHeaders } from "../source/icfs/header-list.ts";
import type { ProvenRelease } from "../source/icfs/open-release.ts";
import { inSteps } from "../steps.ts";
import { decodeHeader, type Header, headerHash } from "../tree/header.ts";

/** Fetches the headers of the releases below the newest one of a proof, newest first, verified (lib/source/icfs/source.ts). */
export interface HeaderSource {
  headersBelow(proven: ProvenRelease, last: number, mostBytes: number): Promise<readonly Uint8Array[]>;
}

/** The limit in memory. A release's header has up to 35 KB; clients must ask elsewhere for the oldest. */
const MOST_BYTES = 16 * 1024 * 1024;
/** The size of a page, as in the canister. */
const PAGE_BYTES = 1_000_000;
const PAGE_HEADERS = 1000;
/** Bytes hashed between two pauses; they take a millisecond. */
const BYTES_PER_STEP = 256 * 1024;

/** Keeps headers for the next process, which may have no network: lib/source/kept.ts. */
export interface HeaderStore {
  read(): Promise<Buffer | undefined>;
  /** Never rejects. */
  write(bytes: Buffer): Promise<unknown>;
}

export class Headers {
  readonly #source: HeaderSource;
  readonly #store: HeaderStore | undefined;
  #newest = 0;
  #hash = "";
  /** Headers from release `newest` - 1 downwards. */
  #below: readonly Uint8Array[] = [];

  constructor(source: HeaderSource, store?: HeaderStore) {
    this.#source = source;
    this.#store = store;
  }

  /** Fetches the headers that are missing below the newest proven release. @throws errors of the source */
  async follow(proven: ProvenRelease): Promise<void> {
    const { number } = proven.newest.header;
    const hash = proven.newest.hash.toString("hex");
    if (hash === this.#hash) return;
    const known = this.#newest === 0 ? await this.#kept() : this.#below;
    const here = partBelow(proven.newest.header, known);
    const below = here ?? (await this.#fetchBelow(proven, known));
    this.#below = upTo(MOST_BYTES, below);
    this.#newest = number;
    this.#hash = hash;
    if (here === undefined) await this.#store?.write(encodeHeaders(this.#below));
  }

  /** @param known headers from an earlier release */
  async #fetchBelow(proven: ProvenRelease, known: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
    const top = known[0] && decodeHeader(known[0]).number;
    if (top !== undefined && top < proven.newest.header.number - 1) {
      const above = await this.#source.headersBelow(proven, top + 1, MOST_BYTES);
      // Each fetched header was verified as the parent of the one above it. Known headers are verified as well if the first of
      // them joins the chain.
      const joining = above.at(-1) && partBelow(decodeHeader(above.at(-1)!), known);
      if (joining !== undefined) return [...above, ...joining];
    }
    return this.#source.headersBelow(proven, 1, MOST_BYTES);
  }

  /** The headers that another process kept: a chain whose newest header is not proven yet. */
  async #kept(): Promise<readonly Uint8Array[]> {
    const bytes = await this.#store?.read();
    if (bytes === undefined) return [];
    try {
      const headers = decodeHeaders(bytes);
      return (await inSteps(isChain(headers))) ? headers : [];
    } catch {
      return [];
    }
  }

  /**
   * A page of headers from release `from` downwards, in the format of the method `headers`; undefined when some are missing here.
   */
  page(from: number): Buffer | undefined {
    const start = this.#newest - 1 - from;
    if (start < 0 || start >= this.#below.length) return undefined;
    const page = upTo(PAGE_BYTES, this.#below.slice(start, start + PAGE_HEADERS));
    const isCut =
      start + page.length === this.#below.length && page.length < from && page.length < PAGE_HEADERS;
    // Readers reject a short page that does not end at the first release.
    return isCut ? undefined : encodeHeaders(page);
  }
}

/** The part of a chain of headers below `header`; undefined when its parent is not among them. */
function partBelow(header: Header, headers: readonly Uint8Array[]): readonly Uint8Array[] | undefined {
  const { number, parent } = header;
  if (parent === undefined) return [];
  if (headers[0] === undefined) return undefined;
  const start = decodeHeader(headers[0]).number - (number - 1);
  const found = headers[start];
  return found !== undefined && headerHash(found).equals(parent) ? headers.slice(start) : undefined;
}

/** Whether each header is the parent of the previous one. @throws FormatError */
function* isChain(headers: readonly Uint8Array[]): Generator<void, boolean> {
  let bytes = 0;
  for (const [i, header] of headers.entries()) {
    if (i > 0 && partBelow(decodeHeader(headers[i - 1]!), [header]) === undefined) return false;
    bytes += header.length;
    if (bytes < BYTES_PER_STEP) continue;
    bytes = 0;
    yield;
  }
  return true;
}

/** The first headers, up to one more than fits. */
function upTo(most: number, headers: readonly Uint8Array[]): readonly Uint8Array[] {
  let bytes = 0;
  const end = headers.findIndex(({ length }) => {
    bytes += length;
    return bytes >= most;
  });
  return end < 0 ? headers : headers.slice(0, end + 1);
}
