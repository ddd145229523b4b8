/**
 * Which chunks mounts need, for all processes that share a cache directory: a file of hashes for each purpose of a process. Nobody
 * evicts these chunks. The files of dead processes do not count, and are removed.
 */
import { lutimes, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isLink, makeInside } from "../directories.ts";
import { isAbsent, UserError } from "../errors.ts";
import { readKept } from "../kept-file.ts";
import { nameOfThisProcess, stateOfProcess } from "../process/living.ts";
import { isAbandoned, replaceFile } from "../replace-file.ts";
import { inSteps, letOthers } from "../steps.ts";

const HASH_BYTES = 32;
/** Limit on a pin's bytes: four times those of a release with the most chunks. */
const MOST_BYTES = 128 * 1024 * 1024;
/** Between two pauses: about a millisecond. */
const BLOCK_BYTES = 2000 * HASH_BYTES;
/** How often a process says that it is alive, for those in another container, who cannot see it. */
const HEARTBEAT_MS = 30_000;
/** A few heartbeats. The pins of a process that cannot be seen, and has been silent for this long, do not count. */
const SILENCE_MS = 120_000;
/** Its pins are removed after this long. Until then it may come back: it was stopped, or its machine was suspended. */
const FORGOTTEN_MS = 24 * 60 * 60 * 1000;
/** A larger change of the clock than normal corrections: then the heartbeats of others have another time than this process. */
const JUMP_MS = 10_000;

/** What one live process needs for one purpose. */
export interface Pin {
  readonly pid: number;
  readonly name: string;
  readonly keys: ReadonlySet<string>;
}

export class Pins {
  readonly #directory: string;
  /** Files and their content: if others have removed one, it is written again. */
  readonly #own = new Map<string, Buffer>();
  readonly #heart: NodeJS.Timeout;
  /** The difference between the clock and performance.now(), at the last check. */
  #clock = clockOffset();
  /** Until when (of performance.now()) nobody in another container counts as silent. */
  #patientUntil = 0;

  /** @param directory of the cache */
  constructor(directory: string) {
    this.#directory = join(directory, "pins");
    this.#heart = setInterval(() => this.#beat(), HEARTBEAT_MS).unref();
  }

