/** The servers of a simulated site: the IC, nginx as a cache, and hosts that serve what they have (`icfs serve`). */
import { EventEmitter } from "node:events";
import * as cbor from "@dfinity/cbor";
import type { Waits } from "../../lib/serve/waits.ts";
import { encodeHeaders } from "../../lib/source/icfs/header-list.ts";
import { CHUNKS, HEADERS, MIRROR_DIRECTORY, RELEASE } from "../../lib/source/icfs/mirror-paths.ts";
import { candidBlob } from "../../test/support/proofs.ts";
import type { SimulatedRelease } from "./release.ts";
import type { VirtualTime } from "./virtual-time.ts";
import {
  type Answer,
  type Asked,
  Body,
  type Client,
  type Exchange,
  Line,
  NOTHING,
  type Server,
  type Wire,
} from "./wire.ts";

/** How long a node takes for a query. */
const QUERY_MS = 10;
/** Milliseconds between two machines of the site. */
const SITE_ONE_WAY_MS = 0.25;
const SERVER_MBIT = 10_000;

/** The path below the site's or the canister's URL, such as "chunk/...". */
function belowMirror(path: string): readonly string[] {
  const [, first, ...rest] = path.split("/");
  return first === MIRROR_DIRECTORY ? rest : [];
}

function whole(bytes: Uint8Array, weight: number): Answer {
  return { status: 200, headers: {}, body: new Body(bytes, weight) };
}

function empty(status: number): Answer {
  return { status, headers: {}, body: NOTHING };
}

/** How long nginx keeps the newest release. */
const RELEASE_MS = 10_000;

abstract class Machine implements Server {
  readonly open = new Set<Exchange>();
  isDown = false;
  bytesSent = 0;
  abstract readonly out: readonly Line[];
  readonly oneWay: number = SITE_ONE_WAY_MS;
  readonly opening: number = 1;

  abstract answer(asked: Asked): Promise<Answer>;

  sent(bytes: number): void {
    this.bytesSent += bytes;
  }

  /** The process is killed: from now on its host refuses connections. */
  dies(): void {
    this.isDown = true;
    for (const exchange of [...this.open]) exchange.breaks("ECONNRESET");
  }
}

/** Requests to the IC. */
export interface Questions {
  release: number;
  headers: number;
  chunk: number;
  /** Those that are queries: hosts make them, while caches use GET. */
  queries: number;
  /** Requests that were refused, as too many in a second. */
  refused: number;
}

/** The canister behind the IC's gateways: answers agents' queries, and plain GETs. */
export class Ic extends Machine {
  readonly out: readonly Line[];
  override readonly oneWay: number;
  override readonly opening = 2;
  readonly asked: Questions = { release: 0, headers: 0, chunk: 0, queries: 0, refused: 0 };
  readonly #time: VirtualTime;
  readonly #release: SimulatedRelease;
  readonly #limit: number;
  readonly #replies = new Map<string, Buffer>();
  #tokens: number;
  #counted = 0;

  /**
   * @param uplink the site's line to the Internet
   * @param limit requests per second from one address, with a burst of one second; undefined: any number
   */
  constructor(time: VirtualTime, release: SimulatedRelease, uplink: Line, roundTrip: number, limit?: number) {
    super();
    this.#time = time;
    this.#release = release;
    this.out = [uplink];
    this.oneWay = roundTrip / 2;
    this.#limit = limit ?? Number.POSITIVE_INFINITY;
    this.#tokens = this.#limit;
  }

  async answer({ path, body: sent }: Asked): Promise<Answer> {
    const isQuery = sent !== undefined && path.endsWith("/query");
    const { method, argument } = isQuery ? decodeQuery(sent) : methodOf(path);
    if (method in this.asked) this.asked[method as keyof Questions] += 1;
    if (isQuery) this.asked.queries += 1;
    if (!this.#mayAsk()) {
      this.asked.refused += 1;
      return empty(429);
    }
    await this.#time.sleep(QUERY_MS);
    const weight = method === CHUNKS ? this.#release.weight(argument) : 1;
    if (!isQuery) {
      const found = this.#found(method, argument);
      return found === undefined ? empty(404) : whole(found, weight);
    }
    const body = new Body(this.#reply(method, argument), weight);
    return { status: 200, headers: { "content-type": "application/cbor" }, body };
  }

  /** Takes a token, if there is one. All hosts of a site share one address, and so one limit. */
  #mayAsk(): boolean {
    const { now } = this.#time;
    this.#tokens = Math.min(this.#limit, this.#tokens + ((now - this.#counted) / 1000) * this.#limit);
    this.#counted = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #found(method: string, argument: string): Uint8Array | undefined {
    if (method === RELEASE) return this.#release.proof(Date.now());
    if (method === HEADERS) return encodeHeaders([]);
    return this.#release.chunks.get(argument);
  }

  #reply(method: string, argument: string): Buffer {
    const known = this.#replies.get(argument);
    if (known !== undefined) return known;
    const arg = candidBlob(this.#found(method, argument) ?? Buffer.alloc(0));
    const reply = Buffer.from(
      cbor.encodeWithSelfDescribedTag({
        status: "replied",
        reply: { arg: new Uint8Array(arg) },
        signatures: [],
      }),
    );
    if (method === CHUNKS) this.#replies.set(argument, reply);
    return reply;
  }
}

