/**
 * The files of an asset canister, and their chunks. Each file is read in full once, and is known by its chunks' hashes from then on,
 * as long as the asset does not change.
 */
import { LRUCache } from "lru-cache";
import pLimit from "p-limit";
import { messageOf } from "../../errors.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { isWrong, VerificationError } from "../../ic/certificate/certificate.ts";
import { hexOf, sha256 } from "../../tree/hash.ts";
import { MAX_CHUNK_BYTES } from "../../tree/limits.ts";
import type { VerifiedChunk } from "../../tree/tree.ts";
import { type HashedPart, type KnownChunks, type ListedChunk, ListedFile } from "../listed-file.ts";
import type { LeftOut } from "../listed-tree.ts";
import { ChangedError, type Pieces, WrongContentError } from "../source.ts";
import { Contents } from "./contents.ts";
import type { AssetFile } from "./snapshot.ts";
import { UnclaimedChunks } from "./unclaimed-chunks.ts";
import { readWhole, type TakeChunk, type WholeFile } from "./whole-file.ts";

/** Bytes of chunks that arrived with a whole file, kept until they are requested: otherwise, those not on disk would be fetched again. */
const HELD_BYTES = 32 * 1024 * 1024;
/** The same where chunks are kept on disk as well. */
const HELD_BESIDE_DISK_BYTES = 8 * 1024 * 1024;
/** Milliseconds before a file that was wrong MOST_WRONG times is read again: perhaps only some nodes were wrong. */
const WRONG_MS = 10 * 60_000;
/** How often a file may be wrong before that. */
const MOST_WRONG = 2;
/** How many files are read at once to learn their decoded lengths. */
const PARALLEL_DECODINGS = 4;
/** Limit on the decoded bytes of all these files together: a hundred bytes may decode to as many millions. */
const MOST_DECODED_BYTES = 1024 * 1024 * 1024;

/** A file, and its asset. */
interface Known {
  readonly asset: AssetFile;
  readonly file: ListedFile;
  /** Bytes of each of the canister's pieces, once all of it was read. */
  pieces?: readonly number[] | undefined;
}

/** A file that is being read, for all callers that wait for parts of it. */
interface Reading {
  readonly done: Promise<WholeFile>;
  readonly arrived: Set<() => void>;
}

