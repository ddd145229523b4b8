/**
 * An icboot canister as a source. It has no releases and certifies nothing, and anybody can write to it, file by file,
 * while somebody reads. So a snapshot is what it listed; a part of a file is what it was when it was first read; and parts
 * that were read are checked again from time to time, since a list does not show changes that keep the length.
 */
import { LRUCache } from "lru-cache";
import pLimit from "p-limit";
import { UserError } from "../../errors.ts";
import type { Call, CanisterCalls } from "../../ic/canister-calls.ts";
import { VerificationError } from "../../ic/certificate/certificate.ts";
import type { Log } from "../../log.ts";
import { inSteps, letOthers, sorting } from "../../steps.ts";
import { sha256 } from "../../tree/hash.ts";
import { MAX_ENTRIES } from "../../tree/limits.ts";
import type { Chunk, Tree, VerifiedChunk } from "../../tree/tree.ts";
import { fewAttempts } from "../few-attempts.ts";
import { hashingList } from "../list-hash.ts";
import { KnownChunks, type ListedChunk, ListedFile } from "../listed-file.ts";
import { choosing, LeftOut, listedTree } from "../listed-tree.ts";
import { ChangedError, type Release, type Source, type Trust } from "../source.ts";
import { decodeEvidence, encodingEvidence } from "./evidence.ts";
import { get, listing } from "./icboot-canister.ts";

interface Snapshot extends Release {
  readonly files: readonly ListedFile[];
}

/** Bytes and chunks that each check reads again, at most: with one check a minute, that is 140 KB/s. */
const LOOK_BYTES = 8 * 1024 * 1024;
const LOOK_CHUNKS = 64;
/** Bytes that the first check reads, since somebody waits for it: boot configurations are among the smallest files. */
const FIRST_LOOK_BYTES = 1024 * 1024;
/** Pause between two checks of all parts: a file that changes every minute must not cause all others to be read every minute. */
const LOOK_AT_ALL_MS = 10 * 60_000;
/** Files between two pauses: about a millisecond. */
const FILES_PER_STEP = 500;
/** Parts that are checked at once: enough for a distant network, and few enough for a boundary node's rate limit. */
const PARALLEL_READS = 8;

export class IcbootSource implements Source {
  readonly kind = "icboot";
  readonly slow: boolean;
  learned = 0;
  /** By query or by update call, depending on `trust`. */
  readonly #call: Call;
  /** By query: checks cost the canister nothing. */
  readonly #signed: Call;
  readonly #trust: Trust;
  readonly #log: Log;
  readonly #leftOut: LeftOut;
  /** The known version of each file, by path. */
  #files = new Map<string, ListedFile>();
  readonly #known = new KnownChunks();
  /** When (of performance.now()) a part of a file was last read. */
  readonly #looked = new WeakMap<ListedChunk, number>();
  #isFirstLook = true;
  /** How often each file has changed, by path, including files that are gone. */
  readonly #changes = new LRUCache<string, number>({ max: MAX_ENTRIES });
  /** When (of performance.now()) all parts were last read again. */
  #lookedAtAll = Number.NEGATIVE_INFINITY;

  constructor(calls: CanisterCalls, trust: Trust, log: Log) {
    this.#call = trust === "query" ? calls.signed : calls.replicated;
    this.#signed = calls.signed;
    this.#trust = trust;
    this.slow = trust === "replicated";
    this.#log = log;
    this.#leftOut = new LeftOut(log);
  }

