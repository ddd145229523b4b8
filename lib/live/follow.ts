/**
 * Follows a canister's releases: asks for the newest again and again, fetches it, and makes it live (live-release.ts) once all of
 * it is here and no boot is under way. Whatever fails, the verified release stays served.
 */
import { WrongFileError } from "../cache/file-reader.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Pieces, Release, Source } from "../source/source.ts";
import { nameOf } from "../source/words.ts";
import type { Tree } from "../tree/tree.ts";
import { CheckSchedule } from "./check-schedule.ts";
import { type Hydration, type Hydrator, isDone, startOf } from "./hydrate.ts";
import { type CheckStatus, LastCheck } from "./last-check.ts";
import type { LiveRelease, MountedRelease } from "./live-release.ts";
import type { Quiet } from "./quiet.ts";

export interface FollowerOptions {
  /** Milliseconds between two queries to the canister; 0: never ask. */
  readonly refresh: number;
  /** Whether releases are fetched whole, before they go live. */
  readonly hydrate: boolean;
  /** Whether a release goes live only once all of it is here. Default: it goes live anyway, and is read on demand. */
  readonly mustBeWhole?: boolean;
  readonly hydrator: Pick<Hydrator, "hydrate">;
  readonly quiet: Pick<Quiet, "wait" | "isQuiet">;
  /** Where the parts of a tree can be kept. */
  readonly pieces: Pieces | undefined;
  readonly log: Log;
}

/** What a release that is not live yet waits for. */
export type NextState = "reading" | "hydrating" | "waiting for quiet";

export interface FollowerStatus extends CheckStatus {
  /** A release that is not live yet. */
  readonly next:
    | { readonly release: Release; readonly state: NextState; readonly hydration: Hydration | undefined }
    | undefined;
}

/** A release to be fetched whole if possible, with its newest proof. */
type Target = Pick<MountedRelease, "release" | "hydration">;

interface Next extends Target {
  /** Undefined until it has been read. */
  tree: Tree | undefined;
  /** It waits only for quiet. */
  isReady: boolean;
}

export class Follower {
  readonly #source: Pick<Source, "newest" | "tree">;
  readonly #live: LiveRelease;
  readonly #options: FollowerOptions;
  readonly #schedule: CheckSchedule;
  readonly #ended = new AbortController();
  #next: Next | undefined;
  /** Aborts the current fetch when a newer release makes it worthless. */
  #fetching = new AbortController();
  readonly #lastCheck: LastCheck;
  /** The hash of a release whose contents contradict its manifest. */
  #refused: string | undefined;
  /** Since when (by performance.now()) a release, whichever it is now, has been ready to go live; undefined: none is. */
  #readySince: number | undefined;
  readonly #hydrated = Promise.withResolvers<void>();

  /** @param checked whether the network has just said that the live release is the newest */
  constructor(
    source: Pick<Source, "newest" | "tree">,
    live: LiveRelease,
    checked: boolean,
    options: FollowerOptions,
  ) {
    this.#source = source;
    this.#live = live;
    this.#options = options;
    this.#schedule = new CheckSchedule(options.refresh);
    this.#lastCheck = new LastCheck(checked, options.log);
  }

  /** Resolves when the mounted release is complete on this host, or is known not to fit. */
  get hydrated(): Promise<void> {
    return this.#hydrated.promise;
  }

  status(): FollowerStatus {
    const next = this.#next;
    return {
      next: next && { release: next.release, state: stateOf(next), hydration: next.hydration },
      ...this.#lastCheck.status,
    };
  }

  /** The release that is being fetched or waits to go live, if its tree has been read. */
  get coming(): MountedRelease[] {
    const { release, tree, hydration } = this.#next ?? {};
    return release && tree ? [{ release, tree, hydration }] : [];
  }

  /** Runs until end(). */
  async run(): Promise<void> {
    void this.#fetchLive();
    await this.#schedule.run((thorough) => this.#check(thorough));
  }

  /** Checks the canister now, thoroughly. */
  refresh(): void {
    this.#schedule.now();
  }

  end(): void {
    this.#ended.abort();
    this.#fetching.abort();
    this.#schedule.end();
  }

