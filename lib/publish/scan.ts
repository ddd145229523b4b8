/** Scans a directory that is to be published: lists every file, directory and symlink, and reports what cannot be published. */

import { isUtf8 } from "node:buffer";
import type { BigIntStats, Stats } from "node:fs";
import { lstat, readlink, realpath, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { messageOf, UserError } from "../errors.ts";
import { MAX_ENTRIES } from "../tree/limits.ts";
import { comparePaths } from "../tree/manifest.ts";
import { type Followed as FollowedInTree, followLink, type LinkStep, readersBudget } from "../tree/rules.ts";
import { readAt } from "./file-bytes.ts";
import { IGNORE_FILE, IgnoreRules } from "./ignore-rules.ts";
import { type Making, placed } from "./made-files.ts";
import { LEAVE_OUT, type Problems } from "./problems.ts";
import type { Scanned } from "./scanned.ts";
import { directoryAt, type FileState, Seen, stateOf, withFile } from "./seen.ts";

/** What of a directory is read, and how. */
export interface Reading {
  /**
   * Which symlinks are replaced by what they point to, in rsync's terms: none, those that are absolute or leave the directory, or
   * all.
   */
  readonly links: "keep" | "copy-unsafe" | "copy";
  /** Patterns of what to leave out. */
  readonly exclude: readonly string[];
  /** Whether files in the directory can name more to leave out (ignore-rules.ts). */
  readonly ignoreFiles: boolean;
  /** Generates files that are published with it. */
  readonly making?: Making | undefined;
}

/** Everything in the directory, unchanged. */
export const EVERYTHING: Reading = { links: "keep", exclude: [], ignoreFiles: false };

/** A symlink that is replaced by what it points to. */
export interface CopiedLink {
  readonly path: string;
  readonly target: string;
}

/** A file that others on this host cannot read. */
export interface PrivateFile {
  readonly path: string;
  /** The topmost directory or symlink that others cannot pass, if it is not only the file's own mode. */
  readonly behind: string | undefined;
}

export interface Scan {
  /** Sorted by path. */
  readonly entries: readonly Scanned[];
  /** Checks, once the files have been read, whether they are still as scanned. */
  readonly seen: Seen;
  readonly copied: readonly CopiedLink[];
  /** How many files, directories and symlinks patterns leave out. The contents of such a directory are not counted. */
  readonly leftOut: number;
  /** The modes of the directory itself and of those above it do not count: it was named to be published. */
  readonly privateFiles: readonly PrivateFile[];
}

/** Total size of all files when they were scanned, in bytes. */
export function bytesOf(scanned: readonly Scanned[]): number {
  return scanned.reduce((sum, entry) => sum + (entry.kind === "file" ? entry.size : 0), 0);
}

/**
 * Lists `directory`. What cannot be published (devices, sockets, pipes, names that are not UTF-8, directories that cannot be
 * listed, followed links that lead nowhere, anything that changes in the meantime) is added to `problems`.
 *
 * @param listed called for each entry
 * @throws UserError when `directory` is not a directory, or has too many entries
 */
export async function scan(
  directory: string,
  reading: Reading,
  problems: Problems,
  listed: () => void = () => {},
): Promise<Scan> {
  await mustBeDirectory(directory);
  // Resolved once: if a symlink to the directory is switched now, the new target is for the next publication.
  const scanner = new Scanner(directory, await realpath(directory), reading, problems, listed);
  return scanner.scan();
}

async function mustBeDirectory(directory: string): Promise<void> {
  let stats: Stats;
  try {
    stats = await stat(directory);
  } catch (error) {
    throw new UserError(`cannot read ${directory}: ${messageOf(error)}`);
  }
  if (!stats.isDirectory()) throw new UserError(`${directory} is not a directory`);
}

/** A directory that is being listed, and the way to it through followed links. */
interface Place {
  /** Its path in the release. */
  readonly path: string;
  /** Its path on this host, without symlinks. */
  readonly at: string;
  readonly rules: IgnoreRules;
  /** Device and inode of each directory on the way, and of this one once it is listed. */
  readonly above: ReadonlySet<string>;
  /** The last followed link on the way, if any. */
  readonly link: CopiedLink | undefined;
  /** Where that link finally leads, on this host; without a link, the published directory. */
  readonly top: string;
  /** The first directory or link on the way that others cannot pass. */
  readonly behind: string | undefined;
}

/** A file or directory. */
interface Referent {
  readonly source: string;
  readonly stats: BigIntStats;
}

/** The target of a symlink. */
interface Followed extends Referent {
  /** Of the symlink. */
  readonly state: FileState;
  /** Whether others on this host cannot reach it. */
  readonly isHidden: boolean;
}

class Scanner {
  readonly #directory: string;
  readonly #root: string;
  readonly #reading: Reading;
  readonly #problems: Problems;
  readonly #entries = new Map<string, Scanned>();
  /** The paths of the entries on this host. */
  readonly #sources = new Map<string, string>();
  /** The directories that contain kept symlinks, by the links' paths. */
  readonly #kept = new Map<string, Place>();
  readonly #seen = new Seen();
  readonly #copied: CopiedLink[] = [];
  readonly #privateFiles: PrivateFile[] = [];
  readonly #looks = new Map<string, Promise<unknown>>();
  readonly #listed: () => void;
  #leftOut = 0;

  constructor(directory: string, root: string, reading: Reading, problems: Problems, listed: () => void) {
    this.#directory = directory;
    this.#root = root;
    this.#reading = reading;
    this.#problems = problems;
    this.#listed = listed;
  }

  async scan(): Promise<Scan> {
    const rules = IgnoreRules.of(this.#reading.exclude);
    const at = this.#root;
    await this.#list({ path: "", at, rules, above: new Set(), top: at, link: undefined, behind: undefined });
    if (this.#reading.links === "copy-unsafe") await this.#copyLinksThatLeave();
    this.#problems.addChanges(await this.#seen.settle());
    if (this.#reading.making !== undefined) this.#make(this.#reading.making);
    return {
      entries: [...this.#entries.values()].sort((a, b) => comparePaths(a.path, b.path)),
      seen: this.#seen,
      leftOut: this.#leftOut,
      copied: this.#copied.sort((a, b) => comparePaths(a.path, b.path)),
      privateFiles: this.#privateFiles.sort((a, b) => comparePaths(a.path, b.path)),
    };
  }

  async #list(place: Place): Promise<void> {
    const { path, at, above, link } = place;
    let listed: Awaited<ReturnType<typeof directoryAt>>;
    try {
      listed = await this.#once("directory", at, () => directoryAt(at));
    } catch (error) {
      if (path === "") throw new UserError(`cannot read ${this.#directory}: ${messageOf(error)}`);
      this.#problems.add(`${path}: ${messageOf(error)}`, LEAVE_OUT);
      return;
    }
    const { state, names } = listed;
    const id = `${state.dev}:${state.ino}`;
    if (link !== undefined && above.has(id)) {
      const what = "the symlink leads to a directory that it is in, so that there would be no end";
      const advice = this.#reading.links === "copy" ? KEEP_INSIDE : LEAVE_OUT;
      this.#problems.add(`${arrow(link)}: ${path === link.path ? what : `${what}, at ${path}`}`, advice);
      return;
    }
    this.#seen.addDirectory(path, { source: at, state }, names);
    const rules = await this.#rulesIn(place, names);
    const here = { ...place, rules, above: new Set([...above, id]) };
    for (const name of names) await this.#look(name, here);
  }

  /** The rules that apply in a directory, including its own. */
  async #rulesIn({ path, at, rules }: Place, names: readonly Buffer[]): Promise<IgnoreRules> {
    if (!this.#reading.ignoreFiles || !names.some((name) => name.equals(Buffer.from(IGNORE_FILE))))
      return rules;
    const name = child(path, IGNORE_FILE);
    const source = join(at, IGNORE_FILE);
    try {
      const stats = await this.#lstat(source);
      if (!stats.isFile()) throw new Error("it is not a file");
      if (stats.size > MOST_RULES_BYTES) throw new Error(`it has more than ${MOST_RULES_BYTES} bytes`);
      const file = { source, state: stateOf(stats) };
      this.#seen.addFile(name, file);
      const bytes = await this.#once("rules", source, () =>
        withFile(file, (handle) => readAt(handle, 0, Buffer.alloc(Number(stats.size)))),
      );
      if (!isUtf8(bytes) || bytes.includes(0)) throw new Error("it is not text in UTF-8: save it as such");
      return rules.with(path, bytes.toString("utf8"));
    } catch (error) {
      this.#problems.add(`${name}, which says what is left out, cannot be read: ${messageOf(error)}`);
      return rules;
    }
  }

  async #look(raw: Buffer, place: Place): Promise<void> {
    const name = raw.toString("utf8");
    if (this.#reading.ignoreFiles && name === IGNORE_FILE) return;
    const path = child(place.path, name);
    try {
      const source = join(place.at, name);
      if (!isUtf8(raw)) {
        const stats = await lstat(Buffer.concat([Buffer.from(`${place.at}/`), raw]));
        if (this.#ignores(path, stats.isDirectory(), place)) return;
        this.#problems.add(`${path}: its name is not UTF-8`, LEAVE_OUT);
        return;
      }
      const stats = await this.#lstat(source);
      if (stats.isSymbolicLink()) {
        await this.#link(path, source, stats, place);
      } else if (!this.#ignores(path, stats.isDirectory(), place)) {
        await this.#enter(path, { source, stats }, place);
      }
    } catch (error) {
      if (error instanceof UserError) throw error;
      this.#problems.add(`${path}: ${messageOf(error)}`, LEAVE_OUT);
    }
  }

  async #link(path: string, source: string, stats: BigIntStats, place: Place): Promise<void> {
    const { links } = this.#reading;
    const raw = await this.#once("link", source, () => readlink(source, { encoding: "buffer" }));
    const target = raw.toString("utf8");
    if (links === "copy" || (links === "copy-unsafe" && target.startsWith("/"))) {
      await this.#copy({ path, target }, source, place);
    } else if (!this.#ignores(path, false, place)) {
      this.#seen.addLink(path, { source, state: stateOf(stats) }, raw);
      if (isUtf8(raw)) {
        this.#kept.set(path, place);
        this.#add({ kind: "symlink", path, modified: clamp(stats.mtimeNs), target }, source);
      } else {
        this.#problems.add(`${path}: the symlink's target is not UTF-8`, LEAVE_OUT);
      }
    }
  }

  /** Replaces a symlink by what it points to. */
  async #copy(link: CopiedLink, source: string, place: Place): Promise<void> {
    const { path } = link;
    let found: Followed | undefined;
    let problem = "";
    try {
      found = await this.#once("followed", source, () => this.#follow(source));
    } catch (error) {
      problem = messageOf(error);
    }
    if (this.#ignores(path, found?.stats.isDirectory() ?? false, place)) return;
    this.#copied.push(link);
    if (found === undefined) {
      this.#problems.add(`${arrow(link)}: what the symlink points to cannot be read: ${problem}`, LEAVE_OUT);
    } else {
      this.#seen.addFollowed(path, { source, state: found.state }, found.source);
      const behind = place.behind ?? (found.isHidden ? path : undefined);
      await this.#enter(path, found, { ...place, top: found.source, link, behind });
    }
  }

  async #follow(link: string): Promise<Followed> {
    const state = stateOf(await this.#lstat(link));
    const source = await this.#realpath(link);
    return { source, stats: await this.#lstat(source), state, isHidden: await this.#isHidden(source) };
  }

  #ignores(path: string, isDirectory: boolean, { rules }: Place): boolean {
    const ignores = rules.ignores(path, isDirectory);
    if (ignores) this.#leftOut += 1;
    return ignores;
  }

  #lstat(source: string): Promise<BigIntStats> {
    return this.#once("lstat", source, () => lstat(source, { bigint: true }));
  }

  #realpath(source: string): Promise<string> {
    return this.#once("realpath", source, () => realpath(source));
  }

  /**
   * Remembers file system calls. Followed links can lead to a thing in many ways, twice as many with each directory of two links
   * to the next one, so each is looked at only once. Changes are detected at the end.
   */
  #once<T>(what: string, source: string, look: () => Promise<T>): Promise<T> {
    if (this.#reading.links === "keep") return look();
    const key = `${what} ${source}`;
    let looked = this.#looks.get(key) as Promise<T> | undefined;
    if (looked === undefined) {
      looked = look();
      this.#looks.set(key, looked);
    }
    return looked;
  }

  /** Adds a file, or a directory with everything in it. */
  async #enter(path: string, { source, stats }: Referent, place: Place): Promise<void> {
    const modified = clamp(stats.mtimeNs);
    const mode = Number(stats.mode);
    if (stats.isDirectory()) {
      this.#add({ kind: "directory", path, modified }, source);
      const behind = place.behind ?? (mode & OTHERS_ENTER ? undefined : path);
      await this.#list({ ...place, path, at: source, behind });
    } else if (stats.isFile()) {
      const state = stateOf(stats);
      this.#seen.addFile(path, { source, state });
      if (place.behind !== undefined || !(mode & OTHERS_READ)) {
        this.#privateFiles.push({ path, behind: place.behind });
      }
      const executable = (mode & 0o111) !== 0;
      this.#add(
        { kind: "file", path, modified, source, state, size: Number(stats.size), executable },
        source,
      );
    } else {
      const what = `it is ${specialKind(stats)}, and only files, directories and symlinks can be published`;
      this.#problems.add(`${path}: ${what}`, LEAVE_OUT);
    }
  }

  #make({ sources, files }: Making): void {
    const own = new Set(
      [...this.#entries.values()].flatMap(({ kind, path }) => (kind === "file" ? [path] : [])),
    );
    for (const [path, at] of this.#sources) {
      if (own.has(path) && sources.some((source) => isIn(source, at)))
        this.#problems.add(
          `${path}: machines' files are made of it, and it would be published as well`,
          LEAVE_OUT,
        );
    }
    for (const entry of placed(files([...own]), this.#entries, this.#problems)) this.#put(entry);
  }

  #add(entry: Scanned, source: string): void {
    this.#sources.set(entry.path, source);
    this.#put(entry);
  }

  #put(entry: Scanned): void {
    this.#entries.set(entry.path, entry);
    this.#listed();
    if (this.#entries.size > MAX_ENTRIES) {
      throw new UserError(`${this.#directory} has more than ${MAX_ENTRIES} entries, the limit of a release`);
    }
  }

  /**
   * A relative symlink is kept when it leads to the same thing in the release as on this host. Others are copied, which may bring
   * in more links and change where kept links lead, so this repeats until nothing is copied any more.
   */
  async #copyLinksThatLeave(): Promise<void> {
    for (let before = -1; before !== this.#copied.length; ) {
      before = this.#copied.length;
      const budget = readersBudget();
      for (const [path, place] of [...this.#kept]) {
        const link = this.#entries.get(path);
        if (link?.kind !== "symlink") continue;
        const found = followLink(path, link.target, (at) => this.#stepAt(at), budget);
        const source = this.#sources.get(path)!;
        if (await this.#staysIn(found, source, place)) continue;
        this.#kept.delete(path);
        this.#entries.delete(path);
        const { target } = link;
        await this.#copy({ path, target }, source, place);
      }
    }
  }

  /** @param found where a kept symlink leads in the release */
  async #staysIn(found: FollowedInTree, source: string, place: Place): Promise<boolean> {
    const real = await this.#realpath(source).catch(() => undefined);
    // A link that leads nowhere, or to something left out, is a problem that is reported elsewhere.
    if (real === undefined) return "path" in found || !found.leaves;
    if ("path" in found) return this.#sourceOf(found.path) === real;
    return !found.leaves && this.#isLeftOut(real, place);
  }

  /** Whether a path lies in the published directory, or in the target of a followed link, and yet is not in the release. */
  #isLeftOut(real: string, { top, link }: Place): boolean {
    return isIn(top, real) && !this.#entries.has(join(link?.path ?? "", relative(top, real)));
  }

  #stepAt(path: string): LinkStep | undefined {
    const entry = this.#entries.get(path);
    return entry?.kind === "symlink" ? entry : entry?.kind;
  }

  #sourceOf(path: string): string | undefined {
    return path === "" ? this.#root : this.#sources.get(path);
  }

  /** Whether others cannot reach the target of a link. Their access to the published directory itself does not count. */
  async #isHidden(real: string): Promise<boolean> {
    for (let at = dirname(real); !isIn(at, this.#root); at = dirname(at)) {
      if (!((await stat(at)).mode & OTHERS_ENTER)) return true;
    }
    return false;
  }
}

