/**
 * Remembers what was seen of a directory, to check it again after it has been read: what is published existed at one time, or
 * nothing is published. Changes show in the results of stat, which are compared.
 */
import type { BigIntStats } from "node:fs";
import { constants } from "node:fs";
import { lstat, open, readdir, readlink, realpath } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, UserError } from "../errors.ts";
import { oneLine } from "../log.ts";
import { type ByteReader, inMemory } from "./byte-reader.ts";

/** Any change to a file, directory or symlink changes one of these. Times in nanoseconds since 1970. */
export type FileState = Pick<BigIntStats, "dev" | "ino" | "mode" | "size" | "mtimeNs" | "ctimeNs">;

/** A file when it was scanned. */
export interface SeenFile {
  /** Its path on this host, without symlinks. */
  readonly source: string;
  readonly state: FileState;
}

/** A file that exists only in memory. */
export interface InMemory {
  readonly bytes: Buffer;
}

interface SeenThing extends SeenFile {
  /** Its name in messages to the publisher. */
  readonly name: string;
  readonly kind: "file" | "directory" | "symlink";
  /** The target that a symlink contains. */
  readonly target?: Buffer;
  /** The path that a followed symlink finally leads to. */
  readonly leadsTo?: string;
}

/** A file or directory has changed since it was scanned. */
export class ChangedError extends Error {
  override readonly name = "ChangedError";
}

export function stateOf({ dev, ino, mode, size, mtimeNs, ctimeNs }: BigIntStats): FileState {
  return { dev, ino, mode, size, mtimeNs, ctimeNs };
}

/** A symlink swapped in meanwhile is not followed, and a named pipe does not wait for a writer. */
const SAFELY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Opens a scanned file and reads it.
 *
 * @throws ChangedError when it has changed since the scan, before or while it was read
 */
export async function withFile<T>(
  file: SeenFile | InMemory,
  use: (handle: ByteReader) => Promise<T>,
): Promise<T> {
  if ("bytes" in file) return use(inMemory(file.bytes));
  const { source, state } = file;
  const handle = await open(source, SAFELY).catch((error) => {
    throw changed(error);
  });
  try {
    throwIfOther(state, stateOf(await handle.stat({ bigint: true })));
    try {
      return await use(handle);
    } finally {
      // This error tells more than the one from reading.
      throwIfOther(state, stateOf(await handle.stat({ bigint: true })));
    }
  } finally {
    await handle.close();
  }
}

/** Translates an error about a scanned path. */
function changed(error: NodeJS.ErrnoException): Error {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return new ChangedError("it is gone");
  // From O_NOFOLLOW.
  return error.code === "ELOOP" ? new ChangedError("it was replaced by a symlink") : error;
}

/** The state and the names of a directory, without following a symlink that was swapped in. @throws errors of node:fs */
export async function directoryAt(source: string): Promise<{ state: FileState; names: Buffer[] }> {
  const handle = await open(source, SAFELY | constants.O_DIRECTORY);
  try {
    const state = stateOf(await handle.stat({ bigint: true }));
    return { state, names: await readdir(source, { encoding: "buffer" }) };
  } finally {
    await handle.close();
  }
}

/**
 * Timestamps are as exact as the clock behind them: 10 ms in the slowest kernels, and two seconds where a file system stores
 * whole ones. A change just before a scan and one just after may get the same timestamp.
 */
const TICK_MS = 20;
const COARSE_TICK_MS = 2500;
const WHOLE_SECOND = 1_000_000_000n;
/**
 * A change longer ago than this, in milliseconds, belongs to an earlier tick, even if the timestamp came from another host's
 * clock.
 */
const RECENT_MS = 60_000;
/** How many things are checked at a time. */
const AT_ONCE = 64;

export class Seen {
  /** By kind and path: followed links may lead to a thing in many ways. */
  readonly #things = new Map<string, SeenThing>();
  /** The names in recently changed directories. */
  readonly #listed = new Map<SeenThing, readonly Buffer[]>();
  #tick = 0;

  /** @param name its name in messages */
  addFile(name: string, file: SeenFile): void {
    this.#add({ kind: "file", name, ...file });
  }

  /** A symlink that is kept. */
  addLink(name: string, file: SeenFile, target: Buffer): void {
    this.#add({ kind: "symlink", name, ...file, target });
  }

  /** A symlink that is followed. @param leadsTo a path without symlinks */
  addFollowed(name: string, file: SeenFile, leadsTo: string): void {
    this.#add({ kind: "symlink", name, ...file, leadsTo });
  }

