/**
 * Which chunks mounts need, for all who share a cache directory: a file of hashes for each reason a process has. Whoever
 * makes room leaves these alone. The files of dead processes do not count, and are taken away.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory } from "../directories.ts";
import { inSteps, letOthers } from "../steps.ts";

const HASH_BYTES = 32;
/** Between two pauses: about a millisecond. */
const BLOCK_BYTES = 2000 * HASH_BYTES;
/** How often a process says that it is alive, for those in another container, who cannot see it. */
const HEARTBEAT_MS = 30_000;
/** A few heartbeats: what has not been heard of for so long, and cannot be seen, is dead. */
const SILENCE_MS = 120_000;

/** The number of this process's table of processes (pid_namespaces(7)). */
const NAMESPACE = /\d+/.exec(readlinkSync("/proc/self/ns/pid"))![0];

/** What one live process needs for one reason. */
export interface Pin {
  readonly pid: number;
  readonly name: string;
  readonly keys: ReadonlySet<string>;
}

export class Pins {
  readonly #directory: string;
  readonly #own = new Set<string>();
  readonly #heart: NodeJS.Timeout;

  /** @param directory of the cache */
  constructor(directory: string) {
    this.#directory = join(directory, "pins");
    this.#heart = setInterval(() => this.#beat(), HEARTBEAT_MS).unref();
  }

  /** Pins chunks, in place of those that this process has pinned under the name. @throws Error when it cannot be written */
  async pin(name: string, keys: Iterable<string>): Promise<void> {
    const file = this.#fileOf(name);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 }).catch(() =>
      makeDirectory(this.#directory, 0o700),
    );
    const content = await inSteps(bytesOf(keys));
    await writeFile(`${file}.new`, content, { mode: 0o600 });
    await rename(`${file}.new`, file);
    this.#own.add(file);
  }

  async unpin(name: string): Promise<void> {
    const file = this.#fileOf(name);
    this.#own.delete(file);
    await rm(file, { force: true });
  }

  /** What live processes have pinned. */
  async read(): Promise<Pin[]> {
    const pins: Pin[] = [];
    for (const file of await readdir(this.#directory).catch(() => [])) {
      const path = join(this.#directory, file);
      const [, pid, started, namespace, name] = /^(\d+)-(\d+)-(\d+)-([\w-]+)$/.exec(file) ?? [];
      // Being written, unless its process was killed.
      if (file.endsWith(".new") && (await isYoung(path))) continue;
      if (pid === undefined || !(await isAlive(path, pid, started!, namespace!))) {
        await rm(path, { force: true }).catch(() => {});
        continue;
      }
      // Taken away meanwhile: it does not count.
      const content = await readFile(path).catch(() => Buffer.alloc(0));
      const keys = new Set<string>();
      for (let at = 0; at < content.length; at += HASH_BYTES) {
        keys.add(content.toString("hex", at, at + HASH_BYTES));
        if (at % BLOCK_BYTES === 0) await letOthers();
      }
      pins.push({ pid: Number(pid), name: name!, keys });
    }
    return pins;
  }

  async close(): Promise<void> {
    clearInterval(this.#heart);
    for (const file of this.#own) await rm(file, { force: true }).catch(() => {});
  }

  #beat(): void {
    const now = new Date();
    for (const file of this.#own) utimes(file, now, now).catch(() => {});
  }

  #fileOf(name: string): string {
    return join(this.#directory, `${process.pid}-${startOf("self")}-${NAMESPACE}-${name}`);
  }
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

async function isYoung(path: string): Promise<boolean> {
  const written = await stat(path).catch(() => undefined);
  return written !== undefined && Date.now() - written.mtimeMs < SILENCE_MS;
}

/** By its start a process is told from a later one with the same number; one of another container by its heartbeat. */
async function isAlive(path: string, pid: string, started: string, namespace: string): Promise<boolean> {
  if (namespace === NAMESPACE) return startOf(pid) === started;
  const heard = await stat(path).catch(() => undefined);
  return heard !== undefined && Date.now() - heard.mtimeMs < SILENCE_MS;
}

/** When a process was started, in clock ticks since the host was: field 22 of proc_pid_stat(5). */
function startOf(pid: string): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is a name in parentheses, which may have spaces and parentheses in it.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
