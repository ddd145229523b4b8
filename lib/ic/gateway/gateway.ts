/** One gateway, as far as this process has seen it: how quick it is, what it has failed to do, and until when it is put aside. */

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

/** An answer is late after this many times what its gateway usually takes. */
const LATE_TIMES = 4;
/** Milliseconds before which no answer is late, whatever is usual. */
const LEAST_LATE_MS = 200;
/** The same for calls: a gateway answers them when the subnet has a result. */
const LEAST_LATE_CALL_MS = 5000;
/**
 * The same for GETs. A cache sends what it has within a millisecond; anything else takes as long as the cache's own way to the network. And
 * if several clients ask for the same thing, nginx checks only every 500 ms whether it has arrived. A client that asked the network
 * meanwhile would fetch again what the cache fetches once for all.
 */
const LEAST_LATE_GET_MS = 2000;
const LEAST_LATE: Partial<Record<RequestKind, number>> = { call: LEAST_LATE_CALL_MS, get: LEAST_LATE_GET_MS };
/** Milliseconds after which an answer is late, from a gateway that has not answered that kind of request yet. */
const LATE_UNKNOWN_MS = 1000;
/** The share of a request's limit after which it is late in any case: a reader's deadline is twice that limit. */
const LATE_SHARE = 1 / 4;
/** The same for GETs. */
const LATE_SHARE_GET = 1 / 2;
/** Milliseconds. A gateway that was not asked for this long is asked together with the best one, to measure it. */
export const ASK_AGAIN_MS = 60_000;
/** The weight of the newest answer in the moving average of what is usual. */
const NEWEST_SHARE = 0.3;

/** Milliseconds for which a gateway is put aside, at first and at most. They double each time. Its own Retry-After takes precedence. */
export const PAUSES = { failed: [1000, 60_000], limited: [1000, 60_000], wrong: [10_000, 600_000] } as const;

export type Why = keyof typeof PAUSES;
/** Gateways that are put aside are asked after all others, in the order of these numbers. */
export const RANKS: Readonly<Record<Why, number>> = { failed: 1, limited: 2, wrong: 3 };

/** All times are of performance.now(). */
export class Gateway {
  readonly url: string;
  readonly usual = new Map<RequestKind, number>();
  answers = 0;
  failures = 0;
  late = 0;
  limited = 0;
  wrong = 0;
  askedAt = Number.NEGATIVE_INFINITY;
  /** When any byte last came from it. */
  heardAt = Number.NEGATIVE_INFINITY;
  wrongAt = Number.NEGATIVE_INFINITY;
  /** Called to make requests that wait for this gateway's first byte ask another gateway as well. */
  readonly moveOn = new Set<() => void>();
  /** False once an answer that was allowed to take its time has not come, until a later one comes. */
  isWorthWaiting = true;
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

  /** Whether an answer for which nobody waits yet may take its time here. */
  get isReliable(): boolean {
    return this.answers > 0 && this.times.failed === 0 && this.isWorthWaiting;
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

  /**
   * Milliseconds of silence after which an answer is late. A gateway that is put aside gets the least.
   * @param limit milliseconds without a byte after which the request fails
   */
  patience(kind: RequestKind, limit: number): number {
    const usual = this.isAside ? 0 : this.usual.get(kind);
    const least = LEAST_LATE[kind] ?? LEAST_LATE_MS;
    const wanted = usual === undefined ? LATE_UNKNOWN_MS : LATE_TIMES * usual;
    return Math.min(Math.max(wanted, least), limit * (kind === "get" ? LATE_SHARE_GET : LATE_SHARE));
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
