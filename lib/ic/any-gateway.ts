/**
 * Questions whose answers are verified above the agent. When an answer does not verify, another gateway is asked at once. Once another
 * answer has verified, the gateway that gave the wrong one is put aside (gateways.ts).
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { messageOf } from "../errors.ts";
import type { Received } from "./bounded-fetch.ts";
import { NoSuchCanisterError, RejectError, SignatureError } from "./call-errors.ts";
import { isWrong } from "./certificate.ts";
import type { Exchange, GatewayFetch } from "./gateway-fetch.ts";
import { TimelyAgent } from "./timely-agent.ts";

/**
 * Returns what `ask` returns. `ask` sends a question through the agent that it is given, and verifies the answer. When the answer does not
 * verify, `ask` is called again, with an agent that asks another gateway, until all have been asked.
 *
 * An update call in it is signed once, and each gateway gets the same bytes, so that the subnet executes it once. Its request id is that of
 * the first attempt.
 *
 * @param agent made by createAgent(); with any other agent, `ask` is called once
 * @param received called with the number of bytes that have arrived, for a question that is one request
 * @throws what `ask` threw at the first attempt
 */
export async function fromAnyGateway<T>(
  agent: HttpAgent,
  ask: (agent: HttpAgent) => Promise<T>,
  received?: Received,
): Promise<T> {
  const fetch = agent.config?.fetch as Partial<GatewayFetch> | undefined;
  const gateways = fetch?.gateways;
  if (gateways === undefined || (gateways.count === 1 && received === undefined)) return ask(agent);
  const suspects = new Map<string, string>();
  let call: RequestInit | undefined;
  let first: unknown;
  for (let attempt = 1; ; attempt++) {
    const exchange: Exchange = { received, wrong: new Set(suspects.keys()) };
    const carried: typeof globalThis.fetch = (url, init) => {
      const isCall = new URL(url instanceof Request ? url.url : url).pathname.endsWith("/call");
      if (isCall && attempt === 1) call = init;
      return (fetch as GatewayFetch)(url, isCall ? call : init, exchange);
    };
    try {
      // An agent cannot pass anything from a question to its fetch(), so each question has an agent of its own: that takes microseconds.
      const answer = await ask(TimelyAgent.createSync({ ...agent.config, fetch: carried }));
      for (const [url, why] of suspects) gateways.wrong(url, why);
      return answer;
    } catch (error) {
      first ??= error;
      if (exchange.by === undefined || !isDoubtful(error, agent)) throw first;
      suspects.set(exchange.by, messageOf(error));
      if (attempt >= gateways.count) throw first;
    }
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
