/**
 * The gateways of a network: several ways to the same subnets, none of which is trusted. Each request goes to the gateway that is usually
 * quickest. When that one is late, another is asked as well. When it fails, limits requests, or has given wrong answers, another is
 * asked instead. Mirrors (lib/source/icfs/mirrors.ts) are asked in the same way, but in the
 * order in which they were named.
 *
 * So several gateways may carry the same request. That is harmless: queries and reads of the state change nothing, and a subnet executes an
 * update call once, however many gateways hand in the same signed envelope (IC interface specification, "Request id"; the subnet
 * remembers a request until it expires).
 */
import { messageOf } from "../../errors.ts";
import { retryAfter } from "../agent-error.ts";
import { isHopeless, NoAnswerError, NoWayError } from "../call-errors.ts";
import type { Network } from "../network.ts";
import { hintFor } from "../network-problem.ts";

/** What a request asks for. Each kind takes a different time. */
export type RequestKind = "query" | "read_state" | "call" | "get";

/** What this process has seen of a gateway since it began. */
export interface GatewayHealth {
  readonly url: string;
  /** Milliseconds that usually pass from a query, or a GET, to the beginning of its answer. Absent: none was answered. */
  readonly usual?: number;
  readonly answers: number;
  /** Requests to which the gateway gave no answer, or an error of its own. */
  readonly failures: number;
  /** Requests for which another gateway was asked as well, since nothing came in time. */
  readonly late: number;
  /** Requests that the gateway refused as too many (HTTP status 429 or 503). */
  readonly limited: number;
  /** Answers that did not verify, where another gateway's answer did. */
  readonly wrong: number;
  /** Until when the gateway is asked only as a last resort, and why. Absent: it is not put aside. */
  readonly aside?: { readonly until: string; readonly why: string };
}

/** What of an HTTP answer decides whether another gateway is asked. */
export interface Answered {
  readonly status: number;
  readonly headers: Iterable<[string, string]>;
}

/**
 * Sends a request to one gateway.
 * @param received to be called whenever a part of the answer arrives
 * @throws NotHereError, WrongAnswerError when that is known by then; any Error when there is no answer
 */
export type Carry<T extends Answered = Response> = (
  url: string,
  signal: AbortSignal,
  received: () => void,
) => Promise<T>;

/** The gateway does not have what was asked for. That is no fault of its own: another one may have it. */
export class NotHereError extends Error {}

/** The gateway's answer does not verify. */
export class WrongAnswerError extends Error {}

export interface Asking {
  readonly kind: RequestKind;
  /** Milliseconds without a byte after which a request fails. */
  readonly limit: number;
  /** Milliseconds after which the answer is late even though parts of it keep coming. Default: never. */
  readonly whole?: number;
  /**
   * Gateways that are asked when no other is left, in the order of these numbers, from 1 on. They may already have given a wrong answer to
   * this question.
   */
  readonly last?: ReadonlyMap<string, number> | undefined;
}

/** An answer, and the gateway that gave it. */
export interface Carried<T extends Answered = Response> {
  readonly response: T;
  readonly url: string;
}

/** An answer is late after so many times what its gateway usually takes. */
const LATE_TIMES = 4;
/** Milliseconds before which no answer is late, whatever is usual. */
const LEAST_LATE_MS = 200;
/** The same for calls: a gateway answers them when the subnet has a result. */
const LEAST_LATE_CALL_MS = 5000;
/** Milliseconds after which an answer is late from a gateway that has never answered. */
const LATE_UNKNOWN_MS = 1000;
/** The share of a request's limit after which it is late in any case: a reader's deadline is twice that limit. */
const LATE_SHARE = 1 / 4;
/** A gateway that is sending answers to other requests meanwhile is busy, not silent: it gets so many times as long. */
const BUSY_TIMES = 4;
/** Milliseconds. A gateway that was not asked for so long is asked beside the best one, to learn how quick it is. */
const ASK_AGAIN_MS = 60_000;
/** The weight of the newest answer in the moving average of what is usual. */
const NEWEST_SHARE = 0.3;
/**
 * Milliseconds for which other gateways may contradict a refusal (404, say). A call has no such limit, since its answer takes as long as
 * the subnet does.
 */
const SECOND_OPINION_MS = 1000;

/** Milliseconds for which a gateway is put aside: at first, and at most. They double each time. A gateway's own Retry-After counts instead. */
const PAUSES = { failed: [1000, 60_000], limited: [1000, 60_000], wrong: [10_000, 600_000] } as const;
/** Milliseconds without a wrong answer after which the next one counts as the first. */
const FORGIVEN_MS = 3_600_000;
const TOO_MANY: ReadonlySet<number> = new Set([429, 503]);