  /** @param name "" for the published directory @param names everything in it */
  addDirectory(name: string, file: SeenFile, names: readonly Buffer[]): void {
    const thing: SeenThing = { kind: "directory", name, ...file };
    if (this.#add(thing)) this.#listed.set(thing, names);
  }

  /** Whether it is new here, and was changed recently. */
  #add(thing: SeenThing): boolean {
    // A link may be kept first, and followed when it turns out to lead outside: both are checked.
    const key = `${thing.leadsTo === undefined ? thing.kind : "followed"} ${thing.source}`;
    if (this.#things.has(key)) return false;
    this.#things.set(key, thing);
    const { ctimeNs } = thing.state;
    // Includes changes in the future, by another host's clock.
    const isRecent = ctimeNs / 1_000_000n > Date.now() - RECENT_MS;
    if (isRecent) this.#tick = Math.max(this.#tick, ctimeNs % WHOLE_SECOND === 0n ? COARSE_TICK_MS : TICK_MS);
    return isRecent;
  }

  /**
   * Await this before the first file is read: from then on, each change gets a new timestamp. Reports names that appeared in a
   * directory in the same tick, between the look at its timestamps and its listing or later.
   *
   * @returns the changes, by name
   */
  async settle(): Promise<string[]> {
    if (this.#tick === 0) return [];
    await sleep(this.#tick);
    const changes: string[] = [];
    for (const [thing, names] of this.#listed) {
      const now = await readdir(thing.source, { encoding: "buffer" }).catch(() => []);
      if (!sameNames(names, now)) changes.push(`${nameOf(thing)}: ${OTHER_NAMES}`);
    }
    this.#listed.clear();
    return changes;
  }

  /** What has changed since the scan, by name. */
  async changes(): Promise<string[]> {
    const changes: (string | undefined)[] = [];
    const things = [...this.#things.values()];
    for (let i = 0; i < things.length; i += AT_ONCE) {
      const some = things.slice(i, i + AT_ONCE);
      changes.push(...(await Promise.all(some.map(changeOf))));
    }
    return [...new Set(changes.filter((change) => change !== undefined))];
  }

  /** @param so the consequence, for the message @throws UserError that names what has changed since the scan */
  async throwIfChanged(directory: string, so: string): Promise<void> {
    const changes = await this.changes();
    if (changes.length === 0) return;
    const more = changes.length - MOST_NAMED;
    throw new UserError(
      [
        `${directory} changed while it was being published, ${so}: publish again when nobody writes to it`,
        ...changes.slice(0, MOST_NAMED).map((change) => `  ${oneLine(change)}`),
        ...(more > 0 ? [`  and ${more} more`] : []),
      ].join("\n"),
    );
  }
}

/** How many names are shown at most. */
const MOST_NAMED = 20;
const OTHER_NAMES = "something in it was added, renamed or removed, or its owner or mode changed";

function nameOf({ name }: SeenThing): string {
  return name === "" ? "the directory itself" : name;
}

async function changeOf(thing: SeenThing): Promise<string | undefined> {
  try {
    if (thing.kind === "file") {
      // Opening makes network file systems check whether their cached attributes still hold.
      await withFile(thing, async () => {});
    } else {
      throwIfOther(thing.state, stateOf(await lstat(thing.source, { bigint: true })));
    }
    const { target, leadsTo } = thing;
    // A link that was replaced in the same tick may have the same inode.
    if (target !== undefined && !target.equals(await readlink(thing.source, { encoding: "buffer" }))) {
      throw new ChangedError("it points to something else");
    }
    // The path may lead through other links.
    if (leadsTo !== undefined && (await realpath(thing.source)) !== leadsTo) {
      throw new ChangedError("it leads to something else");
    }
    return undefined;
  } catch (error) {
    return `${nameOf(thing)}: ${messageOf(changed(error as NodeJS.ErrnoException))}`;
  }
}

/** @throws ChangedError that says what is different */
function throwIfOther(seen: FileState, now: FileState): void {
  if (seen.dev !== now.dev || seen.ino !== now.ino || kindOf(seen) !== kindOf(now)) {
    throw new ChangedError("it was replaced");
  }
  const isDirectory = kindOf(seen) === constants.S_IFDIR;
  if (seen.size !== now.size && !isDirectory) {
    throw new ChangedError(`it had ${seen.size} bytes and has ${now.size}`);
  }
  if (seen.size !== now.size || seen.mtimeNs !== now.mtimeNs || seen.ctimeNs !== now.ctimeNs) {
    throw new ChangedError(
      isDirectory ? OTHER_NAMES : "it was written to, or its owner, mode or links changed",
    );
  }
}

function kindOf({ mode }: FileState): number {
  return Number(mode) & constants.S_IFMT;
}

function sameNames(a: readonly Buffer[], b: readonly Buffer[]): boolean {
  const sorted = (names: readonly Buffer[]) => names.toSorted(Buffer.compare);
  const other = sorted(b);
  return a.length === b.length && sorted(a).every((name, i) => name.equals(other[i]!));
}
