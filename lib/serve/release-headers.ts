/** The headers below the newest release, for whoever walks down the chain from its proof: fetched and verified once a release. */
import { encodeHeaders } from "../source/icfs/header-list.ts";
import type { ProvenRelease } from "../source/icfs/open-release.ts";
import { headerHash } from "../tree/header.ts";

/** Gives the headers of the releases below the newest one of a proof, newest first, verified (lib/source/icfs/source.ts). */
export interface HeaderSource {
  headersBelow(proven: ProvenRelease, last: number, mostBytes: number): Promise<readonly Uint8Array[]>;
}

/** Bytes that are held. A release's header has up to 35 KB: those of the oldest are asked of somebody else. */
const MOST_BYTES = 16 * 1024 * 1024;
/** Of a page, as the canister has it. */
const PAGE_BYTES = 1_000_000;
const PAGE_HEADERS = 1000;

export class Headers {
  readonly #source: HeaderSource;
  #newest = 0;
  #hash = "";
  /** From release `newest` - 1 downwards. */
  #below: readonly Uint8Array[] = [];

  constructor(source: HeaderSource) {
    this.#source = source;
  }

  /** Fetches what is missing below the newest release that is proved. @throws as the source */
  async follow(proven: ProvenRelease): Promise<void> {
    const { number } = proven.newest.header;
    const hash = proven.newest.hash.toString("hex");
    if (hash === this.#hash) return;
    const known = this.#newest;
    const isNext = known > 0 && known < number;
    const above = await this.#source.headersBelow(proven, isNext ? known : 1, MOST_BYTES);
    const joins = isNext && above.length === number - known;
    // Each was verified to be the parent of the one above it, and so is what was known, if the last one is.
    const isSame = joins && headerHash(above.at(-1)!).toString("hex") === this.#hash;
    const all = isSame
      ? [...above, ...this.#below]
      : isNext
        ? await this.#source.headersBelow(proven, 1, MOST_BYTES)
        : above;
    this.#below = upTo(MOST_BYTES, all);
    this.#newest = number;
    this.#hash = hash;
  }

  /** A page of headers from release `from` downwards, as the method `headers` answers; undefined when they are not all here. */
  page(from: number): Buffer | undefined {
    const start = this.#newest - 1 - from;
    if (start < 0 || start >= this.#below.length) return undefined;
    const page = upTo(PAGE_BYTES, this.#below.slice(start, start + PAGE_HEADERS));
    const isCut =
      start + page.length === this.#below.length && page.length < from && page.length < PAGE_HEADERS;
    // A reader takes a short page that does not end at the first release for a lie.
    return isCut ? undefined : encodeHeaders(page);
  }
}

/** The first ones; one more than fits. */
function upTo(most: number, headers: readonly Uint8Array[]): readonly Uint8Array[] {
  let bytes = 0;
  const end = headers.findIndex(({ length }) => {
    bytes += length;
    return bytes >= most;
  });
  return end < 0 ? headers : headers.slice(0, end + 1);
}