export class Files {
  readonly #contents: Contents;
  readonly #knownChunks: KnownChunks;
  readonly #leftOut: LeftOut;
  /** Files by identityOf() their assets. */
  #known = new Map<string, Known>();
  readonly #assets = new WeakMap<ListedFile, Known>();
  readonly #readings = new Map<ListedFile, Reading>();
  readonly #held = new UnclaimedChunks();
  /** Files that did not match their certified hash. */
  readonly #wrong = new LRUCache<ListedFile, { readonly times: number; readonly message: string }>({
    max: 1000,
    ttl: WRONG_MS,
  });
  #pieces: Pieces | undefined;
  /** How many files have been read whole. */
  learned = 0;

  /**
   * @param call by query, with signatures checked
   * @param knownChunks receives the hashes of chunks
   */
  constructor(call: Call, knownChunks: KnownChunks, leftOut: LeftOut) {
    this.#contents = new Contents(call);
    this.#knownChunks = knownChunks;
    this.#leftOut = leftOut;
  }

  /** Keeps chunks in `pieces` from now on, also those that arrive before they are requested. */
  keepIn(pieces: Pieces | undefined): void {
    this.#pieces = pieces ?? this.#pieces;
  }

  /** The file that an asset has become; undefined when it is not known. */
  known(asset: AssetFile): ListedFile | undefined {
    return this.#known.get(identityOf(asset))?.file;
  }

  /** Restores what this host has learned about a file. */
  remember(asset: AssetFile, { size, sha256, chunks }: WholeFile): void {
    const { path, modified } = asset;
    this.#add({ asset, file: new ListedFile({ path, modified, size, sha256 }, chunks) });
  }

  /**
   * The files of the assets. Assets that are stored only in encoded form are read and decoded, unless that was done before, since
   * their lengths are unknown otherwise.
   *
   * @throws what reading throws; assets that cannot be decoded, or do not match their certified hash, are left out
   */
  async of(assets: readonly AssetFile[]): Promise<ListedFile[]> {
    const limit = pLimit(PARALLEL_DECODINGS);
    const before = this.#known;
    this.#known = new Map();
    const room = { bytes: MOST_DECODED_BYTES };
    const files = await Promise.all(
      assets.map(async (asset) => {
        const known = before.get(identityOf(asset));
        if (known !== undefined) return this.#add(known);
        if (asset.encoding !== "identity") return limit(() => this.#decoded(asset, room));
        return this.#add({ asset, file: new ListedFile(asset) });
      }),
    );
    return files.filter((file) => file !== undefined);
  }

  /** A chunk's verified bytes. @param arrived called as parts of its file arrive. @throws what reading throws */
  async chunk(listed: ListedChunk, arrived: () => void): Promise<VerifiedChunk> {
    const chunk = await this.#hashed(listed, arrived);
    const bytes = this.#held.take(chunk) ?? (await this.#pieces?.read(hexOf(chunk.sha256)));
    return { chunk, bytes: bytes ?? (await this.#readAgain(chunk, arrived)) };
  }

  /** The chunk with its hash, for which its whole file may have to be read. */
  async #hashed(chunk: ListedChunk, arrived: () => void): Promise<HashedPart> {
    const before = this.#knownChunks.of(chunk);
    if (before.sha256 !== undefined) return before;
    const whole = await this.#readFile(chunk.file, arrived);
    return this.#knownChunks.learn(chunk, whole.chunks[chunk.offset / MAX_CHUNK_BYTES]!);
  }

  #add(known: Known): ListedFile {
    this.#known.set(identityOf(known.asset), known);
    this.#assets.set(known.file, known);
    return known.file;
  }

  /** The file of an encoded asset, which is read whole; undefined when it is left out. @param room for decoded bytes, of all such assets */
  async #decoded(asset: AssetFile, room: { bytes: number }): Promise<ListedFile | undefined> {
    try {
      const keep = (_index: number, sha256: Buffer, bytes: Buffer) => this.#keep(sha256, bytes);
      const { size, sha256, chunks } = await this.#fetch(asset, room.bytes, keep, () => {});
      room.bytes -= size;
      const { path, modified } = asset;
      return this.#add({ asset, file: new ListedFile({ path, modified, size, sha256 }, chunks) });
    } catch (error) {
      if (error instanceof ChangedError || !isWrong(error)) throw error;
      this.#leftOut.say(asset.key, messageOf(error));
      return undefined;
    }
  }

  /** Reads a whole file, for all callers that want it meanwhile: then the hashes of its chunks are known. */
  async #readFile(file: ListedFile, arrived: () => void): Promise<WholeFile> {
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
    const whole = await reading.done;
    file.sha256 = whole.sha256;
    for (const [i, chunk] of file.chunks.entries()) this.#knownChunks.learn(chunk, whole.chunks[i]!);
    return whole;
  }

  async #whole(file: ListedFile, arrived: () => void): Promise<WholeFile> {
    const known = this.#assets.get(file)!;
    const wrong = this.#wrong.get(file);
    if (wrong !== undefined && wrong.times >= MOST_WRONG) throw new WrongContentError(wrong.message);
    const take: TakeChunk = async (index, sha256, bytes) => {
      await this.#keep(sha256, bytes);
      const most = this.#pieces === undefined ? HELD_BYTES : HELD_BESIDE_DISK_BYTES;
      this.#held.hold(file.chunks[index]!, bytes, most);
    };
    try {
      const pieces: number[] = [];
      const whole = await this.#fetch(known.asset, file.size, take, (bytes) => {
        pieces.push(bytes);
        arrived();
      });
      known.pieces = pieces;
      this.learned += 1;
      return whole;
    } catch (error) {
      this.#held.drop(file);
      if (isWrong(error) && !(error instanceof ChangedError)) {
        this.#wrong.set(file, { times: (wrong?.times ?? 0) + 1, message: messageOf(error) });
      }
      throw error;
    }
  }

  /** Reads an asset whole, and verifies it. @param most bytes, decoded. @param arrived called with the bytes of each piece */
  #fetch(
    asset: AssetFile,
    most: number,
    take: TakeChunk,
    arrived: (bytes: number) => void,
  ): Promise<WholeFile> {
    const content = async function* (contents: Contents) {
      for await (const piece of contents.all(asset, asset.size)) {
        arrived(piece.length);
        yield piece;
      }
    };
    return readWhole(content(this.#contents), asset.encoding, asset.sha256, most, take);
  }

  /** The bytes of a chunk whose hash is known, but that is no longer here. */
  async #readAgain(chunk: HashedPart, arrived: () => void): Promise<Buffer> {
    const known = this.#assets.get(chunk.file)!;
    const { asset, pieces } = known;
    const found =
      pieces !== undefined && asset.encoding === "identity"
        ? await this.#contents.range(asset, pieces, chunk.offset, chunk.size)
        : await this.#throughFile(chunk, asset, arrived);
    if (found === undefined || !(await sha256(found)).equals(chunk.sha256)) {
      // The same content may have been uploaded again, in other pieces: the next attempt reads all of it.
      known.pieces = undefined;
      this.#contents.forget();
      throw new VerificationError(`${chunk.name}: it is not what it was`);
    }
    return found;
  }

  /** If the canister's pieces are unknown, or encoded, a part can only be read with the whole file. */
  async #throughFile(chunk: HashedPart, asset: AssetFile, arrived: () => void): Promise<Buffer | undefined> {
    let found: Buffer | undefined;
    const keep: TakeChunk = async (_index, sha256, bytes) => {
      await this.#keep(sha256, bytes);
      if (sha256.equals(chunk.sha256)) found = bytes;
    };
    const pieces: number[] = [];
    await this.#fetch(asset, chunk.file.size, keep, (bytes) => {
      pieces.push(bytes);
      arrived();
    });
    this.#assets.get(chunk.file)!.pieces = pieces;
    return found;
  }

  async #keep(sha256: Buffer, bytes: Buffer): Promise<void> {
    await this.#pieces?.write(hexOf(sha256), bytes);
  }
}

/** Equal for assets that are the same file; times do not count. */
function identityOf({ path, key, encoding, sha256, size }: AssetFile): string {
  return `${path}\0${key}\0${encoding}\0${hexOf(sha256)}\0${size}`;
}
