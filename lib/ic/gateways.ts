/**
 * The gateways of a network: several ways to the same subnet, none of which is believed. Who asks is answered by the one that answers
 * quickest; another one is asked as well when that is late, and in its place when it fails, limits, or has given wrong answers. Mirrors
 * (lib/source/icfs/mirrors.ts) are asked in the same way, but in the order in which somebody has named them.
 *
 * The same request may so be carried out twice, which changes nothing: queries and reads of the state change nothing, and an update
 * call is executed once by its subnet, however many gateways hand in the same signed envelope (IC interface specification, "Request id";
 * the subnet keeps its requests until they expire).
 */
import { messageOf } from "../errors.ts";
import { retryAfter } from "./agent-error.ts";
import { NoAnswerError } from "./call-errors.ts";
import type { Network } from "./network.ts";

/** What is asked for: each takes a time of its own. */
export type RequestKind = "query" | "read_state" | "call" | "get";

/** How a gateway does, since the process began. */
export interface GatewayHealth {
  readonly url: string;
  /** Milliseconds from a query, or a GET, to the beginning of its answer, usually; not there: none was answered. */
  readonly usual?: number;
  readonly answers: number;
  /** Requests that got no answer, or an error of the gateway's. */
  readonly failures: number;
  /** Those for which another gateway was asked as well, since no answer had begun in time. */
  readonly late: number;
  /** Those that it refused, since there were too many (HTTP status 429 or 503). */
  readonly limited: number;
  /** Answers that did not verify, where what another answer said did. */
  readonly wrong: number;
  /** Until when it is asked last only, and why; not there: it is not put aside. */
  readonly aside?: { readonly until: string; readonly why: string };
}

/** What of an answer says whether somebody else is to be asked: HTTP's. */
export interface Answered {
  readonly status: number;
  readonly headers: Iterable<[string, string]>;
}

/**
 * How one gateway is asked.
 * @param received is to be told when something of the answer arrives
 * @throws NotHereError, WrongAnswerError where it is known by then; any Error when there is no answer
 */
export type Carry<T extends Answered = Response> = (
  url: string,
  signal: AbortSignal,
  received: () => void,
) => Promise<T>;

/** It has not got what was asked for, which is no fault of its own: another one may have it. */
export class NotHereError extends Error {}

/** Its answer was looked at, and does not verify. */
export class WrongAnswerError extends Error {}

export interface Asking {
  readonly kind: RequestKind;
  /** Milliseconds without a byte after which a request fails. */
  readonly limit: number;
  /** Milliseconds after which it is late, though something comes all the time; default: it is not. */
  readonly whole?: number;
  /** Gateways that have given a wrong answer to this before: they are asked when no other is left. */
  readonly last?: ReadonlySet<string> | undefined;
}

/** An answer, and whose it is. */
export interface Carried<T extends Answered = Response> {
  readonly response: T;
  readonly url: string;
}

/** So many times what a gateway usually takes is late. */
const LATE_TIMES = 4;
/** Milliseconds. An answer that has not begun earlier than this is not late yet, whatever is usual. */
const LEAST_LATE_MS = 200;
/** The same of calls, which the gateway holds until the subnet has come to a result. */
const LEAST_LATE_CALL_MS = 5000;
/** Of who has never answered. */
const LATE_UNKNOWN_MS = 1000;
/** Parts of a request's limit after which it is late in any case: a reader's deadline is twice that limit. */
const LATE_SHARE = 1 / 4;
/** A gateway that brings something to others meanwhile is slow, not silent: it gets so many times as long. */
const BUSY_TIMES = 4;
/** A gateway that has not been asked for so long is asked beside the others, to know how it does. */
const ASK_AGAIN_MS = 60_000;
/** How much of what is usual is the last answer. */
const NEWEST_SHARE = 0.3;
/** What one gateway says that it cannot do, others are asked about for so long. */
const SECOND_OPINION_MS = 1000;

/** Milliseconds for which a gateway is put aside, at first and at most: they double. Where it says for how long, that counts. */
const PAUSES = { failed: [1000, 60_000], limited: [1000, 60_000], wrong: [10_000, 600_000] } as const;
/** After so long without another wrong answer it is put aside as if for the first time. */
const FORGIVEN_MS = 3_600_000;
const TOO_MANY: ReadonlySet<number> = new Set([429, 503]);

type Why = keyof typeof PAUSES;
/** Who is put aside is asked when nobody else is left, in this order. */
const RANKS: Readonly<Record<Why, number>> = { failed: 1, limited: 2, wrong: 3 };
const ASKED_LAST = 4;
/** Who was never asked for something comes behind those that were. */
const UNKNOWN_MS = 1e9;

