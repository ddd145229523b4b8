/**
 * The files of an asset canister, and their chunks: each file is read whole once, and known from then on by its chunks' hashes,
 * for as long as the asset stays the same.
 */
import { LRUCache } from "lru-cache";
import pLimit from "p-limit";
import { FormatError, messageOf } from "../../errors.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { VerificationError } from "../../ic/certificate.ts";
import { hexOf, sha256 } from "../../tree/hash.ts";
import { MAX_CHUNK_BYTES } from "../../tree/manifest.ts";
import { fewAttempts } from "../few-attempts.ts";
import { type ListedChunk, ListedFile } from "../listed-file.ts";
import { type LeftOut, MOST_CHUNKS } from "../listed-tree.ts";
import { ChangedError, type Pieces, WrongContentError } from "../source.ts";
import { getChunk } from "./canister.ts";
import { contentOf, rangeOf } from "./content.ts";
import type { AssetFile } from "./snapshot.ts";
import { readWhole, type TakeChunk, type WholeFile } from "./whole-file.ts";

/** Bytes of chunks that have come with a whole file, until they are asked for: what is not on disk is fetched again else. */
const HELD_BYTES = 32 * 1024 * 1024;
const HELD_BESIDE_DISK_BYTES = 8 * 1024 * 1024;
/** For those who read one chunk after the other: each lies in two pieces or three. */
const RECENT_PIECES = 8;
/** After so long a file that was wrong is read again: perhaps only nodes were. */
const WRONG_MS = 10 * 60_000;
/** How often a file may be wrong before it is not read again. */
const MOST_WRONG = 2;
/** Files that have to be read to know how long they are, decoded: at once. */
const PARALLEL_DECODINGS = 4;

/** A file that is shown, and the asset that it is. */
interface Known {
  readonly asset: AssetFile;
  readonly file: ListedFile;
  /** Of its chunks, as they were kept here; not verified. */
  readonly hints: readonly Buffer[] | undefined;
  /** Bytes of each of the canister's pieces, once all of it was read. */
  pieces?: readonly number[];
}

/** What is read, on its way: for all who wait for parts of it. */
interface Reading {
  readonly done: Promise<WholeFile>;
  readonly arrived: Set<() => void>;
}

