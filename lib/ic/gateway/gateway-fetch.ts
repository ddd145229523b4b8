/**
 * Sends an agent's requests to the gateways of its network. gateways.ts chooses a gateway for each request; any-gateway.ts, which verifies
 * the answer, learns which gateway gave it.
 */

import type { Urgency } from "../../urgency.ts";
import type { Network } from "../network.ts";
import { type Answer, type AnswerRequest, boundedFetch, type Received } from "../transport/bounded-fetch.ts";
import { ApiVersions } from "./api-versions.ts";
import type { RequestKind } from "./gateway.ts";
import { type Gateways, gatewaysOf } from "./gateways.ts";

/** What the requests of one question share. */
export interface Exchange {
  readonly received?: Received | undefined;
  /** As of Asking. */
  readonly urgency?: Urgency | undefined;
  /** Gateways that are asked last, as Asking has them. */
  readonly last: ReadonlyMap<string, number>;
  /** Those that have answered: a question may have several requests, each with an answer of its own. */
  readonly by: Set<string>;
}

/** The fetch() of an agent made by createAgent(). The agent itself knows of the first two parameters only. */
export interface GatewayFetch {
  (url: string | URL, init?: AnswerRequest, exchange?: Exchange): Promise<Answer>;
  readonly gateways: Gateways;
}

export interface GatewayFetchOptions {
  readonly network: Network;
  readonly requestTimeout: number;
  readonly mostBytes?: number;
  readonly verifyQuerySignatures: boolean;
}

/** The same function with the type that @icp-sdk/core requires. It takes less than any fetch() request, and returns all that core uses. */
export function asAgents(fetch: (url: string | URL, init?: AnswerRequest) => Promise<Answer>) {
  return fetch as unknown as typeof globalThis.fetch;
}

/** Which versions of endpoints the gateways have, for all agents of the process. */
const versions = new ApiVersions();

/** fetch() for an agent whose host is any gateway of the network. @param options as createAgent() has them */
export function gatewayFetch({
  network,
  requestTimeout,
  mostBytes,
  verifyQuerySignatures,
}: GatewayFetchOptions): GatewayFetch {
  const gateways = gatewaysOf(network);
  const versioned = versions.on((url, init, received, urgency) =>
    boundedFetch(url, init, { idle: requestTimeout, urgency, most: mostBytes }, received),
  );
  const fetch = async (given: string | URL, init?: AnswerRequest, exchange?: Exchange) => {
    const { pathname } = new URL(given);
    const told = withoutRepeats(exchange?.received);
    const { response, url } = await gateways.ask(
      {
        kind: kindOf(pathname),
        limit: requestTimeout,
        last: exchange?.last,
        urgency: exchange?.urgency,
      },
      (gateway, signal, received, urgency) => {
        const tell = told();
        const address = gateway + pathname.slice(pathname.lastIndexOf("/api/"));
        const receive = (bytes: number) => {
          received();
          tell(bytes);
        };
        return versioned(address, { ...init, signal }, receive, urgency);
      },
    );
    exchange?.by.add(url);
    return verifyQuerySignatures ? response : withoutCopies(response);
  };
  return Object.assign(fetch, { gateways });
}

/** A request's kind, by the last part of its path. */
function kindOf(pathname: string): RequestKind {
  if (pathname.endsWith("/call")) return "call";
  return pathname.endsWith("/query") ? "query" : "read_state";
}

/**
 * Reports each byte of an answer once, even if several gateways send it: only what the one that is furthest ahead adds. Returns a function
 * that is called for each gateway, and makes its Received.
 */
export function withoutRepeats(received: Received = () => {}): () => Received {
  let most = 0;
  return () => {
    let arrived = 0;
    return (bytes) => {
      arrived += bytes;
      if (arrived > most) received(arrived - most);
      most = Math.max(most, arrived);
    };
  };
}

/**
 * The answer with its bytes as a Buffer. The agent's decoder copies what it cuts out of a Uint8Array, and makes views of a Buffer: a mount
 * has a megabyte of garbage less for each chunk. The agent takes both, though its types do not say so. Not for replies that go through the
 * general Candid decoder, which misreads views.
 */
function withoutCopies(response: Answer): Answer {
  const bytes = response.arrayBuffer();
  return Object.assign(response, { arrayBuffer: async () => Buffer.from(await bytes) });
}