  async newest(thorough = false): Promise<Snapshot> {
    const listed = await fewAttempts(() => listing(this.#call));
    if (listed.length === 0) {
      throw new UserError(
        this.#files.size === 0
          ? "the canister has no files yet: `icfs publish DIR CANISTER` uploads some"
          : "the canister has no files any more: an upgrade has lost them; upload them again",
      );
    }
    const seen = new Date();
    const chosen = await inSteps(choosing(listed, this.#leftOut));
    const files = new Map<string, ListedFile>();
    for (const [i, { path, size }] of chosen.entries()) {
      if (i % FILES_PER_STEP === FILES_PER_STEP - 1) await letOthers();
      const known = this.#files.get(path);
      files.set(path, known?.size === size ? known : this.#newVersion(path, size, seen));
    }
    this.#files = files;
    await this.#lookAgain(thorough);
    return this.#snapshot(seen);
  }

  tree({ files }: Snapshot): Promise<Tree> {
    return listedTree(files, this.#known);
  }

  async chunk(chunk: Chunk): Promise<VerifiedChunk> {
    const wanted = chunk as ListedChunk;
    this.#mustBeOne(wanted);
    const bytes = await this.#read(wanted);
    const hash = await sha256(bytes);
    this.#mustBeOne(wanted);
    const before = this.#known.of(wanted);
    if (before.sha256 === undefined) this.learned += 1;
    else if (!hash.equals(before.sha256)) throw this.#changed(wanted.file);
    return { chunk: this.#known.learn(wanted, hash), bytes };
  }

  known(chunk: Chunk): Chunk {
    return this.#known.of(chunk);
  }

  evidence({ files, certifiedAt }: Snapshot): Promise<Buffer> {
    return inSteps(encodingEvidence({ trust: this.#trust, at: certifiedAt, files }, this.#known));
  }

  async restore(evidence: Buffer): Promise<Snapshot> {
    const { trust, at, files } = decodeEvidence(evidence);
    if (trust !== this.#trust) throw new VerificationError(`it was read with --trust ${trust}`);
    this.#files = new Map(files.map((file) => [file.path, file]));
    for (const { path, changes } of files) this.#changes.set(path, changes);
    return this.#snapshot(at);
  }

  piecesOf(): readonly string[] {
    return [];
  }

  async #snapshot(certifiedAt: Date): Promise<Snapshot> {
    const files = [...this.#files.values()];
    const verified = this.#trust === "query" ? "node-signature" : "replicated";
    const hash = await inSteps(hashingList(linesOf(files)));
    return { number: undefined, hash, certifiedAt, verified, files };
  }

  /** Whether a chunk still has its hash on the canister. @param chunk one whose hash is known */
  async #isStill(chunk: ListedChunk): Promise<boolean> {
    const { file, offset, size } = chunk;
    const hash = await sha256(await get(this.#signed, file.path, offset, size));
    return hash.equals(this.#known.of(chunk).sha256!);
  }

  /** A chunk's bytes. @throws ChangedError when there are fewer or more than are listed */
  async #read({ file, offset, size }: ListedChunk): Promise<Buffer> {
    const bytes = await get(this.#call, file.path, offset, size);
    if (bytes.length !== size) throw this.#changed(file);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /**
   * Refuses a part that was never read, if its file has changed since: the part would be of the new version, beside others of the old one.
   *
   * @throws ChangedError
   */
  #mustBeOne(chunk: ListedChunk): void {
    const { file, sha256 } = this.#known.of(chunk);
    if (sha256 !== undefined || file.chunks.length === 1 || this.#files.get(file.path) === file) return;
    throw changed(file);
  }

  /** Makes the next snapshot treat the file as a new version. */
  #changed(file: ListedFile): ChangedError {
    if (this.#files.get(file.path) === file) {
      this.#log.warn(`${file.path}: the canister's bytes have changed`);
      this.#files.set(file.path, this.#newVersion(file.path, file.size, new Date()));
    }
    return changed(file);
  }

  /** A new version of a file. Files that are gone count as well: one that comes back with the same length need not be the same. */
  #newVersion(path: string, size: number, seen: Date): ListedFile {
    const before = this.#files.get(path)?.changes ?? this.#changes.get(path);
    const changes = before === undefined ? 0 : before + 1;
    this.#changes.set(path, changes);
    return new ListedFile({ path, size, modified: nanoseconds(seen), changes });
  }

  /** Finds changes that keep the length: reads some parts again, beginning with those checked longest ago. */
  async #lookAgain(thorough: boolean): Promise<void> {
    const due = await inSteps(this.#sortingRead());
    const most = this.#isFirstLook ? FIRST_LOOK_BYTES : LOOK_BYTES;
    this.#isFirstLook = false;
    let bytes = 0;
    const some = due.filter(({ size }, i) => {
      bytes += size;
      return i === 0 || (i < LOOK_CHUNKS && bytes <= most);
    });
    // One change seldom comes alone, and what goes live should all be from one moment, as far as this canister allows it.
    const isDue = performance.now() - this.#lookedAtAll > LOOK_AT_ALL_MS;
    if (thorough || ((await this.#haveChanged(some)) && isDue)) {
      this.#lookedAtAll = performance.now();
      await this.#haveChanged(due);
    }
  }

  /** The parts that were read, beginning with those checked longest ago, then the smallest. In steps. */
  *#sortingRead(): Generator<void, ListedChunk[]> {
    const read: ListedChunk[] = [];
    let i = 0;
    for (const file of this.#files.values()) {
      i += 1;
      if (i % FILES_PER_STEP === 0) yield;
      for (const chunk of file.chunks) if (this.#known.of(chunk).sha256 !== undefined) read.push(chunk);
    }
    return yield* sorting(read, (a, b) => this.#lookedAt(a) - this.#lookedAt(b) || a.size - b.size);
  }

  #lookedAt(chunk: ListedChunk): number {
    return this.#looked.get(chunk) ?? 0;
  }

  /** Checks parts that were read. @returns whether any has changed */
  async #haveChanged(chunks: readonly ListedChunk[]): Promise<boolean> {
    const limit = pLimit(PARALLEL_READS);
    const changed = await Promise.all(
      chunks.map((chunk) =>
        limit(async () => {
          // A changed part makes a new version of the whole file.
          if (this.#files.get(chunk.file.path) !== chunk.file) return true;
          try {
            // With `query`, one node's report of a change is enough; with `replicated`, the subnet has to confirm it.
            if (!(await fewAttempts(() => this.#isStill(chunk)))) await fewAttempts(() => this.chunk(chunk));
            this.#looked.set(chunk, performance.now());
            return false;
          } catch (error) {
            if (error instanceof ChangedError) return true;
            throw error;
          }
        }),
      ),
    );
    return changed.includes(true);
  }
}

function changed({ path }: ListedFile): ChangedError {
  return new ChangedError(`${path} has changed on the canister; the next look at it takes the new bytes`);
}

/** What a snapshot's hash is computed from: the list, and how often bytes were seen to change. */
function linesOf(files: readonly ListedFile[]): Iterable<string> {
  return files.values().map(({ path, size, changes }) => `${path}\0${size}\0${changes}\n`);
}

function nanoseconds(time: Date): bigint {
  return BigInt(time.getTime()) * 1_000_000n;
}
