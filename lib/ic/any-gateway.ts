/**
 * Questions whose answers are verified above the agent: when what came does not verify, another gateway is asked at once, and the one
 * that gave it is put aside (gateways.ts) once another answer has been verified.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { messageOf } from "../errors.ts";
import type { Received } from "./bounded-fetch.ts";
import { NoSuchCanisterError, RejectError, SignatureError } from "./call-errors.ts";
import { isWrong } from "./certificate.ts";
import type { Exchange, GatewayFetch } from "./gateway-fetch.ts";
import { TimelyAgent } from "./timely-agent.ts";

/**
 * What `ask` returns, which asks with the agent it is given and verifies what comes. When that does not verify, it is called again, with
 * an agent that asks another gateway, until all have been asked.
 *
 * A call in it is signed once, and handed to each gateway as it is, so that it is executed once: the request's id is that of the first
 * time.
 *
 * @param agent made by createAgent(); with any other it is only called
 * @param received told of the bytes of an answer that has one request
 * @throws what `ask` has thrown the first time
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
      // An agent takes nothing along from a question to its fetch(), so each question has an agent of its own: that takes microseconds.
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
 * It may be the gateway's doing. A rejection may be as well, unless a node has signed it, or a subnet; of a canister that is not there
 * none has.
 */
function isDoubtful(error: unknown, { config }: HttpAgent): boolean {
  if (error instanceof NoSuchCanisterError) return true;
  if (error instanceof RejectError) return error.isGateways || config.verifyQuerySignatures === false;
  return isWrong(error) || error instanceof SignatureError;
}
