/**
 * Follows a canister's releases: asks for the newest again and again, fetches what is new, and has it go live (live-release.ts)
 * when all of it is here and no boot is under way. Whatever goes wrong, what has been verified goes on being served.
 */
import { WrongFileError } from "../cache/file-reader.ts";
import { messageOf } from "../errors.ts";
import { isHopeless, SignatureError } from "../ic/call-errors.ts";
import { kindOf, type Log } from "../log.ts";
import type { Pieces, Release, Source } from "../source/source.ts";
import { nameOf } from "../source/words.ts";
import type { Tree } from "../tree/tree.ts";
import { type Hydration, type Hydrator, isDone, startOf } from "./hydrate.ts";
import type { LiveRelease, MountedRelease } from "./live-release.ts";
import { isOutage } from "./outage.ts";
import type { Quiet } from "./quiet.ts";

export interface FollowerOptions {
  /** Milliseconds between two looks at the canister; 0: never look. */
  readonly refresh: number;
  /** Whether releases are fetched whole, before they go live. */
  readonly hydrate: boolean;
  /** A release that is not all here does not go live. Default: it does, and is read on demand. */
  readonly mustBeWhole?: boolean;
  readonly hydrator: Pick<Hydrator, "hydrate">;
  readonly quiet: Pick<Quiet, "wait">;
  /** Where what makes up a tree may be kept. */
  readonly pieces: Pieces | undefined;
  readonly log: Log;
}

/** What a release that is not live yet waits for. */
export type NextState = "reading" | "hydrating" | "waiting for quiet";

export interface FollowerStatus {
  /** A release that is not live yet. */
  readonly next:
    | { readonly release: Release; readonly state: NextState; readonly hydration: Hydration | undefined }
    | undefined;
  /** When the network was last asked with success; undefined: not since the mount, which is from what was kept. */
  readonly checkedAt: Date | undefined;
  /** Why it could not be asked, if the last attempt failed. */
  readonly problem: string | undefined;
  /** Whether there was an answer, which proves nothing, or says no. */
  readonly refused: boolean;
}

/** A hundred hosts that were switched on together should not ask together for ever: their first looks are spread over a whole period. */
const JITTER = 0.1;

/** A release that is to be here whole, if that is possible: by the newest proof of it. */
type Target = Pick<MountedRelease, "release" | "hydration">;

interface Next extends Target {
  /** Undefined until it has been read. */
  tree: Tree | undefined;
  /** It waits for quiet alone. */
  isReady: boolean;
}

export class Follower {
  readonly #source: Pick<Source, "newest" | "tree">;
  readonly #live: LiveRelease;
  readonly #options: FollowerOptions;
  readonly #ended = new AbortController();
  #next: Next | undefined;
  /** Ends what is being fetched: a newer release makes it worthless. */
  #fetching = new AbortController();
  #checkedAt: Date | undefined;
  /** `since`: of performance.now(). */
  #problem: { readonly message: string; readonly refused: boolean; readonly since: number } | undefined;
  /** The hash of a release that is not what it says. */
  #refused: string | undefined;
  /** Since when (of performance.now()) a release has been ready to go live, whichever it was. */
  #readySince: number | undefined;
  #wake: () => void = () => {};
  /** Somebody has asked for a look. */
  #asked = false;
  readonly #hydrated = Promise.withResolvers<void>();

