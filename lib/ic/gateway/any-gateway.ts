/**
 * Questions whose answers are verified above the agent. When an answer does not verify, another gateway is asked at once. Once another
 * answer has verified, the gateway that gave the wrong one is put aside (gateways.ts).
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { messageOf } from "../../errors.ts";
import type { Urgency } from "../../urgency.ts";
import { NoSuchCanisterError, RejectError, SignatureError } from "../call-errors.ts";
import { isWrong } from "../certificate/certificate.ts";
import { TimelyAgent } from "../timely-agent.ts";
import type { Received } from "../transport/bounded-fetch.ts";
import type { Exchange, GatewayFetch } from "./gateway-fetch.ts";
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
 * @param urgency until it rises the answer may take its time
 * @throws what `ask` threw at the first attempt
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
  let call: RequestInit | undefined;
  let first: unknown;
  for (let attempt = 1; ; attempt++) {
    const exchange: Exchange = { received, urgency, last: suspects.askedLast(), by: new Set() };
    const carried: typeof globalThis.fetch = (url, init) => {
      const isCall = new URL(url instanceof Request ? url.url : url).pathname.endsWith("/call");
      if (isCall && attempt === 1) call = init;
      return (fetch as GatewayFetch)(url, isCall ? call : init, exchange);
    };
    try {
      // An agent cannot pass anything from a question to its fetch(), so each question has an agent of its own: that takes microseconds.
      const answer = await ask(TimelyAgent.createSync({ ...agent.config, fetch: carried }));
      for (const [url, why] of suspects.wrong(exchange.by)) gateways.wrong(url, why);
      return answer;
    } catch (error) {
      first ??= error;
      if (exchange.by.size === 0 || !isDoubtful(error, agent)) throw first;
      if (!suspects.next(exchange.by, messageOf(error))) throw first;
    }
  }
}

/**
 * Whose answers may have been wrong. A question may have several requests (a query, and the keys by which it is signed), which several
 * gateways have answered: so from the second time on each gateway is asked for all of it.
 */
class Suspects {
  readonly #gateways: Gateways;
  readonly #urls: readonly string[];
  /** Those that are still to be asked for all of it. */
  #left: readonly string[];
  /** Who is asked for all of it now; undefined: whoever is best. */
  #asked: string | undefined;
  /** Who has answered in vain, together, and why it was in vain. */
  readonly #failed: { readonly by: ReadonlySet<string>; readonly why: string }[] = [];

  constructor(gateways: Gateways) {
    this.#gateways = gateways;
    this.#urls = gateways.health().map(({ url }) => url);
    this.#left = this.#urls;
  }

  /** The others when one is asked: first those that have not been wrong by themselves. */
  askedLast(): ReadonlyMap<string, number> {
    if (this.#asked === undefined) return new Map();
    const others = this.#urls.filter((url) => url !== this.#asked);
    return new Map(others.map((url) => [url, this.#wasAlone(url) ? 2 : 1]));
  }

  #wasAlone(url: string): boolean {
    return this.#failed.some(({ by }) => by.size === 1 && by.has(url));
  }

  /** @returns false when there is nobody left to be asked */
  next(by: ReadonlySet<string>, why: string): boolean {
    this.#failed.push({ by, why });
    this.#left = this.#left.filter((url) => url !== this.#asked && !this.#wasAlone(url));
    if (this.#left.length === 0) return false;
    this.#asked = this.#gateways.best(this.#left);
    return true;
  }

  /** Who was wrong, and why, as is known now that these have answered right: one alone, whatever it has said later. */
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
 * Whether the gateway may have caused an error. It may have made up a rejection, unless a node or a subnet has signed that. Nobody signs
 * that a canister does not exist.
 */
function isDoubtful(error: unknown, { config }: HttpAgent): boolean {
  if (error instanceof NoSuchCanisterError) return true;
  if (error instanceof RejectError) return error.isGateways || config.verifyQuerySignatures === false;
  return isWrong(error) || error instanceof SignatureError;
}
