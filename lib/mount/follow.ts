/**
 * Follows a canister's releases: asks for the newest again and again, fetches what is new, and has it go live when all of
 * it is here and no boot is under way. Whatever goes wrong, what has been verified goes on being served.
 */
import { WrongFileError } from "../cache/file-reader.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Release } from "../source/source.ts";
import { nameOf } from "../source/words.ts";
import type { Tree } from "../tree/tree.ts";
import { type Hydration, type Hydrator, startOf } from "./hydrate.ts";
import type { Quiet } from "./quiet.ts";

/** What the follower works on; serve.ts puts it together. */
export interface Following {
  /** Asks the network. @param thorough as Source.newest() */
  newest(thorough: boolean): Promise<Release>;
  openTree(release: Release): Promise<Tree>;
  /** Lets new readers have it. */
  switchTo(release: Release, tree: Tree): Promise<void>;
  /** The live release is proved anew. */
  renewed(release: Release): Promise<void>;
  /** Another release is live, or more is known of it: what proves it is to be kept. */
  keep(release: Release): Promise<void>;
  /** Keeps the chunks of these from being evicted; whether they all fit. */
  reserve(releases: readonly Reserved[]): Promise<boolean>;
  /** Whether all of the tree can be read without the network. */
  isLocal(tree: Tree): Promise<boolean>;
}

export interface Reserved {
  readonly release: Release;
  readonly tree: Tree;
}

export interface FollowerOptions {
  /** Milliseconds between two looks at the canister; 0: never look. */
  readonly refresh: number;
  /** Whether releases are fetched whole, before they go live. */
  readonly hydrate: boolean;
  readonly hydrator: Hydrator;
  readonly quiet: Quiet;
  readonly log: Log;
}

/** What a release that is not live yet waits for. */
export type NextState = "reading" | "hydrating" | "waiting for quiet";

export interface FollowerStatus {
  readonly live: Release;
  /** Of the live tree; undefined when it is read on demand. */
  readonly hydration: Hydration | undefined;
  readonly hydrated: boolean;
  readonly next:
    | { readonly release: Release; readonly state: NextState; readonly hydration: Hydration | undefined }
    | undefined;
  /** When the network was last asked with success; undefined: not since the mount, which is from what was kept. */
  readonly checkedAt: Date | undefined;
  /** Why it could not be asked, if the last attempt failed. */
  readonly problem: string | undefined;
}

/** A hundred hosts that were switched on together should not ask together for ever. */
const JITTER = 0.1;

interface Next {
  /** The newest proof of it. */
  release: Release;
  state: NextState;
  hydration: Hydration | undefined;
}

export class Follower {
  readonly #work: Following;
  readonly #options: FollowerOptions;
  readonly #ended = new AbortController();
  #live: Release;
  #tree: Tree;
  #hydration: Hydration | undefined;
  #next: Next | undefined;
  /** Ends what is being fetched: a newer release makes it worthless. */
  #fetching = new AbortController();
  #checkedAt: Date | undefined;
  #problem: { readonly message: string; readonly since: Date } | undefined;
  /** The hash of a release that is not what it says. */
  #refused: string | undefined;
  /** Since when (of performance.now()) a release has been ready to go live, whichever it was. */
  #readySince: number | undefined;
  #wake: () => void = () => {};
  /** Somebody has asked for a look. */
  #asked = false;
  readonly #hydrated = Promise.withResolvers<void>();

  /** @param checked whether the network has just said that `live` is the newest */
  constructor(live: Release, tree: Tree, checked: boolean, work: Following, options: FollowerOptions) {
    this.#live = live;
    this.#tree = tree;
    this.#work = work;
    this.#options = options;
    if (checked) this.#checkedAt = new Date();
  }

  /** Resolves when the release that was mounted is all here, or is known not to fit. */
  get hydrated(): Promise<void> {
    return this.#hydrated.promise;
  }

  status(): FollowerStatus {
    const next = this.#next;
    return {
      live: this.#live,
      hydration: this.#hydration,
      hydrated: isDone(this.#hydration),
      next: next && { release: next.release, state: next.state, hydration: next.hydration },
      checkedAt: this.#checkedAt,
      problem: this.#problem?.message,
    };
  }

  /** Goes on until end(). */
  async run(): Promise<void> {
    void this.#hydrateLive();
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await this.#pause();
      if (!signal.aborted) await this.#look();
    }
  }

  /** Looks at the canister now, thoroughly. */
  refresh(): void {
    this.#asked = true;
    this.#wake();
  }

  end(): void {
    this.#ended.abort();
    this.#fetching.abort();
    this.#wake();
  }

  #served(): Reserved {
    return { release: this.#live, tree: this.#tree };
  }