  async #check(thorough: boolean): Promise<void> {
    let found: Release;
    try {
      found = await this.#source.newest(thorough);
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      const { release } = this.#live.now;
      this.#lastCheck.failed(error, `${nameOf(release)}, of ${release.certifiedAt.toISOString()}`);
      return;
    }
    if (this.#ended.signal.aborted) return;
    this.#lastCheck.succeeded();
    const { now } = this.#live;
    if (found.hash.equals(now.release.hash)) {
      await this.#live.renew(found);
      if (this.#ended.signal.aborted) return;
      this.#abandonNext();
      this.#readySince = undefined;
      // Fetching the live release was interrupted for the one that was just abandoned.
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
    // Stop fetching the live release: the next one shares most of its content.
    this.#fetching.abort();
    this.#fetching = new AbortController();
    const { signal } = this.#fetching;
    log.info(`${name} (${release.hash.toString("hex")}) is out`);
    try {
      const tree = await this.#source.tree(release, this.#options.pieces);
      signal.throwIfAborted();
      next.tree = tree;
      const isWhole = await this.#fetchWhole(next, tree, signal);
      signal.throwIfAborted();
      if (!isWhole && this.#options.mustBeWhole) throw new Error("not all of it can be kept on this host");
      next.isReady = true;
      this.#readySince ??= performance.now();
      const since = this.#readySince;
      for (let isLive = false; !isLive; ) {
        const { quiet: isQuiet, waited } = await quiet.wait(since, signal);
        signal.throwIfAborted();
        const { hydration } = next;
        const switched = () => {
          this.#readySince = undefined;
          if (this.#next === next) this.#next = undefined;
          const how = isWhole ? "all of it is here" : "it is read on demand";
          const when = isQuiet
            ? `after ${seconds(waited)} s of waiting for quiet`
            : `though files are in use, after ${seconds(waited)} s`;
          log.info(`${name} is live (${how}), ${when}`);
        };
        // A boot may begin while the switch is prepared.
        const may = () => !signal.aborted && (!isQuiet || quiet.isQuiet);
        isLive = await this.#live.switchTo({ release: next.release, tree, hydration }, switched, may);
      }
      this.#hydrated.resolve();
      if (!isWhole) await this.#fetchLive();
    } catch (error) {
      if (signal.aborted) return;
      if (this.#next === next) this.#next = undefined;
      // A release that was ready before has been abandoned for this one.
      if (!next.isReady) this.#readySince = undefined;
      if (error instanceof WrongFileError) this.#refused = release.hash.toString("hex");
      log.error(`${name} does not go live: ${messageOf(error)}`);
      // It was interrupted for the next release.
      if (!isDone(this.#live.now.hydration)) await this.#fetchLive();
    }
  }

  /**
   * Fetches all of a release, and keeps it from being evicted, unless it is to be read on demand.
   *
   * @param target the live release, or the next one, which must fit beside it
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
          ? `${name} does not fit the cache: it is read on demand; --max-cache-size makes room`
          : `${name} and the live one do not fit the cache together: it will be read on demand; --max-cache-size makes room`,
      );
      return false;
    }
    target.hydration = startOf(tree);
    await hydrator.hydrate(tree, target.hydration, signal);
    // Hashes are known now that were not before.
    await reserve();
    const isHere = await this.#live.isHere(tree);
    signal.throwIfAborted();
    if (!isHere) target.hydration = undefined;
    if (!isHere) log.warn(`not all of ${name} could be kept in the cache: it is read on demand`);
    if (!isLive) return isHere;
    await this.#live.keep();
    if (this.#live.isKept || !isHere) return isHere;
    log.warn(`what proves ${name} could not be kept: it cannot be served again without the network`);
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
      // Whoever interrupted this fetch continues it, or fetches a newer release.
      if (!signal.aborted || this.#ended.signal.aborted) this.#hydrated.resolve();
    }
  }
}

function stateOf({ isReady, hydration }: Next): NextState {
  if (isReady) return "waiting for quiet";
  return hydration === undefined ? "reading" : "hydrating";
}

/** @param time by performance.now() */
function secondsSince(time: number): string {
  return seconds(performance.now() - time);
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}