function methodOf(path: string): { method: string; argument: string } {
  const [method = "", argument = ""] = belowMirror(path);
  return { method, argument };
}

function decodeQuery(body: Uint8Array): { method: string; argument: string } {
  const { content } = cbor.decode<{ content: { method_name: string; arg: Uint8Array } }>(body);
  // The Candid of one blob ends with the chunk's hash.
  const argument = Buffer.from(content.arg).subarray(-32).toString("hex");
  return { method: content.method_name, argument: content.method_name === CHUNKS ? argument : "" };
}

/** A file of nginx's cache. */
interface Kept {
  /** Undefined while it is being fetched. */
  answer?: Answer;
  isUnderWay: boolean;
}

/**
 * How often nginx checks whether a file that a request waits for has arrived (ngx_http_file_cache_lock_wait), and for how long,
 * by its configuration.
 */
const LOOK_MS = 500;
const LOCK_TIMEOUT_MS = 300_000;

/**
 * nginx, configured as in examples/nginx.conf. The first request for something is passed to the IC, and its answer to the client
 * as it arrives. Other clients wait until all of it is there, and check every 500 ms. nginx lets
 * clients wait only for an element that is new to the cache, not for an expired one: so the newest release gets another key every ten
 * seconds.
 */
export class Nginx extends Machine implements Client {
  readonly out: readonly Line[];
  readonly into: readonly Line[] = [new Line(SERVER_MBIT)];
  readonly idle = new Map<Server, number>();
  readonly #time: VirtualTime;
  readonly #wire: Wire;
  readonly #ic: Server;
  readonly #kept = new Map<string, Kept>();

  constructor(time: VirtualTime, wire: Wire, ic: Server) {
    super();
    this.out = [new Line(SERVER_MBIT)];
    this.#time = time;
    this.#wire = wire;
    this.#ic = ic;
  }

  async answer(asked: Asked): Promise<Answer> {
    const { now } = this.#time;
    const { method } = methodOf(asked.path);
    const key = method === RELEASE ? `${asked.path} ${Math.floor(Date.now() / RELEASE_MS)}` : asked.path;
    let kept = this.#kept.get(key);
    if (kept === undefined) {
      kept = { isUnderWay: false };
      this.#kept.set(key, kept);
    }
    for (;;) {
      if (kept.answer !== undefined) return again(kept.answer);
      if (!kept.isUnderWay || this.#time.now - now > LOCK_TIMEOUT_MS) return this.#fetch(asked, kept);
      await this.#time.sleep(LOOK_MS);
    }
  }

  /** Asks the IC. This goes on even if the client leaves, since others may want the answer. */
  #fetch(asked: Asked, kept: Kept): Promise<Answer> {
    kept.isUnderWay = true;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    let body: Body | undefined;
    let got: Answer | undefined;
    this.#wire.ask(this, this.#ic, asked, {
      began: (answer) => {
        body = new Body(answer.body.bytes, answer.body.weight, 0);
        got = { ...answer, body };
        resolve(got);
      },
      arrived: (bytes) => body!.arrived(bytes.length),
      ended: () => {
        kept.isUnderWay = false;
        if (got!.status === 200) kept.answer = got!;
      },
      failed: () => {
        kept.isUnderWay = false;
        body?.breaks();
        resolve(empty(502));
      },
    });
    return promise;
  }
}

/** The answer from its beginning, for another client. */
function again(answer: Answer): Answer {
  return { ...answer, body: new Body(answer.body.bytes, answer.body.weight) };
}

/** What a serving host has, and how it gets the rest. */
export interface Served {
  /** The requests that wait in the host; those that come before it has a proof wait for PROOF. */
  readonly waits: Waits;
  /** The proof of its release; undefined: none yet. */
  readonly proof: Uint8Array | undefined;
  chunk(sha256: string): Uint8Array | undefined;
  /** Resolves when a chunk of its release is here, or the wait has ended, to whether it is here or may still arrive. */
  untilHere(sha256: string, response: EventEmitter): Promise<boolean>;
}

export const PROOF = "proof";

/** A host that serves what it has, and lets clients wait for what it is fetching (lib/serve). */
export class ServingHost extends Machine {
  readonly out: readonly Line[];
  readonly #served: Served;
  readonly #weight: SimulatedRelease["weight"];

  constructor(served: Served, { weight }: SimulatedRelease, mbit: number) {
    super();
    this.#served = served;
    this.#weight = weight;
    this.out = [new Line(mbit)];
  }

  async answer({ path }: Asked): Promise<Answer> {
    const { method, argument } = methodOf(path);
    // It never emits "close": a client that has gone just times out.
    const response = new EventEmitter();
    if (this.#served.proof === undefined) await this.#served.waits.until(PROOF, response);
    const isComing = method === CHUNKS && (await this.#served.untilHere(argument, response));
    if (this.#served.proof === undefined) return { ...empty(503), headers: { "retry-after": "10" } };
    const found =
      method === RELEASE ? this.#served.proof : method === CHUNKS ? this.#served.chunk(argument) : undefined;
    if (found === undefined) return { ...empty(404), headers: isComing ? { "retry-after": "1" } : {} };
    return whole(found, method === RELEASE ? 1 : this.#weight(argument));
  }
}