  async #pause(): Promise<void> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    const { refresh } = this.#options;
    if (refresh === 0) return woken.promise;
    const timer = setTimeout(woken.resolve, refresh * (1 - JITTER + 2 * JITTER * Math.random()));
    await woken.promise;
    clearTimeout(timer);
  }

  async #look(): Promise<void> {
    const thorough = this.#asked;
    this.#asked = false;
    let found: Release;
    try {
      found = await this.#work.newest(thorough);
    } catch (error) {
      this.#cannotLook(error);
      return;
    }
    this.#canLook();
    if (found.hash.equals(this.#live.hash)) {
      this.#live = found;
      await this.#work.renewed(found);
      this.#abandonNext();
      // Which was interrupted for it.
      if (this.#fetching.signal.aborted) {
        this.#fetching = new AbortController();
        if (!isDone(this.#hydration)) void this.#hydrateLive();
      }
    } else if (this.#next?.release.hash.equals(found.hash)) {
      this.#next.release = found;
    } else if (found.hash.toString("hex") !== this.#refused) {
      this.#abandonNext();
      void this.#bringLive(found);
    }
  }

  #cannotLook(error: unknown): void {
    const message = messageOf(error);
    // Once an outage, not once a minute.
    if (this.#problem?.message !== message) {
      const { certifiedAt } = this.#live;
      this.#options.log.warn(
        `cannot ask for the newest release: ${message}; goes on with ${nameOf(this.#live)}, of ${certifiedAt.toISOString()}`,
      );
    }
    this.#problem = { message, since: this.#problem?.since ?? new Date() };
  }

  #canLook(): void {
    this.#checkedAt = new Date();
    if (this.#problem === undefined) return;
    this.#options.log.info(
      `the newest release can be asked for again, after ${secondsSince(this.#problem.since)} s`,
    );
    this.#problem = undefined;
  }

  #abandonNext(): void {
    if (this.#next === undefined) return;
    this.#options.log.info(`${nameOf(this.#next.release)} is outdated before it went live`);
    this.#next = undefined;
    this.#fetching.abort();
  }

  async #bringLive(release: Release): Promise<void> {
    const { log, quiet } = this.#options;
    const name = nameOf(release);
    const next: Next = { release, state: "reading", hydration: undefined };
    this.#next = next;
    // What is live was being fetched until now; the next release has most of it as well.
    this.#fetching.abort();
    this.#fetching = new AbortController();
    const { signal } = this.#fetching;
    log.info(`${name} (${release.hash.toString("hex")}) is out`);
    try {
      const tree = await this.#work.openTree(release);
      signal.throwIfAborted();
      const local = await this.#fetchWhole(next, tree, signal);
      next.state = "waiting for quiet";
      this.#readySince ??= performance.now();
      const { quiet: isQuiet, waited } = await quiet.wait(this.#readySince, signal);
      signal.throwIfAborted();
      await this.#work.switchTo(next.release, tree);
      this.#readySince = undefined;
      this.#live = next.release;
      this.#tree = tree;
      this.#hydration = next.hydration;
      if (this.#next === next) this.#next = undefined;
      const how = local ? "all of it is here" : "it is read on demand";
      const when = isQuiet
        ? `after ${seconds(waited)} s of waiting for quiet`
        : `though files go on being opened, after ${seconds(waited)} s`;
      log.info(`${name} is live (${how}), ${when}`);
      await this.#work.keep(this.#live);
      this.#hydrated.resolve();
      // Alone it may fit; else this only gives up what the one before had reserved.
      if (local) await this.#work.reserve([this.#served()]);
      else await this.#hydrateLive();
    } catch (error) {
      if (signal.aborted) return;
      if (this.#next === next) this.#next = undefined;
      if (error instanceof WrongFileError) this.#refused = release.hash.toString("hex");
      log.error(`${name} does not go live: ${messageOf(error)}`);
      // Which was interrupted for it.
      if (!isDone(this.#hydration)) await this.#hydrateLive();
    }
  }

  /** Whether the tree is here whole. @throws WrongFileError; AbortError */
  async #fetchWhole(next: Next, tree: Tree, signal: AbortSignal): Promise<boolean> {
    const { hydrate, hydrator, log } = this.#options;
    const fits = await this.#work.reserve([this.#served(), { release: next.release, tree }]);
    if (!hydrate) return false;
    if (!fits) {
      log.warn(
        `${nameOf(next.release)} and the live one do not fit the cache together: it will be read on demand; --max-cache-size makes room`,
      );
      return false;
    }
    next.state = "hydrating";
    next.hydration = startOf(tree);
    await hydrator.hydrate(tree, next.hydration, signal);
    // Chunks whose hashes were not known before are.
    await this.#work.reserve([this.#served(), { release: next.release, tree }]);
    if (await this.#work.isLocal(tree)) return true;
    next.hydration = undefined;
    log.warn(`not all of ${nameOf(next.release)} could be kept in the cache`);
    return false;
  }

  async #hydrateLive(): Promise<void> {
    const { hydrate, hydrator, log } = this.#options;
    const { signal } = this.#fetching;
    const name = nameOf(this.#live);
    try {
      const fits = await this.#work.reserve([this.#served()]);
      if (!hydrate) return;
      if (!fits) {
        log.warn(`${name} is larger than the cache: it is read on demand; --max-cache-size makes room`);
        return;
      }
      const hydration = startOf(this.#tree);
      this.#hydration = hydration;
      const start = new Date();
      await hydrator.hydrate(this.#tree, hydration, signal);
      await this.#work.reserve([this.#served()]);
      const isLocal = await this.#work.isLocal(this.#tree);
      signal.throwIfAborted();
      if (!isLocal) {
        this.#hydration = undefined;
        await this.#work.keep(this.#live);
        log.warn(`not all of ${name} could be kept in the cache: it is read on demand`);
        return;
      }
      await this.#work.keep(this.#live);
      log.info(`all of ${name} is here, after ${secondsSince(start)} s: it needs no network`);
    } catch (error) {
      if (!signal.aborted) log.error(`${name} cannot be fetched whole: ${messageOf(error)}`);
    } finally {
      // Whoever has interrupted it goes on with it, or with a newer one.
      if (!signal.aborted || this.#ended.signal.aborted) this.#hydrated.resolve();
    }
  }
}

function isDone(hydration: Hydration | undefined): boolean {
  return hydration !== undefined && hydration.filesDone === hydration.files;
}

function secondsSince(date: Date): string {
  return seconds(Date.now() - date.getTime());
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}
