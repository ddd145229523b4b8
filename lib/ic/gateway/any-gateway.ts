/**
 * Questions whose answers are verified above the agent. When an answer does not verify, another gateway is asked at once. Once another
 * answer has verified, the gateway that gave the wrong one is put aside (gateways.ts).
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { messageOf } from "../../errors.ts";
import type { Urgency } from "../../urgency.ts";
import { AdaptedAgent } from "../adapted-agent.ts";
import { NoSuchCanisterError, RejectError, SignatureError } from "../call-errors.ts";
import { isWrong } from "../certificate/certificate.ts";
import type { AnswerRequest, Received } from "../transport/bounded-fetch.ts";
import { asAgents, type Exchange, type GatewayFetch } from "./gateway-fetch.ts";
import type { Gateways } from "./gateways.ts";

/**
 * Returns what `ask` returns. `ask` sends a question through the agent that it is given, and verifies the answer. When the answer does not
 * verify, `ask` is called again, with an agent that asks another gateway, until all have been asked.
 *
 * An update call in it is signed once, and each gateway gets the same bytes, so that the subnet executes it once. Its request id is that of
 * the first attempt.
 *
 * @param agent made by createAgent(); with any other agent, `ask` is called once
 * @param received called with the number of bytes that have arrived, for a question that is one request
 * @param urgency as in Asking
 * @throws what `ask` threw at the first attempt; if no gateway's answer verifies, its message names them
 */
export async function fromAnyGateway<T>(
  agent: HttpAgent,
  ask: (agent: HttpAgent) => Promise<T>,
  received?: Received,
  urgency?: Urgency,
): Promise<T> {
  const fetch = agent.config?.fetch as Partial<GatewayFetch> | undefined;
  const gateways = fetch?.gateways;
  if (gateways === undefined || (gateways.count === 1 && received === undefined && urgency === undefined))
    return ask(agent);
  const suspects = new Suspects(gateways);
  let call: AnswerRequest | undefined;
  let first: unknown;
  for (let attempt = 1; ; attempt++) {
    const exchange: Exchange = { received, urgency, last: suspects.askedLast(), by: new Set() };
    const carried = (url: string | URL, init?: AnswerRequest) => {
      const isCall = new URL(url).pathname.endsWith("/call");
      if (isCall && attempt === 1) call = init;
      return (fetch as GatewayFetch)(url, isCall ? call : init, exchange);
    };
    try {
      // An agent cannot pass anything from a question to its fetch(), so each question has an agent of its own: that takes microseconds.
      const answer = await ask(AdaptedAgent.createSync({ ...agent.config, fetch: asAgents(carried) }));
      for (const [url, why] of suspects.wrong(exchange.by)) gateways.wrong(url, why);
      return answer;
    } catch (error) {
      first ??= error;
      if (exchange.by.size === 0 || !isDoubtful(error, agent)) throw first;
      if (!suspects.next(exchange.by, messageOf(error))) throw suspects.named(first);
    }
  }
}

/**
 * The gateways whose answers may have been wrong. A question may have several requests (a query, and the keys of its signers), and several
 * gateways may have answered them. So from the second attempt on, one gateway is asked for everything.
 */
class Suspects {
  readonly #gateways: Gateways;
  readonly #urls: readonly string[];
  /** The gateways that are still to be asked for everything. */
  #left: readonly string[];
  /** The gateway that is asked for everything now; undefined: gateways.ts chooses one for each request. */
  #asked: string | undefined;
  /** For each failed attempt, the gateways that answered, and what was wrong. */
  readonly #failed: { readonly by: ReadonlySet<string>; readonly why: string }[] = [];

  constructor(gateways: Gateways) {
    this.#gateways = gateways;
    this.#urls = gateways.health().map(({ url }) => url);
    this.#left = this.#urls;
  }

  /** Asking.last for this attempt: all gateways but the one that is asked, those that were wrong on their own at the very end. */
  askedLast(): ReadonlyMap<string, number> {
    if (this.#asked === undefined) return new Map();
    const others = this.#urls.filter((url) => url !== this.#asked);
    return new Map(others.map((url) => [url, this.#wasAlone(url) ? 2 : 1]));
  }

  /** Whether the gateway alone gave the answers of a failed attempt. */
  #wasAlone(url: string): boolean {
    return this.#failed.some(({ by }) => by.size === 1 && by.has(url));
  }

  /** Chooses the gateway of the next attempt. @returns false when none is left */
  next(by: ReadonlySet<string>, why: string): boolean {
    this.#failed.push({ by, why });
    this.#left = this.#left.filter((url) => url !== this.#asked && !this.#wasAlone(url));
    if (this.#left.length === 0) return false;
    this.#asked = this.#gateways.best(this.#left);
    return true;
  }

  /** The error, whose message then names the gateways, if several have answered and the error says that an answer does not verify. */
  named(error: unknown): unknown {
    const answered = this.#urls.filter((url) => this.#failed.some(({ by }) => by.has(url)));
    if (answered.length > 1 && error instanceof Error && isWrong(error)) {
      error.message += ` (no answer of these gateways verifies: ${answered.join(", ")})`;
    }
    return error;
  }

  /**
   * The gateways that were wrong, and why, now that those in `right` have answered correctly: each that was wrong on its own, whatever it
   * said later; and the only one left of several, if the others are in `right`.
   */
  wrong(right: ReadonlySet<string>): Map<string, string> {
    const found = new Map<string, string>();
    for (const { by, why } of this.#failed) {
      const others = [...by].filter((url) => by.size === 1 || !right.has(url));
      if (others.length === 1 && !found.has(others[0]!)) found.set(others[0]!, why);
    }
    return found;
  }
}

/**
 * Whether a gateway may have caused an error. It may have made up a rejection, unless a node or a subnet has signed it. That a canister
 * does not exist is never signed.
 */
function isDoubtful(error: unknown, { config }: HttpAgent): boolean {
  if (error instanceof NoSuchCanisterError) return true;
  if (error instanceof RejectError) return error.isGateways || config.verifyQuerySignatures === false;
  return isWrong(error) || error instanceof SignatureError;
}