/** All times are of performance.now(). */
class Gateway {
  readonly url: string;
  readonly usual = new Map<RequestKind, number>();
  answers = 0;
  failures = 0;
  late = 0;
  limited = 0;
  wrong = 0;
  askedAt = Number.NEGATIVE_INFINITY;
  /** When anything last came from it. */
  heardAt = Number.NEGATIVE_INFINITY;
  wrongAt = Number.NEGATIVE_INFINITY;
  aside: { readonly why: Why; readonly until: number; readonly message: string } | undefined;
  /** How often it was put aside: since it last answered, but for wrong answers. */
  readonly times: Record<Why, number> = { failed: 0, limited: 0, wrong: 0 };

  constructor(url: string) {
    this.url = url;
  }

  get isAside(): boolean {
    return this.aside !== undefined && performance.now() < this.aside.until;
  }

  /** 0: it is not put aside. */
  get rank(): number {
    return this.isAside ? RANKS[this.aside!.why] : 0;
  }

  answered(): void {
    this.answers += 1;
    Object.assign(this.times, { failed: 0, limited: 0 });
    if (this.aside?.why !== "wrong") this.aside = undefined;
  }

  /** @param isNews what was usual is too old to count */
  took(kind: RequestKind, milliseconds: number, isNews: boolean): void {
    const before = (isNews ? undefined : this.usual.get(kind)) ?? milliseconds;
    this.usual.set(kind, before + NEWEST_SHARE * (milliseconds - before));
  }

  /** Milliseconds without anything of an answer after which it is late. Nobody waits long for one that is put aside. */
  patience({ kind, limit }: Asking): number {
    const usual = this.isAside ? 0 : this.usual.get(kind);
    const least = kind === "call" ? LEAST_LATE_CALL_MS : LEAST_LATE_MS;
    const wanted = usual === undefined ? LATE_UNKNOWN_MS : LATE_TIMES * usual;
    return Math.min(Math.max(wanted, least), limit * LATE_SHARE);
  }

  get health(): GatewayHealth {
    const { url, answers, failures, late, limited, wrong, aside, isAside } = this;
    const usual = this.usual.get("query") ?? this.usual.get("get");
    const left = isAside ? aside!.until - performance.now() : 0;
    return {
      url,
      ...(usual !== undefined && { usual: Math.round(usual) }),
      answers,
      failures,
      late,
      limited,
      wrong,
      ...(isAside && { aside: { until: new Date(Date.now() + left).toISOString(), why: aside!.message } }),
    };
  }
}

export interface GatewaysOptions {
  /** Which of those that are not put aside is asked first, and whether others are tried out beside it. */
  readonly first: "quickest" | "as named";
  /** What one of them is called in the log. */
  readonly called: string;
}

export class Gateways {
  readonly #all: readonly Gateway[];
  readonly #options: GatewaysOptions;
  /** Told in a sentence when one is put aside: for the log. */
  tell: (event: string) => void = () => {};

  /** @param urls at least one */
  constructor(urls: readonly string[], options: GatewaysOptions = { first: "quickest", called: "gateway" }) {
    this.#all = urls.map((url) => new Gateway(url));
    this.#options = options;
  }

  get count(): number {
    return this.#all.length;
  }

  health(): GatewayHealth[] {
    return this.#all.map(({ health }) => health);
  }

  /**
   * The answer of the first gateway that gives one. An answer that is HTTP's "no" (404, say) counts when no other gateway has another
   * soon.
   *
   * @throws what the gateway has failed with; of several, NoAnswerError with all of their reasons
   */
  ask<T extends Answered>(asking: Asking, carry: Carry<T>): Promise<Carried<T>> {
    const { first, later } = this.#order(asking);
    const tell: Tell = {
      putAside: (...args) => this.#putAside(...args),
      wrong: (gateway, why) => this.#wrong(gateway, why),
    };
    return new Question(asking, carry, first, later, tell).answer();
  }

  /** A gateway has answered otherwise than what then verified. */
  wrong(url: string, why: string): void {
    const gateway = this.#all.find((one) => one.url === url);
    if (gateway !== undefined) this.#wrong(gateway, why);
  }

