/**
 * Sends an agent's requests to the gateways of its network. gateways.ts chooses a gateway for each request; any-gateway.ts, which verifies
 * the answer, learns which gateway gave it.
 */

import type { Urgency } from "../../urgency.ts";
import type { Network } from "../network.ts";
import { boundedFetch, type Received } from "../transport/bounded-fetch.ts";
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

/** What an agent made by createAgent() fetches with; the agent itself knows of the first two parameters only. */
export interface GatewayFetch {
  (url: string | URL | Request, init?: RequestInit, exchange?: Exchange): Promise<Response>;
  readonly gateways: Gateways;
}

export interface GatewayFetchOptions {
  readonly network: Network;
  readonly requestTimeout: number;
  readonly mostBytes?: number;
  readonly verifyQuerySignatures: boolean;
}

/** Which versions gateways have, for all agents of the process. */
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
  const fetch = async (given: string | URL | Request, init?: RequestInit, exchange?: Exchange) => {
    const { pathname } = new URL(given instanceof Request ? given.url : given);
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

/** By the last part of its path. */
function kindOf(pathname: string): RequestKind {
  if (pathname.endsWith("/call")) return "call";
  return pathname.endsWith("/query") ? "query" : "read_state";
}

/** When several gateways send the same answer, each byte counts once: only the one that is furthest ahead is reported. */
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
 * The agent's decoder copies what it cuts out of a Uint8Array, and gives views of a Buffer: for a mount that is a megabyte
 * of garbage less for each chunk. The agent takes both, though not by its types. Not for replies that go through the
 * general Candid decoder, which is wrong about views.
 */
function withoutCopies(response: Response): Response {
  const bytes = response.arrayBuffer();
  return Object.assign(response, { arrayBuffer: async () => Buffer.from(await bytes) });
}
