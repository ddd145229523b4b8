/** One request, and its attempts at one gateway after the other until there is an answer. gateways.ts decides the order. */
import { messageOf } from "../../errors.ts";
import type { Urgency } from "../../urgency.ts";
import { retryAfter } from "../agent-error.ts";
import { isHopeless, NoAnswerError, NoWayError } from "../call-errors.ts";
import { hintFor } from "../network-problem.ts";
import type { Answer } from "../transport/bounded-fetch.ts";
import { ASK_AGAIN_MS, type Gateway, type RequestKind, type Why } from "./gateway.ts";

/** What of an HTTP answer decides whether another gateway is asked. */
export interface Answered {
  readonly status: number;
  readonly headers: Iterable<[string, string]>;
}

/**
 * Sends a request to one gateway.
 * @param received to be called whenever a part of the answer arrives
 * @param urgency of a request that may take its time until this rises; undefined: it may not
 * @throws NotHereError, WrongAnswerError if the answer is judged here already; any Error when there is no answer
 */
export type Carry<T extends Answered = Answer> = (
  url: string,
  signal: AbortSignal,
  received: () => void,
  urgency: Urgency | undefined,
) => Promise<T>;

/** The gateway does not have what was asked for. That is not an error of the gateway: another one may have it. */
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
  /** The URLs in the order for this question, where gateways are asked "as named" (GatewaysOptions). */
  readonly order?: readonly string[];
  /** Until it rises, no answer is late if its gateway is reliable. Default: it has risen. */
  readonly urgency?: Urgency | undefined;
}

/** An answer, and the gateway that gave it. */
export interface Carried<T extends Answered = Answer> {
  readonly response: T;
  readonly url: string;
}

/** A gateway that is sending answers to other requests meanwhile is busy, not silent: it gets this many times as long. */
const BUSY_TIMES = 4;
/**
 * Milliseconds for which other gateways may contradict a refusal (404, say). A call has no such limit, since its answer takes as long as
 * the subnet does.
 */
const SECOND_OPINION_MS = 1000;
const TOO_MANY: ReadonlySet<number> = new Set([429, 503]);

/** How a question reports what it learns about the gateways that it asks. */
export interface Tell {
  putAside(gateway: Gateway, why: Why, message: string, pause?: number): void;
  wrong(gateway: Gateway, why: string): void;
  /** Whether another gateway may be asked as well, since one is late. */
  mayOvertake(): boolean;
  /** A silent gateway was overtaken, and the other one's answer came before it was late itself. */
  overtaken(gateway: Gateway): void;
  answered(): void;
}