  #wrong(gateway: Gateway, why: string): void {
    gateway.wrong += 1;
    const now = performance.now();
    if (now - gateway.wrongAt > FORGIVEN_MS) gateway.times.wrong = 0;
    gateway.wrongAt = now;
    this.#putAside(gateway, "wrong", `its answer was wrong: ${why}`);
  }

  /** Who is asked at once, and who later, one after the other. */
  #order({ kind, last }: Asking): { readonly first: readonly Gateway[]; readonly later: Gateway[] } {
    const rank = (one: Gateway) => (last?.has(one.url) ? ASKED_LAST : one.rank);
    const isNamed = this.#options.first === "as named";
    const usual = ({ usual }: Gateway) =>
      isNamed ? 0 : (usual.get(kind) ?? UNKNOWN_MS + (usual.get("query") ?? UNKNOWN_MS));
    const [best, ...others] = this.#all.toSorted((a, b) => rank(a) - rank(b) || usual(a) - usual(b));
    const now = performance.now();
    // A call may have a megabyte: it is not for trying out how others do.
    const isDue = (one: Gateway) =>
      !isNamed && kind !== "call" && rank(one) === 0 && now - one.askedAt > ASK_AGAIN_MS;
    return {
      first: [best!, ...others.filter(isDue)],
      later: others.filter((one) => !isDue(one)),
    };
  }

  /** @param pause milliseconds; default: longer each time */
  #putAside(gateway: Gateway, why: Why, message: string, pause?: number): void {
    // Of several requests that fail at once the first counts, and who has lied is not better for being away.
    if (this.count === 1 || (gateway.isAside && RANKS[gateway.aside!.why] >= RANKS[why])) return;
    const [first, most] = PAUSES[why];
    const until = performance.now() + (pause ?? Math.min(first * 2 ** gateway.times[why], most));
    gateway.times[why] += 1;
    gateway.aside = { why, until, message };
    this.tell(`the ${this.#options.called} ${gateway.url} is put aside: ${message}`);
  }
}

/** What a question finds out of those that it asks. */
interface Tell {
  putAside(gateway: Gateway, why: Why, message: string, pause?: number): void;
  wrong(gateway: Gateway, why: string): void;
}

/** One request, while it is asked of one gateway after the other. */
class Question<T extends Answered> {
  readonly #asking: Asking;
  readonly #carry: Carry<T>;
  readonly #first: readonly Gateway[];
  readonly #later: Gateway[];
  readonly #tell: Tell;
  readonly #result = Promise.withResolvers<Carried<T>>();
  /** Ends what is under way when there is a result. */
  readonly #over = new AbortController();
  readonly #failures: Failure[] = [];
  readonly #isAlone: boolean;
  #underWay = 0;
  /** HTTP's "no", for want of anything better. */
  #refusal: Carried<T> | undefined;
  /** Who has said that, other than for having too much to do. */
  readonly #refused: { readonly gateway: Gateway; readonly status: number }[] = [];
  #secondOpinion: NodeJS.Timeout | undefined;

  /** @param first gateways that are asked at once @param later those that are asked after them, as they are needed */
  constructor(asking: Asking, carry: Carry<T>, first: readonly Gateway[], later: Gateway[], tell: Tell) {
    this.#asking = asking;
    this.#isAlone = first.length + later.length === 1;
    this.#first = first;
    this.#carry = carry;
    this.#later = later;
    this.#tell = tell;
  }

