/**
 * What was seen of a directory, to be looked at again when all of it has been read: what is published was all there at one
 * time, or nothing is published. A change shows in what stat tells of a file or directory, which is compared.
 */
import type { BigIntStats } from "node:fs";
import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, readlink, realpath } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, UserError } from "../errors.ts";
import { oneLine } from "../log.ts";

/** Whoever changes a file, directory or symlink changes one of these. Times in nanoseconds since 1970. */
export type FileState = Pick<BigIntStats, "dev" | "ino" | "mode" | "size" | "mtimeNs" | "ctimeNs">;

/** A file as it was seen. */
export interface SeenFile {
  /** Where it is, with no symlink in it. */
  readonly source: string;
  readonly state: FileState;
}

interface SeenThing extends SeenFile {
  /** What it is called to whoever publishes. */
  readonly name: string;
  readonly kind: "file" | "directory" | "symlink";
  /** Where a symlink points to, as it says so. */
  readonly target?: Buffer;
  /** Where one that is followed leads in the end. */
  readonly leadsTo?: string;
}

/** A file or directory is not what it was when it was looked at. */
export class ChangedError extends Error {
  override readonly name = "ChangedError";
}

export function stateOf({ dev, ino, mode, size, mtimeNs, ctimeNs }: BigIntStats): FileState {
  return { dev, ino, mode, size, mtimeNs, ctimeNs };
}

/** Swapped in meanwhile, a symlink is not followed, and a named pipe does not wait for a writer. */
const SAFELY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Opens a file that was seen, and has it read.
 *
 * @throws ChangedError when it is not, or is no longer after it was read, what was seen
 */
export async function withFile<T>(
  { source, state }: SeenFile,
  use: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  const handle = await open(source, SAFELY).catch((error) => {
    throw changed(error);
  });
  try {
    throwIfOther(state, stateOf(await handle.stat({ bigint: true })));
    try {
      return await use(handle);
    } finally {
      // Says more than what reading it has come upon.
      throwIfOther(state, stateOf(await handle.stat({ bigint: true })));
    }
  } finally {
    await handle.close();
  }
}

/** What an error says of a path that was seen. */
function changed(error: NodeJS.ErrnoException): Error {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return new ChangedError("it is gone");
  // Of O_NOFOLLOW.
  return error.code === "ELOOP" ? new ChangedError("it was replaced by a symlink") : error;
}

/** What a directory is, and what it is called, without following a symlink that was swapped in. @throws what node:fs throws */
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
 * Time stamps are as exact as the clock that ticks for them: 10 ms in the slowest kernels, and two seconds where a file
 * system keeps whole ones. What was written shortly before a look and shortly after may have one time.
 */
const TICK_MS = 20;
const COARSE_TICK_MS = 2500;
const WHOLE_SECOND = 1_000_000_000n;
/** What was changed longer ago, in milliseconds, was changed in an earlier tick, though another host's clock may have said when. */
const RECENT_MS = 60_000;
/** Looked at again at a time. */
const AT_ONCE = 64;

export class Seen {
  /** By kind and place: links that are followed may come to a thing by many ways. */
  readonly #things = new Map<string, SeenThing>();
  /** What recently changed directories had in them. */
  readonly #listed = new Map<SeenThing, readonly Buffer[]>();
  #tick = 0;

  /** @param name what it is called to whoever publishes */
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

  /** @param name "" for the one that is published @param names all that is in it */
  addDirectory(name: string, file: SeenFile, names: readonly Buffer[]): void {
    const thing: SeenThing = { kind: "directory", name, ...file };
    if (this.#add(thing)) this.#listed.set(thing, names);
  }

  /** Returns whether it is seen for the first time, and was changed recently. */
  #add(thing: SeenThing): boolean {
    const key = `${thing.kind} ${thing.source}`;
    if (this.#things.has(key)) return false;
    this.#things.set(key, thing);
    const { ctimeNs } = thing.state;
    // Also what was changed in the future, by another host's clock.
    const isRecent = ctimeNs / 1_000_000n > Date.now() - RECENT_MS;
    if (isRecent) this.#tick = Math.max(this.#tick, ctimeNs % WHOLE_SECOND === 0n ? COARSE_TICK_MS : TICK_MS);
    return isRecent;
  }

  /**
   * To be awaited before the first file is read: from then on each change gives something another time than was seen. Where
   * something was added to a directory between the look at its times and its listing, or since, in one tick, it is said now.
   *
   * @returns what has changed, by name
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

  /** What is not as it was seen, by name. */
  async changes(): Promise<string[]> {
    const changes: (string | undefined)[] = [];
    const things = [...this.#things.values()];
    for (let i = 0; i < things.length; i += AT_ONCE) {
      const some = things.slice(i, i + AT_ONCE);
      changes.push(...(await Promise.all(some.map(changeOf))));
    }
    return [...new Set(changes.filter((change) => change !== undefined))];
  }

  /** @param so what comes of it @throws UserError that names what is not as it was seen */
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

/** So many names are worth showing. */
const MOST_NAMED = 20;
const OTHER_NAMES = "something in it was added, renamed or removed, or its owner or mode changed";

function nameOf({ name }: SeenThing): string {
  return name === "" ? "the directory itself" : name;
}

async function changeOf(thing: SeenThing): Promise<string | undefined> {
  try {
    if (thing.kind === "file") {
      // Opened, since network file systems then ask whether what they remember of it still holds.
      await withFile(thing, async () => {});
    } else {
      throwIfOther(thing.state, stateOf(await lstat(thing.source, { bigint: true })));
    }
    const { target, leadsTo } = thing;
    // One that was made anew in the same tick may have the same inode.
    if (target !== undefined && !target.equals(await readlink(thing.source, { encoding: "buffer" }))) {
      throw new ChangedError("it points to something else");
    }
    // It may lead there through others.
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