export class Question<T extends Answered> {
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
  /** Gateways that are late, and since when they have been asked (of performance.now()). */
  readonly #late: { readonly gateway: Gateway; readonly started: number }[] = [];
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
    const { kind, urgency } = this.#asking;
    const { signal } = this.#over;
    const started = performance.now();
    const isNews = started - gateway.askedAt > ASK_AGAIN_MS;
    gateway.askedAt = started;
    this.#underWay += 1;
    const late = () => {
      if (this.#isAlone) return;
      gateway.late += 1;
      this.#late.push({ gateway, started });
      this.#next();
    };
    const patience = gateway.patience(kind, this.#asking.limit);
    const mayOvertake = () => this.#tell.mayOvertake();
    const watch = () => {
      gateway.moveOn.add(moveOn);
      lateness = new Lateness(gateway, patience, this.#asking.whole, mayOvertake, late);
    };
    let lateness: Lateness | undefined;
    const moveOn = () => lateness?.moveOn();
    const isLeisurely = urgency?.isUrgent === false && gateway.isReliable;
    const forget = isLeisurely ? urgency.whenUrgent(watch) : watch();
    let begun = false;
    const received = () => {
      const now = performance.now();
      if (!begun) gateway.took(kind, now - started, isNews);
      begun = true;
      gateway.heardAt = now;
      lateness?.heard(now);
    };
    try {
      const response = await this.#carry(gateway.url, signal, received, isLeisurely ? urgency : undefined);
      if (signal.aborted) return;
      received();
      this.#underWay -= 1;
      if (urgency !== undefined) gateway.isWorthWaiting = true;
      const silent = this.#late.filter((one) => one.gateway.heardAt <= one.started);
      if (performance.now() - started < patience) for (const one of silent) this.#tell.overtaken(one.gateway);
      this.#answered(gateway, response);
    } catch (error) {
      this.#underWay -= 1;
      const taken = performance.now() - started;
      // The answer would have taken at least as long as this.
      if (lateness?.isLate) gateway.took(kind, taken, isNews);
      if (!signal.aborted) {
        if (error instanceof WrongAnswerError) this.#tell.wrong(gateway, messageOf(error));
        else if (!(error instanceof NotHereError)) {
          if (isLeisurely) gateway.isWorthWaiting = false;
          this.#fails(gateway, messageOf(error));
        }
        this.#failures.push({ url: gateway.url, error });
        this.#next();
      } else if (lateness?.isLate && (begun || gateway.heardAt <= started)) {
        this.#tell.putAside(
          gateway,
          "failed",
          `${begun ? "not all came" : "nothing came"} for ${Math.round(taken)} ms, and another one was quicker`,
        );
      }
    } finally {
      forget?.();
      gateway.moveOn.delete(moveOn);
      lateness?.end();
    }
  }

  #answered(gateway: Gateway, response: T): void {
    const { status } = response;
    const answer = { response, url: gateway.url };
    if (status < 400) {
      gateway.answered();
      this.#tell.answered();
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

/** The error for a question without an answer. @param failures at least one */
function inOne(failures: readonly Failure[]): unknown {
  const error = failures[0]!.error;
  if (failures.length === 1) return error;
  const all = failures.map((one) => `${one.url}: ${messageOf(one.error)}`).join("; ");
  // Waiting helps as long as one of them may answer later.
  const Kind = failures.every((one) => isHopeless(one.error)) ? NoWayError : NoAnswerError;
  return new Kind(`no gateway answers: ${all}`, { cause: error, advice: hintFor(error) });
}

/** Watches one answer: it is late when nothing has arrived for its gateway's limit, or not all of it in the time for a whole answer. */
class Lateness {
  readonly #gateway: Gateway;
  #patience: number;
  /** Of performance.now(). */
  readonly #end: number;
  readonly #mayOvertake: () => boolean;
  readonly #late: () => void;
  #since = performance.now();
  #extensions = BUSY_TIMES - 1;
  #timer: NodeJS.Timeout | undefined;
  #hasBegun = false;
  isLate = false;

  /**
   * @param whole milliseconds for a whole answer
   * @param mayOvertake asked when nothing has arrived in time; if it returns false, the answer is late only after `whole`
   * @param late called once
   */
  constructor(
    gateway: Gateway,
    patience: number,
    whole = Number.POSITIVE_INFINITY,
    mayOvertake: () => boolean,
    late: () => void,
  ) {
    this.#gateway = gateway;
    this.#patience = patience;
    this.#end = performance.now() + whole;
    this.#mayOvertake = mayOvertake;
    this.#late = late;
    this.#wait(Math.min(patience, whole));
  }

  /** A part of the answer has arrived. */
  heard(now: number): void {
    this.#since = now;
    this.#hasBegun = true;
  }

  /** Makes the answer late at once, if no part of it has arrived. */
  moveOn(): void {
    if (this.isLate || this.#hasBegun) return;
    this.end();
    this.isLate = true;
    this.#late();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #wait(milliseconds: number): void {
    this.#timer = setTimeout(() => this.#look(), milliseconds);
  }

  #look(): void {
    const now = performance.now();
    // It is sending other answers meanwhile: it is busy, not silent.
    if (this.#gateway.heardAt > this.#since && this.#extensions > 0) {
      this.#extensions -= 1;
      this.#since = now;
    }
    const left = Math.min(this.#since + this.#patience, this.#end) - now;
    if (left > 0) {
      this.#wait(left);
      return;
    }
    if (now < this.#end && !this.#mayOvertake()) {
      this.#patience = Number.POSITIVE_INFINITY;
      if (this.#end < Number.POSITIVE_INFINITY) this.#wait(this.#end - now);
      return;
    }
    this.isLate = true;
    this.#late();
  }
}
