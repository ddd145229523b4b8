/**
 * The gateways of a network: several ways to the same subnets, none of which is trusted. Each request goes to the gateway that is usually
 * quickest. When that one is late, another is asked as well. When it fails, limits requests, or has given wrong answers, another is
 * asked instead (question.ts). Mirrors (lib/source/icfs/mirrors.ts) are asked in the same way, but in the order in which they were named.
 *
 * So several gateways may carry the same request. That is harmless: queries and reads of the state change nothing, and a subnet executes an
 * update call once, however many gateways hand in the same signed envelope (IC interface specification, "Request id"; the subnet
 * remembers a request until it expires).
 */
import type { Network } from "../network.ts";
import { ASK_AGAIN_MS, Gateway, type GatewayHealth, PAUSES, RANKS, type Why } from "./gateway.ts";
import { type Answered, type Asking, type Carried, type Carry, Question, type Tell } from "./question.ts";

/** Milliseconds without a wrong answer after which the next one counts as the first. */
const FORGIVEN_MS = 3_600_000;
/**
 * A mirror is overtaken (another one is asked as well, because this one is late) once in this many answers. When a site's way to the
 * network is slow, its cache is late for all hosts of the site at once. If each of them asked the network for what the cache is fetching
 * for all, everything would come over the same slow line, later and later, and would be requested again before it arrived. If the network
 * answers at once, the line is not slow and the mirror is silent: then nobody goes on waiting for it.
 */
const ANSWERS_FOR_ONE = 10;
/** How many overtakings can be saved up, for mirrors that are late at the same time. */
const MOST_OVERTAKINGS = 3;
/** Greater than each of RANKS: Asking.last decides before they do. */
const ASKED_LAST = 10;
/** Milliseconds that stand for the usual time of a gateway that has not answered yet: it sorts after the others. */
const UNKNOWN_MS = 1e9;

export interface GatewaysOptions {
  /** Which of those that are not put aside is asked first, and whether others are tried out beside it. */
  readonly first: "quickest" | "as named";
  /** What one of them is called in the log. */
  readonly called: string;
}

export class Gateways {
  readonly #all: readonly Gateway[];
  readonly #options: GatewaysOptions;
  /** How many answers may be overtaken now. */
  #overtakings = 1;
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
      mayOvertake: () => this.#mayOvertake(),
      overtaken: (gateway) => {
        this.#earn(1);
        for (const moveOn of [...gateway.moveOn]) moveOn();
      },
      answered: () => this.#earn(1 / ANSWERS_FOR_ONE),
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
  #order({ kind, last, order }: Asking): { readonly first: readonly Gateway[]; readonly later: Gateway[] } {
    const rank = (one: Gateway) => ASKED_LAST * (last?.get(one.url) ?? 0) + one.rank;
    const isNamed = this.#options.first === "as named";
    const usual = ({ usual }: Gateway) => usual.get(kind) ?? UNKNOWN_MS + (usual.get("query") ?? UNKNOWN_MS);
    const place = (one: Gateway) => (isNamed ? (order?.indexOf(one.url) ?? 0) : usual(one));
    const [best, ...others] = this.#all.toSorted((a, b) => rank(a) - rank(b) || place(a) - place(b));
    const now = performance.now();
    // A call may have a megabyte: too much to send only to learn how quick a gateway is.
    const isDue = (one: Gateway) =>
      !isNamed && kind !== "call" && rank(one) === 0 && now - one.askedAt > ASK_AGAIN_MS;
    return {
      first: [best!, ...others.filter(isDue)],
      later: others.filter((one) => !isDue(one)),
    };
  }

  #earn(overtakings: number): void {
    this.#overtakings = Math.min(this.#overtakings + overtakings, MOST_OVERTAKINGS);
  }

  #mayOvertake(): boolean {
    if (this.#options.first === "quickest") return true;
    if (this.#overtakings < 1) return false;
    this.#overtakings -= 1;
    return true;
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

/** The gateways of each network in use, with what is known of them. */
const known = new WeakMap<Network, Gateways>();

/** The gateways of a network: the same object for each use of the same Network object. */
export function gatewaysOf(network: Network): Gateways {
  let gateways = known.get(network);
  if (gateways === undefined) {
    gateways = new Gateways(network.gateways);
    known.set(network, gateways);
  }
  return gateways;
}