  /** @param checked whether the network has just said that what is live is the newest */
  constructor(
    source: Pick<Source, "newest" | "tree">,
    live: LiveRelease,
    checked: boolean,
    options: FollowerOptions,
  ) {
    this.#source = source;
    this.#live = live;
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
      next: next && { release: next.release, state: stateOf(next), hydration: next.hydration },
      checkedAt: this.#checkedAt,
      problem: this.#problem?.message,
      refused: this.#problem?.refused === true,
    };
  }

  /** The release that is being fetched, or waits to go live, if there is one and its tree has been read. */
  get coming(): MountedRelease[] {
    const { release, tree, hydration } = this.#next ?? {};
    return release && tree ? [{ release, tree, hydration }] : [];
  }

  /** Goes on until end(). */
  async run(): Promise<void> {
    void this.#fetchLive();
    const { signal } = this.#ended;
    let share = Math.random();
    while (!signal.aborted) {
      await this.#pause(share);
      if (!signal.aborted) await this.#look();
      share = 1 - JITTER + 2 * JITTER * Math.random();
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

  /** @param share of the time between two looks */
  async #pause(share: number): Promise<void> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    const { refresh } = this.#options;
    if (refresh === 0) return woken.promise;
    const timer = setTimeout(woken.resolve, share * refresh);
    await woken.promise;
    clearTimeout(timer);
  }

  async #look(): Promise<void> {
    const thorough = this.#asked;
    this.#asked = false;
    let found: Release;
    try {
      found = await this.#source.newest(thorough);
    } catch (error) {
      this.#cannotLook(error);
      return;
    }
    this.#canLook();
    const { now } = this.#live;
    if (found.hash.equals(now.release.hash)) {
      await this.#live.renew(found);
      this.#abandonNext();
      // Which was interrupted for it.
      if (this.#fetching.signal.aborted) {
        this.#fetching = new AbortController();
        if (!isDone(now.hydration)) void this.#fetchLive();
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
    // Once an outage, not once a minute: what the clock says may be in it.
    if (this.#problem === undefined || kindOf(this.#problem.message) !== kindOf(message)) {
      const { release } = this.#live.now;
      const { certifiedAt } = release;
      this.#options.log.warn(
        `cannot ask for the newest release: ${message}; goes on with ${nameOf(release)}, of ${certifiedAt.toISOString()}`,
      );
    }
    const refused = !(isOutage(error) || isHopeless(error)) || error instanceof SignatureError;
    this.#problem = { message, refused, since: this.#problem?.since ?? performance.now() };
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
    const next: Next = { release, tree: undefined, hydration: undefined, isReady: false };
    this.#next = next;
    // What is live was being fetched until now; the next release has most of it as well.
    this.#fetching.abort();
    this.#fetching = new AbortController();
    const { signal } = this.#fetching;
    log.info(`${name} (${release.hash.toString("hex")}) is out`);
    try {
      const tree = await this.#source.tree(release, this.#options.pieces);
      signal.throwIfAborted();
      next.tree = tree;
      const isWhole = await this.#fetchWhole(next, tree, signal);
      if (!isWhole && this.#options.mustBeWhole) throw new Error("not all of it can be kept on this host");
      next.isReady = true;
      this.#readySince ??= performance.now();
      const { quiet: isQuiet, waited } = await quiet.wait(this.#readySince, signal);
      signal.throwIfAborted();
      const { hydration } = next;
      await this.#live.switchTo({ release: next.release, tree, hydration }, () => {
        this.#readySince = undefined;
        if (this.#next === next) this.#next = undefined;
        const how = isWhole ? "all of it is here" : "it is read on demand";
        const when = isQuiet
          ? `after ${seconds(waited)} s of waiting for quiet`
          : `though files are in use, after ${seconds(waited)} s`;
        log.info(`${name} is live (${how}), ${when}`);
      });
      this.#hydrated.resolve();
      if (!isWhole) await this.#fetchLive();
    } catch (error) {
      if (signal.aborted) return;
      if (this.#next === next) this.#next = undefined;
      if (error instanceof WrongFileError) this.#refused = release.hash.toString("hex");
      log.error(`${name} does not go live: ${messageOf(error)}`);
      // Which was interrupted for it.
      if (!isDone(this.#live.now.hydration)) await this.#fetchLive();
    }
  }

  /**
   * Fetches all of a release, and keeps it from being evicted, unless it is to be read on demand.
   *
   * @param target which is live, or is to be: then it has to fit beside what is live
   * @returns whether all of it is here
   * @throws WrongFileError; AbortError
   */
  async #fetchWhole(target: Target, tree: Tree, signal: AbortSignal): Promise<boolean> {
    const { hydrate, hydrator, log } = this.#options;
    const name = nameOf(target.release);
    const isLive = target === this.#live.now;
    const reserve = () => this.#live.reserve(isLive ? undefined : { release: target.release, tree });
    const fits = await reserve();
    if (!hydrate) return false;
    if (!fits) {
      log.warn(
        isLive
          ? `${name} is larger than the cache: it is read on demand; --max-cache-size makes room`
          : `${name} and the live one do not fit the cache together: it will be read on demand; --max-cache-size makes room`,
      );
      return false;
    }
    target.hydration = startOf(tree);
    await hydrator.hydrate(tree, target.hydration, signal);
    // Chunks whose hashes were not known before are.
    await reserve();
    const isHere = await this.#live.isHere(tree);
    signal.throwIfAborted();
    if (!isHere) target.hydration = undefined;
    if (!isHere) log.warn(`not all of ${name} could be kept in the cache: it is read on demand`);
    if (!isLive) return isHere;
    await this.#live.keep();
    if (this.#live.isKept || !isHere) return isHere;
    log.warn(`what proves ${name} could not be kept: it cannot be mounted again without the network`);
    return false;
  }

  async #fetchLive(): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#fetching;
    const { now } = this.#live;
    const name = nameOf(now.release);
    const start = performance.now();
    try {
      const isWhole = await this.#fetchWhole(now, now.tree, signal);
      if (isWhole) log.info(`all of ${name} is here, after ${secondsSince(start)} s: it needs no network`);
    } catch (error) {
      if (!signal.aborted) log.error(`${name} cannot be fetched whole: ${messageOf(error)}`);
    } finally {
      // Whoever has interrupted it goes on with it, or with a newer one.
      if (!signal.aborted || this.#ended.signal.aborted) this.#hydrated.resolve();
    }
  }
}

function stateOf({ isReady, hydration }: Next): NextState {
  if (isReady) return "waiting for quiet";
  return hydration === undefined ? "reading" : "hydrating";
}

/** @param time of performance.now() */
function secondsSince(time: number): string {
  return seconds(performance.now() - time);
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}