  async answer(): Promise<Carried<T>> {
    try {
      for (const gateway of this.#first) void this.#askOne(gateway);
      return await this.#result.promise;
    } finally {
      clearTimeout(this.#secondOpinion);
      if (this.#underWay > 0) this.#over.abort(new Error("another gateway has answered"));
    }
  }

  async #askOne(gateway: Gateway): Promise<void> {
    const { kind } = this.#asking;
    const { signal } = this.#over;
    const started = performance.now();
    const isNews = started - gateway.askedAt > ASK_AGAIN_MS;
    gateway.askedAt = started;
    this.#underWay += 1;
    const late = () => {
      if (this.#isAlone) return;
      gateway.late += 1;
      this.#next();
    };
    const lateness = new Lateness(gateway, gateway.patience(this.#asking), this.#asking.whole, late);
    let begun = false;
    const received = () => {
      const now = performance.now();
      if (!begun) gateway.took(kind, now - started, isNews);
      begun = true;
      gateway.heardAt = now;
      lateness.heard(now);
    };
    try {
      const response = await this.#carry(gateway.url, signal, received);
      if (signal.aborted) return;
      received();
      this.#underWay -= 1;
      this.#answered(gateway, response);
    } catch (error) {
      this.#underWay -= 1;
      const taken = performance.now() - started;
      // It would have taken longer still.
      if (lateness.isLate) gateway.took(kind, taken, isNews);
      if (!signal.aborted) {
        if (error instanceof WrongAnswerError) this.#tell.wrong(gateway, messageOf(error));
        else if (!(error instanceof NotHereError)) this.#fails(gateway, messageOf(error));
        this.#failures.push({ url: gateway.url, error });
        this.#next();
      } else if (lateness.isLate) {
        this.#tell.putAside(
          gateway,
          "failed",
          `${begun ? "not all came" : "nothing came"} for ${Math.round(taken)} ms, and another one was quicker`,
        );
      }
    } finally {
      lateness.end();
    }
  }

  #answered(gateway: Gateway, response: T): void {
    const { status } = response;
    const answer = { response, url: gateway.url };
    if (status < 400) {
      gateway.answered();
      for (const other of this.#refused) this.#fails(other.gateway, `HTTP status ${other.status}`);
      this.#result.resolve(answer);
      return;
    }
    if (TOO_MANY.has(status)) {
      gateway.limited += 1;
      this.#refusal ??= answer;
      const pause = retryAfter([...response.headers]);
      this.#tell.putAside(gateway, "limited", `HTTP status ${status}`, pause || undefined);
    } else if (status >= 500) {
      this.#refusal ??= answer;
      this.#fails(gateway, `HTTP status ${status}`);
    } else {
      // Two who say the same are believed. One alone may be a proxy's, or lie: nobody has signed it.
      if (this.#refused.some((other) => other.status === status)) {
        this.#result.resolve(answer);
        return;
      }
      this.#refused.push({ gateway, status });
      this.#refusal = answer;
      this.#secondOpinion ??= setTimeout(() => this.#result.resolve(this.#refusal!), SECOND_OPINION_MS);
    }
    this.#next();
  }

  #fails(gateway: Gateway, why: string): void {
    gateway.failures += 1;
    this.#tell.putAside(gateway, "failed", why);
  }

  #next(): void {
    const gateway = this.#later.shift();
    if (gateway !== undefined) void this.#askOne(gateway);
    else if (this.#underWay === 0) this.#giveUp();
  }

  #giveUp(): void {
    if (this.#refusal !== undefined) this.#result.resolve(this.#refusal);
    else this.#result.reject(inOne(this.#failures));
  }
}

interface Failure {
  readonly url: string;
  readonly error: unknown;
}

/** @param failures at least one */
function inOne(failures: readonly Failure[]): unknown {
  const error = failures[0]!.error;
  if (failures.length === 1) return error;
  const all = failures.map((one) => `${one.url}: ${messageOf(one.error)}`).join("; ");
  return new NoAnswerError(`no gateway answers: ${all}`, { cause: error });
}

/** Whether an answer is late: nothing of it has come for as long as that gateway is given, or not all of it in the time for that. */
class Lateness {
  readonly #gateway: Gateway;
  readonly #patience: number;
  /** Of performance.now(). */
  readonly #end: number;
  readonly #late: () => void;
  #since = performance.now();
  #extensions = BUSY_TIMES - 1;
  #timer: NodeJS.Timeout | undefined;
  isLate = false;

  /** @param late called once */
  constructor(gateway: Gateway, patience: number, whole = Number.POSITIVE_INFINITY, late: () => void) {
    this.#gateway = gateway;
    this.#patience = patience;
    this.#end = performance.now() + whole;
    this.#late = late;
    this.#wait(Math.min(patience, whole));
  }

  /** Something of it has come. */
  heard(now: number): void {
    this.#since = now;
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #wait(milliseconds: number): void {
    this.#timer = setTimeout(() => this.#look(), milliseconds);
  }

  #look(): void {
    const now = performance.now();
    // It brings others something meanwhile: it is busy, not silent.
    if (this.#gateway.heardAt > this.#since && this.#extensions > 0) {
      this.#extensions -= 1;
      this.#since = now;
    }
    const left = Math.min(this.#since + this.#patience, this.#end) - now;
    if (left > 0) {
      this.#wait(left);
      return;
    }
    this.isLate = true;
    this.#late();
  }
}

/** Those of each network that is in use, with what is known of them. */
const known = new WeakMap<Network, Gateways>();

/** The gateways of a network: the same for all who have that object. */
export function gatewaysOf(network: Network): Gateways {
  let gateways = known.get(network);
  if (gateways === undefined) {
    gateways = new Gateways(network.gateways);
    known.set(network, gateways);
  }
  return gateways;
}
