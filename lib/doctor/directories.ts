/** A mount's directories: whether they can be used, are private, and have room. */
import { access, constants, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { checkPrivate } from "../cache/cache-directory.ts";
import { stored } from "../cache/disk-space.ts";
import { mustBeOwn } from "../directories.ts";
import { messageOf } from "../errors.ts";
import { limitText, sizeText } from "../units.ts";
import { type Check, type Finding, fail, ok, warn } from "./check.ts";

/** statfs(2)'s numbers for file systems that a reboot clears. */
const IN_MEMORY = new Set([0x01021994, 0x858458f6]);

export const cache: Check = {
  name: "cache",
  async run({ cacheDirectory, cacheCapacity }) {
    const place = await placeFor(cacheDirectory);
    const advice = "choose another with --cache-dir, or do without one: --max-cache-size 0";
    if (place.problem !== undefined) return [fail(place.problem, advice)];
    // Its message says what to do.
    if (place.exists) checkPrivate(cacheDirectory);
    return [ok(place.found), await room(cacheDirectory, place.existing, cacheCapacity)];
  },
};

export const state: Check = {
  name: "state",
  async run({ stateDirectory }) {
    const place = await placeFor(stateDirectory);
    if (place.problem !== undefined) {
      return [fail(place.problem, "which releases this host accepts is kept there: set XDG_STATE_HOME")];
    }
    for (const one of [stateDirectory, join(stateDirectory, "trust")]) {
      mustBeOwn(one, "set XDG_STATE_HOME to another directory");
    }
    return [ok(place.found)];
  },
};

interface Place {
  readonly exists: boolean;
  /** The directory, or its nearest existing parent. */
  readonly existing: string;
  readonly found: string;
  readonly problem?: string;
}

/** Whether a directory is writable, or could be created. */
async function placeFor(directory: string): Promise<Place> {
  let existing = directory;
  while (!(await isThere(existing))) existing = dirname(existing);
  const exists = existing === directory;
  const found = exists ? `${directory} can be written to` : `${directory} is not there yet, and can be made`;
  try {
    if (!(await stat(existing)).isDirectory()) throw new Error("it is not a directory");
    await access(existing, constants.W_OK | constants.X_OK);
    return { exists, existing, found };
  } catch (error) {
    const what = exists ? "cannot be written to" : `cannot be made in ${existing}`;
    return { exists, existing, found, problem: `${directory} ${what}: ${messageOf(error)}` };
  }
}

/** A path that this process is not allowed to see counts as there. */
function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT" && error.code !== "ENOTDIR",
  );
}

/** @param existing a directory on the cache's file system */
async function room(directory: string, existing: string, capacity: number): Promise<Finding> {
  const { type, bavail, bsize } = await statfs(existing);
  const { taken: used } = await stored(directory, false);
  const free = bavail * bsize;
  const numbers = `${sizeText(used)} kept, ${sizeText(free)} free, and at most ${limitText(capacity)} are kept (--max-cache-size)`;
  if (used + free < capacity) {
    return warn(`${numbers}: the disk would be full before`, "make room there, or lower --max-cache-size");
  }
  if (IN_MEMORY.has(type)) {
    return warn(
      `${numbers}; it is in memory (tmpfs), and after a restart of this host nothing can be mounted without the network`,
      "choose a directory on a disk with --cache-dir",
    );
  }
  return ok(numbers);
}