/** The limit for a file with patterns, since each pattern is tried on each name. */
const MOST_RULES_BYTES = 1024 * 1024;
const KEEP_INSIDE =
  "--copy-unsafe-links, in place of --copy-links, keeps the symlinks that stay in the directory; --exclude PATTERN leaves one out";
const OTHERS_READ = 0o004;
const OTHERS_ENTER = 0o001;

function child(path: string, name: string): string {
  return path === "" ? name : `${path}/${name}`;
}

/** Whether `path` is `directory` or lies in it. Both are without symlinks. */
function isIn(directory: string, path: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

/** A symlink as `ls -l` shows it. */
export function arrow({ path, target }: CopiedLink): string {
  return `${path} -> ${target}`;
}

const MAX_NAT64 = 2n ** 64n - 1n;

/** The range of the format, unsigned 64-bit nanoseconds: from 1970 to 2554. */
function clamp(nanoseconds: bigint): bigint {
  if (nanoseconds < 0n) return 0n;
  return nanoseconds > MAX_NAT64 ? MAX_NAT64 : nanoseconds;
}

function specialKind(stats: {
  isBlockDevice(): boolean;
  isCharacterDevice(): boolean;
  isFIFO(): boolean;
}): string {
  if (stats.isBlockDevice()) return "a block device";
  if (stats.isCharacterDevice()) return "a character device";
  return stats.isFIFO() ? "a named pipe" : "a socket";
}
