/** How the requests of this process leave the host: over which connections, through which proxy, and with which trusted TLS authorities. */
import { request as requestHttp } from "node:http";
import {
  type AgentOptions,
  Agent as HttpsAgent,
  type RequestOptions,
  request as requestHttps,
} from "node:https";
import type { SecureContext } from "node:tls";
import { believing, readBundle } from "./authorities.ts";
import { LargeReadsAgent } from "./large-reads.ts";
import { lookupHost } from "./loopback.ts";
import { type Choice, chooseProxy, type ForwardProxy, NO_PROXY_AT_ALL, proxyOption } from "./proxy.ts";
import { addressOf, loginOf, TunnelAgent, type TunnelOptions } from "./tunnel.ts";

export interface ConnectionOptions {
  /** The value of --proxy; undefined: the environment decides. */
  readonly proxy?: string;
  /** The value of --ca-bundle: a PEM file of certificates of more authorities to trust. */
  readonly caBundle?: string;
}

/** As Node's own agents have it. */
const KEPT = { keepAlive: true, scheduling: "lifo", timeout: 5000 } as const;
const DIRECT = { ...KEPT, lookup: lookupHost };

let option: ForwardProxy | typeof NO_PROXY_AT_ALL | undefined;
let bundle: readonly string[] = [];
let secure: SecureContext | undefined;
let plain: LargeReadsAgent | undefined;
let direct: HttpsAgent | undefined;
const choices = new Map<string, Choice>();
const tunnels = new Map<string, TunnelAgent>();

/**
 * Sets proxy and authorities for all requests from now on. @param isArgument whether the proxy stands on the command line
 * @throws UserError when the proxy's URL is wrong, or the bundle has no certificates
 */
export function useConnections({ proxy, caBundle }: ConnectionOptions, isArgument: boolean): void {
  option = proxy === undefined ? undefined : (proxyOption(proxy, isArgument) ?? NO_PROXY_AT_ALL);
  bundle = caBundle === undefined ? [] : readBundle(caBundle);
  secure = undefined;
  for (const agent of [plain, direct, ...tunnels.values()]) agent?.destroy();
  plain = undefined;
  direct = undefined;
  choices.clear();
  tunnels.clear();
}

/** @throws UsageError when the environment names a proxy that is none */
export function choiceFor(target: URL): Choice {
  let choice = choices.get(target.origin);
  if (choice === undefined) {
    choice = chooseProxy(target, process.env, option);
    choices.set(target.origin, choice);
  }
  return choice;
}

/** The context that TLS connections are made with. */
export function secureContext(): SecureContext {
  secure ??= believing(bundle);
  return secure;
}

/** What node:http needs for a request's way, besides its URL. */
export interface Way {
  readonly request: typeof requestHttp;
  readonly options: RequestOptions;
  /** Beside the request's own. */
  readonly headers: Readonly<Record<string, string>>;
  /** The proxy that the request goes through. */
  readonly proxy?: ForwardProxy;
}

/** @param signal ends the request. @throws UsageError when the environment names a proxy that is none */
export function wayTo(target: URL, signal: AbortSignal): Way {
  const { proxy } = choiceFor(target);
  if (proxy === undefined) {
    return target.protocol === "https:"
      ? { request: requestHttps, options: { agent: directAgent() }, headers: {} }
      : { request: requestHttp, options: { agent: plainAgent() }, headers: {} };
  }
  if (target.protocol === "https:") {
    const options: TunnelOptions = { agent: tunnelAgent(proxy), tunnelSignal: signal };
    return { request: requestHttps, options, headers: {}, proxy };
  }
  // The proxy gets the request itself, with the whole URL in it (RFC 9112, section 3.2.2).
  const isSecure = proxy.url.protocol === "https:";
  return {
    request: isSecure ? requestHttps : requestHttp,
    options: {
      ...addressOf(proxy),
      path: target.href,
      agent: isSecure ? directAgent() : plainAgent(),
    },
    headers: { host: target.host, ...loginOf(proxy) },
    proxy,
  };
}

function plainAgent(): LargeReadsAgent {
  plain ??= new LargeReadsAgent(DIRECT);
  return plain;
}

function directAgent(): HttpsAgent {
  direct ??= new HttpsAgent({ ...DIRECT, secureContext: secureContext() } as AgentOptions);
  return direct;
}

function tunnelAgent(proxy: ForwardProxy): TunnelAgent {
  const key = `${proxy.url.origin} ${proxy.authorization}`;
  let agent = tunnels.get(key);
  if (agent === undefined) {
    agent = new TunnelAgent(proxy, { ...KEPT, secureContext: secureContext() });
    tunnels.set(key, agent);
  }
  return agent;
}