  /** Pins chunks, in place of those that this process has pinned under the name. @throws Error when it cannot be written */
  async pin(name: string, keys: Iterable<string>): Promise<void> {
    const content = await inSteps(bytesOf(keys));
    // A broken disk can leave an empty file.
    if (content.length === 0) return this.unpin(name);
    const file = this.#fileOf(name);
    makeInside(this.#directory);
    this.#own.set(file, content);
    await replaceFile(file, content);
  }

  async unpin(name: string): Promise<void> {
    const file = this.#fileOf(name);
    this.#own.delete(file);
    await rm(file, { force: true });
  }

  /** What live processes have pinned. @throws Error when that is unknown: then nothing may be evicted */
  async read(): Promise<Pin[]> {
    const pins: Pin[] = [];
    if (isLink(this.#directory)) throw new UserError(`${this.#directory} is a symbolic link: remove it`);
    const isPatient = this.#isPatient();
    for (const file of await namesIn(this.#directory)) {
      const path = join(this.#directory, file);
      const written = (await stat(path).catch(() => undefined))?.mtimeMs;
      // Removed meanwhile: it does not count.
      if (written === undefined) continue;
      const state = stateOf(file, written, isPatient);
      if (state === "gone") await rm(path, { force: true }).catch(() => {});
      if (state !== "alive") continue;
      const content = await contentOf(path);
      if (content === undefined) continue;
      if (content.length === 0 || content.length % HASH_BYTES > 0) {
        throw new UserError(
          `${path}, which says what a mount or icfs serve needs, is damaged: end that one, or remove the file`,
        );
      }
      const keys = new Set<string>();
      for (let at = 0; at < content.length; at += HASH_BYTES) {
        keys.add(content.toString("hex", at, at + HASH_BYTES));
        if (at % BLOCK_BYTES === 0) await letOthers();
      }
      const { process, name } = partsOf(file)!;
      pins.push({ pid: Number.parseInt(process, 10), name, keys });
    }
    return pins;
  }

  async close(): Promise<void> {
    clearInterval(this.#heart);
    for (const file of this.#own.keys()) await rm(file, { force: true }).catch(() => {});
  }

  #beat(): void {
    const now = new Date();
    for (const file of this.#own.keys()) {
      lutimes(file, now, now)
        .catch((error) => (isAbsent(error) ? this.#again(file) : undefined))
        // The next heartbeat may succeed.
        .catch(() => {});
    }
  }

  /** Writes a pin again that was removed, for example by a host whose clock was a day ahead. It may change meanwhile, or be released. */
  async #again(file: string): Promise<void> {
    makeInside(this.#directory);
    for (let content = this.#own.get(file); content !== undefined; ) {
      await replaceFile(file, content);
      const now = this.#own.get(file);
      if (now === content) return;
      content = now;
    }
    await rm(file, { force: true });
  }

  /**
   * Whether the clock has jumped, or the host has slept, since the last heartbeat: then the heartbeats of other containers have the wrong
   * time until their next one.
   */
  #isPatient(): boolean {
    const clock = clockOffset();
    if (Math.abs(clock - this.#clock) > JUMP_MS) this.#patientUntil = performance.now() + SILENCE_MS;
    this.#clock = clock;
    return performance.now() < this.#patientUntil;
  }

  #fileOf(name: string): string {
    return join(this.#directory, `${nameOfThisProcess()}-${name}`);
  }
}

function clockOffset(): number {
  return Date.now() - performance.now();
}

/** Hashes one after the other. In steps: there may be a million. */
function* bytesOf(keys: Iterable<string>): Generator<void, Buffer> {
  const blocks: Buffer[] = [];
  let at = 0;
  for (const key of keys) {
    if (at === 0) blocks.push(Buffer.alloc(BLOCK_BYTES));
    at += blocks.at(-1)!.write(key, at, "hex");
    if (at < BLOCK_BYTES) continue;
    at = 0;
    yield;
  }
  if (at > 0) blocks.push(blocks.pop()!.subarray(0, at));
  return Buffer.concat(blocks);
}

async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch(whenAbsent([]));
}

async function contentOf(path: string): Promise<Buffer | undefined> {
  return readKept(path, MOST_BYTES).then(({ bytes }) => bytes, whenAbsent(undefined));
}

/** For catch(): undefined when the file does not exist. */
function whenAbsent<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isAbsent(error)) return value;
    throw error;
  };
}

/** A pin's file is called PROCESS-NAME. */
function partsOf(file: string): { process: string; name: string } | undefined {
  const [, process, name] = /^(\d+-\d+-\d+)-([\w-]+)$/.exec(file) ?? [];
  return process === undefined ? undefined : { process, name: name! };
}

/**
 * The state of the process that a pin's file belongs to. One in another container is judged by its heartbeat. A heartbeat from the future
 * counts no more than an old one: some clock was wrong.
 *
 * @param written the time of the file: when it was written, or of the last heartbeat, in milliseconds since 1970
 * @param isPatient whether heartbeats of other containers tell nothing at the moment
 */
function stateOf(file: string, written: number, isPatient: boolean): "alive" | "silent" | "gone" {
  const parts = partsOf(file);
  // It is being written, unless its process was killed.
  if (parts === undefined) return isAbandoned(file, written) ? "gone" : "silent";
  const state = stateOfProcess(parts.process);
  if (state !== "unseen") return state;
  const silence = Math.abs(Date.now() - written);
  if (isPatient || silence < SILENCE_MS) return "alive";
  return silence < FORGOTTEN_MS ? "silent" : "gone";
}