export class Files {
  readonly #call: Call;
  readonly #leftOut: LeftOut;
  /** By what identityOf() says. */
  #known = new Map<string, Known>();
  readonly #assets = new WeakMap<ListedFile, Known>();
  readonly #readings = new Map<ListedFile, Reading>();
  /** By chunk, oldest first. */
  readonly #held = new Map<ListedChunk, Buffer>();
  #heldBytes = 0;
  readonly #recent = new LRUCache<string, Promise<Buffer>>({ max: RECENT_PIECES });
  /** Files that were not what is certified. */
  readonly #wrong = new LRUCache<ListedFile, { readonly times: number; readonly message: string }>({
    max: 1000,
    ttl: WRONG_MS,
  });
  #pieces: Pieces | undefined;

  /** @param call by query, with signatures checked: one flipped bit is to cost one chunk, and not the file */
  constructor(call: Call, leftOut: LeftOut) {
    this.#call = call;
    this.#leftOut = leftOut;
  }

  /** Where chunks are kept that come before they are asked for. */
  keepIn(pieces: Pieces | undefined): void {
    this.#pieces = pieces ?? this.#pieces;
  }

  known(asset: AssetFile): ListedFile | undefined {
    return this.#known.get(identityOf(asset))?.file;
  }

  /** What this host has found a file to be, once. */
  remember(asset: AssetFile, { size, sha256, chunks }: WholeFile): void {
    const { path, modified, encoding } = asset;
    // What is encoded was decoded here, and the chunks are those of that; what is not will be compared with what is certified.
    const isDecoded = encoding !== "identity";
    const file = new ListedFile({ path, modified, size, sha256 }, isDecoded ? chunks : []);
    this.#add({ asset, file, hints: isDecoded ? undefined : chunks });
  }

  /**
   * The files that assets are. Those that are stored encoded only are read and decoded, unless they have been before: before that
   * nobody knows how long they are.
   *
   * @throws what reading throws; what cannot be decoded, or is not what is certified, is left out
   */
  async of(assets: readonly AssetFile[]): Promise<ListedFile[]> {
    const limit = pLimit(PARALLEL_DECODINGS);
    const before = this.#known;
    this.#known = new Map();
    const files = await Promise.all(
      assets.map(async (asset) => {
        const known = before.get(identityOf(asset));
        if (known !== undefined) return this.#add(known);
        if (asset.encoding !== "identity") return limit(() => this.#decoded(asset));
        return this.#add({ asset, file: new ListedFile(asset), hints: undefined });
      }),
    );
    return files.filter((file) => file !== undefined);
  }

  async chunk(chunk: ListedChunk, arrived: () => void): Promise<Buffer> {
    if (chunk.sha256 === undefined) await this.#readFile(chunk.file, arrived);
    const { sha256 } = chunk;
    const bytes = this.#take(chunk) ?? (await this.#pieces?.read(hexOf(sha256!)));
    if (bytes !== undefined) return bytes;
    return this.#readAgain(chunk, arrived);
  }

  #add(known: Known): ListedFile {
    this.#known.set(identityOf(known.asset), known);
    this.#assets.set(known.file, known);
    return known.file;
  }

  /** Undefined when it is left out. */
  async #decoded(asset: AssetFile): Promise<ListedFile | undefined> {
    try {
      const most = MOST_CHUNKS * MAX_CHUNK_BYTES;
      const keep = (_index: number, sha256: Buffer, bytes: Buffer) => this.#keep(sha256, bytes);
      const { size, sha256, chunks } = await fewAttempts(() => this.#fetch(asset, most, keep, () => {}));
      const { path, modified } = asset;
      return this.#add({
        asset,
        file: new ListedFile({ path, modified, size, sha256 }, chunks),
        hints: undefined,
      });
    } catch (error) {
      if (error instanceof ChangedError || !isWrong(error)) throw error;
      this.#leftOut.say(asset.key, messageOf(error));
      return undefined;
    }
  }

  /** Reads all of a file, for all who ask for it meanwhile: then its chunks have hashes. */
  async #readFile(file: ListedFile, arrived: () => void): Promise<void> {
    let reading = this.#readings.get(file);
    if (reading === undefined) {
      const callbacks = new Set<() => void>();
      const done = this.#whole(file, () => {
        for (const callback of callbacks) callback();
      }).finally(() => this.#readings.delete(file));
      reading = { done, arrived: callbacks };
      this.#readings.set(file, reading);
    }
    reading.arrived.add(arrived);
    const { chunks, sha256 } = await reading.done;
    file.sha256 = sha256;
    for (const [i, chunk] of file.chunks.entries()) chunk.sha256 = chunks[i];
  }

  async #whole(file: ListedFile, arrived: () => void): Promise<WholeFile> {
    const known = this.#assets.get(file)!;
    const { asset, hints } = known;
    const take = async (index: number, sha256: Buffer, bytes: Buffer) => {
      await this.#keep(sha256, bytes);
      this.#hold(file.chunks[index]!, bytes);
    };
    const kept = hints && (await this.#fromHints(asset, hints, file, take));
    if (kept !== undefined) return kept;
    const wrong = this.#wrong.get(file);
    if (wrong !== undefined && wrong.times >= MOST_WRONG) throw new WrongContentError(wrong.message);
    try {
      const pieces: number[] = [];
      const whole = await this.#fetch(asset, file.size, take, (bytes) => {
        pieces.push(bytes);
        arrived();
      });
      known.pieces = pieces;
      return whole;
    } catch (error) {
      for (const chunk of file.chunks) this.#take(chunk);
      if (isWrong(error) && !(error instanceof ChangedError)) {
        this.#wrong.set(file, { times: (wrong?.times ?? 0) + 1, message: messageOf(error) });
      }
      throw error;
    }
  }

  /** The file from chunks that were kept here, if they still make up what is certified. */
  async #fromHints(
    { sha256 }: AssetFile,
    hints: readonly Buffer[],
    file: ListedFile,
    take: TakeChunk,
  ): Promise<WholeFile | undefined> {
    const pieces = this.#pieces;
    if (pieces === undefined) return undefined;
    const kept = async function* () {
      for (const hint of hints) {
        const bytes = await pieces.read(hexOf(hint));
        if (bytes === undefined) throw new NotKeptError();
        yield bytes;
      }
    };
    try {
      return await readWhole(kept(), "identity", sha256, file.size, take);
    } catch (error) {
      if (error instanceof NotKeptError || isWrong(error)) return undefined;
      throw error;
    }
  }

  #fetch(
    asset: AssetFile,
    most: number,
    take: TakeChunk,
    arrived: (bytes: number) => void,
  ): Promise<WholeFile> {
    const { encoding, sha256, size } = asset;
    const content = async function* (call: Call) {
      for await (const piece of contentOf(call, asset, size)) {
        arrived(piece.length);
        yield piece;
      }
    };
    return readWhole(content(this.#call), encoding, sha256, most, take);
  }

  /** A chunk whose hash is known, and that is here no more. */
  async #readAgain(chunk: ListedChunk, arrived: () => void): Promise<Buffer> {
    const { asset, pieces } = this.#assets.get(chunk.file)!;
    const found =
      pieces !== undefined && asset.encoding === "identity"
        ? await rangeOf(pieces, chunk.offset, chunk.size, (index) => this.#piece(asset, index))
        : await this.#throughFile(chunk, asset, arrived);
    if (found === undefined || !(await sha256(found)).equals(chunk.sha256!)) {
      this.#recent.clear();
      throw new VerificationError(`${chunk.name}: it is not what it was`);
    }
    return found;
  }

  /** One of the canister's pieces, which neighbouring chunks share. Not verified. */
  #piece(asset: AssetFile, index: number): Promise<Buffer> {
    const key = `${identityOf(asset)}\0${index}`;
    let piece = this.#recent.get(key);
    if (piece === undefined) {
      piece = getChunk(this.#call, asset, index);
      piece.catch(() => this.#recent.delete(key));
      this.#recent.set(key, piece);
    }
    return piece;
  }

  /** Where the canister's pieces are not known, or encoded, there is no other way to a part than through the whole. */
  async #throughFile(chunk: ListedChunk, asset: AssetFile, arrived: () => void): Promise<Buffer | undefined> {
    let found: Buffer | undefined;
    await this.#fetch(
      asset,
      chunk.file.size,
      async (_index, sha256, bytes) => {
        await this.#keep(sha256, bytes);
        if (sha256.equals(chunk.sha256!)) found = bytes;
      },
      arrived,
    );
    return found;
  }

  async #keep(sha256: Buffer, bytes: Buffer): Promise<void> {
    await this.#pieces?.write(hexOf(sha256), bytes);
  }

  #hold(chunk: ListedChunk, bytes: Buffer): void {
    this.#held.set(chunk, bytes);
    this.#heldBytes += bytes.length;
    const most = this.#pieces === undefined ? HELD_BYTES : HELD_BESIDE_DISK_BYTES;
    for (const [oldest] of this.#held) {
      if (this.#heldBytes <= most) break;
      this.#take(oldest);
    }
  }

  #take(chunk: ListedChunk): Buffer | undefined {
    const bytes = this.#held.get(chunk);
    if (bytes === undefined) return undefined;
    this.#held.delete(chunk);
    this.#heldBytes -= bytes.length;
    return bytes;
  }
}

class NotKeptError extends Error {}

/** By what a file is the same as another: not by its time. */
function identityOf({ path, encoding, sha256, size }: AssetFile): string {
  return `${path}\0${encoding}\0${hexOf(sha256)}\0${size}`;
}

function isWrong(error: unknown): boolean {
  return error instanceof VerificationError || error instanceof FormatError;
}