type Why = keyof typeof PAUSES;
/** Gateways that are put aside are asked after all others, in this order. */
const RANKS: Readonly<Record<Why, number>> = { failed: 1, limited: 2, wrong: 3 };
/** Greater than each of these. */
const ASKED_LAST = 10;
/** The usual time of a gateway that was never asked for something: it sorts after those that were. */
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
  /** How often the gateway was put aside. An answer resets these counts, except that of wrong answers. */
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

  /** @param isNews whether the average so far is too old to count */
  took(kind: RequestKind, milliseconds: number, isNews: boolean): void {
    const before = (isNews ? undefined : this.usual.get(kind)) ?? milliseconds;
    this.usual.set(kind, before + NEWEST_SHARE * (milliseconds - before));
  }

  /** Milliseconds of silence after which an answer is late. A gateway that is put aside gets the least. */
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
  /** Called with a sentence for the log when a gateway is put aside. */
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
   * Resolves with the answer of the first gateway that gives one. A refusal (404, say) counts only when no other gateway answers otherwise
   * soon.
   *
   * @throws the error of the only gateway; of several, NoAnswerError with each one's reason, or NoWayError when waiting will help with none
   */
  ask<T extends Answered>(asking: Asking, carry: Carry<T>): Promise<Carried<T>> {
    const { first, later } = this.#order(asking);
    const tell: Tell = {
      putAside: (...args) => this.#putAside(...args),
      wrong: (gateway, why) => this.#wrong(gateway, why),
    };
    return new Question(asking, carry, first, later, tell).answer();
  }

  /** The one of these that would be asked first. @param urls at least one */
  best(urls: readonly string[]): string {
    const { first, later } = this.#order({ kind: "query", limit: 0 });
    return [...first, ...later].find(({ url }) => urls.includes(url))!.url;
  }

  /** Records that a gateway's answer did not verify, where another's did. */
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

  /** Which gateways are asked at once, and which later, one after the other. */
  #order({ kind, last }: Asking): { readonly first: readonly Gateway[]; readonly later: Gateway[] } {
    const rank = (one: Gateway) => ASKED_LAST * (last?.get(one.url) ?? 0) + one.rank;
    const isNamed = this.#options.first === "as named";
    const usual = ({ usual }: Gateway) =>
      isNamed ? 0 : (usual.get(kind) ?? UNKNOWN_MS + (usual.get("query") ?? UNKNOWN_MS));
    const [best, ...others] = this.#all.toSorted((a, b) => rank(a) - rank(b) || usual(a) - usual(b));
    const now = performance.now();
    // A call may have a megabyte: too much to send only to learn how quick a gateway is.
    const isDue = (one: Gateway) =>
      !isNamed && kind !== "call" && rank(one) === 0 && now - one.askedAt > ASK_AGAIN_MS;
    return {
      first: [best!, ...others.filter(isDue)],
      later: others.filter((one) => !isDue(one)),
    };
  }

  /** @param pause milliseconds; default: as PAUSES has it */
  #putAside(gateway: Gateway, why: Why, message: string, pause?: number): void {
    // When several requests fail at once, only the first counts. A gateway that has lied keeps its longer pause when it also fails.
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

/** One request, and its attempts at one gateway after the other. */
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
  /** The refusal to return when no gateway gives an answer. */
  #refusal: Carried<T> | undefined;
  /** Gateways that have refused with a status from 400 to 499, other than 429. */
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
      // The answer would have taken at least as long as this.
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
      // Nobody has signed this: it may be a proxy's answer, or a lie.
      this.#refused.push({ gateway, status });
      this.#refusal = answer;
      if (this.#asking.kind !== "call") {
        clearTimeout(this.#secondOpinion);
        this.#secondOpinion = setTimeout(() => this.#result.resolve(answer), SECOND_OPINION_MS);
      }
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
  // While one of them may answer later, waiting helps.
  const Kind = failures.every((one) => isHopeless(one.error)) ? NoWayError : NoAnswerError;
  return new Kind(`no gateway answers: ${all}`, { cause: error, advice: hintFor(error) });
}

/** Watches one answer: it is late when nothing of it has come for as long as its gateway is given, or not all of it in the time for that. */
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

/** The gateways of each network in use, with what is known of them. */
const known = new WeakMap<Network, Gateways>();

/** The gateways of a network: the same object for everybody who has the same Network object. */
export function gatewaysOf(network: Network): Gateways {
  let gateways = known.get(network);
  if (gateways === undefined) {
    gateways = new Gateways(network.gateways);
    known.set(network, gateways);
  }
  return gateways;
}
