/**
 * A canister's stable memory: committed bytes, and the pages that the running message has written on top of them.
 *
 * The committed bytes are in shared segments, so that the main thread still has them when a worker has to be ended. A message
 * writes to private copies of 64 KiB pages; a commit moves them into the segments, and a rollback discards them. Neither costs
 * anything for pages that were not written.
 */

export const STABLE_PAGE = 65536;
/** Pages to a segment: 4 MiB, few enough segments for a large canister and little waste for a small one. */
export const SEGMENT_PAGES = 64;
/** The IC's limit: 500 GiB. */
const MAX_PAGES = 500 * 16384;

/** Committed stable memory as threads share it. A missing segment reads as zeros. */
export interface StableState {
  pages: number;
  segments: (SharedArrayBuffer | undefined)[];
}

/** What a commit changed, besides the bytes of existing segments. */
export interface StableDelta {
  pages: number;
  segments: [index: number, segment: SharedArrayBuffer][];
  /** The pages that were written. */
  written: number[];
}

export class StableMemory {
  #committedPages: number;
  #pages: number;
  readonly #segments: (SharedArrayBuffer | undefined)[];
  readonly #views: (Uint8Array | undefined)[] = [];
  /** Segments that another state may share. They are copied before the first write, since an upgrade may still fail. */
  readonly #foreign: Set<number>;
  readonly #written = new Map<number, Uint8Array>();

  /** @param copyOnWrite leave the given segments as they are and write to copies */
  constructor(state: StableState, copyOnWrite: boolean) {
    this.#committedPages = state.pages;
    this.#pages = state.pages;
    this.#segments = [...state.segments];
    this.#foreign = new Set(copyOnWrite ? this.#segments.keys() : []);
  }

  get pages(): number {
    return this.#pages;
  }

  /** @returns the previous size in pages, or -1 when the memory cannot grow that far */
  grow(pages: number): number {
    const before = this.#pages;
    if (before + pages > MAX_PAGES) return -1;
    this.#pages += pages;
    return before;
  }

  /** Copies from `offset` into `target`. The caller has checked the bounds. */
  read(offset: number, target: Uint8Array): void {
    for (const [page, within, at, length] of spans(offset, target.length)) {
      const source = this.#written.get(page) ?? this.#committed(page);
      if (source === undefined) target.fill(0, at, at + length);
      else target.set(source.subarray(within, within + length), at);
    }
  }

  /** Copies `source` to `offset`. The caller has checked the bounds. */
  write(offset: number, source: Uint8Array): void {
    for (const [page, within, at, length] of spans(offset, source.length)) {
      let bytes = this.#written.get(page);
      if (bytes === undefined) {
        bytes = new Uint8Array(STABLE_PAGE);
        const before = length === STABLE_PAGE ? undefined : this.#committed(page);
        if (before !== undefined) bytes.set(before);
        this.#written.set(page, bytes);
      }
      bytes.set(source.subarray(at, at + length), within);
    }
  }

  /** Discards what the message has written. */
  rollback(): void {
    this.#written.clear();
    this.#pages = this.#committedPages;
  }

  /** Keeps what the message has written. */
  commit(): StableDelta {
    const added = new Set<number>();
    for (const [page, bytes] of this.#written) {
      const index = Math.floor(page / SEGMENT_PAGES);
      let segment = this.#segments[index];
      if (segment === undefined || this.#foreign.has(index)) {
        const fresh = new SharedArrayBuffer(SEGMENT_PAGES * STABLE_PAGE);
        if (segment !== undefined) new Uint8Array(fresh).set(new Uint8Array(segment));
        segment = fresh;
        this.#segments[index] = segment;
        this.#views[index] = undefined;
        this.#foreign.delete(index);
        added.add(index);
      }
      new Uint8Array(segment).set(bytes, (page % SEGMENT_PAGES) * STABLE_PAGE);
    }
    const written = [...this.#written.keys()];
    this.#written.clear();
    this.#committedPages = this.#pages;
    const segments = [...added].map((index): [number, SharedArrayBuffer] => [index, this.#segments[index]!]);
    return { pages: this.#pages, segments, written };
  }

  #committed(page: number): Uint8Array | undefined {
    const index = Math.floor(page / SEGMENT_PAGES);
    const segment = this.#segments[index];
    if (segment === undefined) return undefined;
    this.#views[index] ??= new Uint8Array(segment);
    const start = (page % SEGMENT_PAGES) * STABLE_PAGE;
    return this.#views[index].subarray(start, start + STABLE_PAGE);
  }
}

/** Cuts a range into its pieces within pages: page, offset in the page, offset in the range, length. */
function* spans(offset: number, length: number): Generator<[number, number, number, number]> {
  for (let at = 0; at < length; ) {
    const page = Math.floor((offset + at) / STABLE_PAGE);
    const within = (offset + at) % STABLE_PAGE;
    const count = Math.min(STABLE_PAGE - within, length - at);
    yield [page, within, at, count];
    at += count;
  }
}
