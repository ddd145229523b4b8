/**
 * A host that fetches a whole release with the code of a mount: source, mirrors, cache and hydration. It has no kernel and no
 * disk.
 */
import { ChunkCache } from "../../lib/cache/chunk-cache.ts";
import { messageOf } from "../../lib/errors.ts";
import type { BlsVerify } from "../../lib/ic/certificate/valid-signatures.ts";
import { Hydrator, startOf } from "../../lib/live/hydrate.ts";
import type { Log } from "../../lib/log.ts";
import { AwaitedChunks } from "../../lib/serve/awaited-chunks.ts";
import { Waits } from "../../lib/serve/waits.ts";
import { Mirrors } from "../../lib/source/icfs/mirrors.ts";
import { IcfsRelease } from "../../lib/source/icfs/source.ts";
import { openSource } from "../../lib/source/open-source.ts";
import { LastingError, type Source } from "../../lib/source/source.ts";
import { hexOf } from "../../lib/tree/hash.ts";
import type { Chunk } from "../../lib/tree/tree.ts";
import type { SimulatedRelease } from "./release.ts";
import { PROOF, type Served } from "./servers.ts";
import type { VirtualTime } from "./virtual-time.ts";
import { type Client, Line, type Server } from "./wire.ts";

/** Half of a mount's default: as many chunks in flight, and tables half as large. */
const MEMORY_BYTES = 128 * 1024 * 1024;
/** As in `icfs mount`: --read-timeout and --refresh, and the jitter of lib/live/check-schedule.ts. */
const READ_TIMEOUT_MS = 10_000;
const REFRESH_MS = 60_000;
const JITTER = 0.1;
/** The pause between two attempts to mount, as systemd would make it. */
const RETRY_MS = 5000;

export interface HostOptions {
  readonly time: Pick<VirtualTime, "now" | "sleep">;
  readonly release: Pick<SimulatedRelease, "canister" | "rootKey">;
  /** Verified chunks on simulated disks, shared so that a thousand hosts do not each hold them. */
  readonly shared?: ReadonlyMap<string, Buffer>;
  readonly blsVerify: BlsVerify;
  /** Megabits per second of its network card, where that is simulated. */
  readonly mbit: number;
  /** Called for each chunk that arrives. */
  readonly progress: () => void;
}

export interface Urls {
  readonly network: string;
  /** In order. */
  readonly mirrors: readonly string[];
}

export class Host implements Client, Served {
  readonly into: readonly Line[];
  readonly idle = new Map<Server, number>();
  /** When it had the whole release, in milliseconds of the simulation. */
  readyAt: number | undefined;
  /** Failed attempts to open the release. */
  failures = 0;
  readonly problems: string[] = [];
  mirrors: Mirrors | undefined;
  readonly #options: HostOptions;
  readonly waits = new Waits();
  readonly #disk = new Map<string, Buffer>();
  /** The release's chunks by their hashes, once it is being fetched. */
  #chunks = new Map<string, Chunk>();
  #awaited: AwaitedChunks | undefined;
  #source: Source | undefined;
  #proof: Uint8Array | undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.into = [new Line(options.mbit)];
  }

  get proof(): Uint8Array | undefined {
    return this.#proof;
  }

  chunk(sha256: string): Uint8Array | undefined {
    return this.#disk.get(sha256);
  }

  async untilHere(sha256: string, response: Parameters<AwaitedChunks["until"]>[1]): Promise<boolean> {
    const chunk = this.#chunks.get(sha256);
    return chunk !== undefined && (this.#disk.has(sha256) || this.#awaited!.until(chunk, response));
  }

  /** Fetches the whole release. */
  async hydrate(urls: Urls): Promise<void> {
    const { time } = this.#options;
    const { source, tree, newest } = await this.#open(urls);
    const cache = new ChunkCache(source, {
      memory: MEMORY_BYTES,
      readTimeout: READ_TIMEOUT_MS,
      disk: this.#store(),
      giveUp: (error) => error instanceof LastingError,
      log: this.#log(),
    });
    this.#awaited = new AwaitedChunks(this.waits, (chunk) => cache.load(chunk, { keep: false }));
    this.#chunks = new Map(tree.chunks.map((chunk) => [hexOf(chunk.sha256!), chunk]));
    this.#proof = newest.proven.evidence.proof;
    this.waits.came(PROOF);
    // Chunks are not kept in memory as well: a thousand hosts share this machine's.
    const hydrator = new Hydrator(cache, () => false, this.#log());
    await hydrator.hydrate(tree, startOf(tree), new AbortController().signal);
    this.readyAt = time.now;
  }

  /** Checks for newer releases after that. @param until in milliseconds of the simulation */
  async follow(until: number): Promise<void> {
    const { time } = this.#options;
    let share = Math.random();
    for (;;) {
      await time.sleep(REFRESH_MS * share);
      share = 1 - JITTER + 2 * JITTER * Math.random();
      if (time.now >= until) return;
      await this.#check().catch((error) => this.problems.push(messageOf(error)));
    }
  }

  async #check(): Promise<void> {
    const found = await this.#source!.newest();
    if (found instanceof IcfsRelease) this.#proof = found.proven.evidence.proof;
  }

  async #open({ network: url, mirrors }: Urls) {
    const { time, release, blsVerify } = this.#options;
    if (mirrors.length > 0) this.mirrors = new Mirrors(mirrors, { only: false, maxStale: 0 });
    const network = { name: url, gateways: [url], url, loopback: false };
    this.#source = await openSource(
      { ...release, network },
      {
        kind: "icfs",
        trust: "query",
        requestTimeout: READ_TIMEOUT_MS / 2,
        mirrors: this.mirrors,
        blsVerify: () => blsVerify,
        log: this.#log(),
      },
    );
    for (;;) {
      try {
        const newest = (await this.#source.newest()) as IcfsRelease;
        const tree = await this.#source.tree(newest, this.#store());
        return { source: this.#source, tree, newest };
      } catch (error) {
        this.failures += 1;
        this.problems.push(messageOf(error));
        await time.sleep(RETRY_MS * (0.5 + Math.random()));
      }
    }
  }

  /** A disk of this host's own that takes no time. */
  #store() {
    const { shared, progress } = this.#options;
    return {
      read: async (key: string) => this.#disk.get(key),
      has: async (key: string) => this.#disk.has(key),
      claim: async () => undefined,
      write: async (key: string, bytes: Buffer) => {
        if (this.#disk.has(key)) return;
        this.#disk.set(key, shared?.get(key) ?? bytes);
        progress();
      },
    };
  }

  #log(): Log {
    const note = (message: string) => void this.problems.push(message);
    return { debug: () => {}, info: () => {}, warn: note, error: note };
  }
}
