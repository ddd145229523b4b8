/** How the requests of this process leave the host: over which connections, through which proxy, and with which trusted TLS authorities. */
import {
  type AgentOptions,
  Agent as HttpsAgent,
  type RequestOptions,
  request as requestHttps,
} from "node:https";
import type { SecureContext } from "node:tls";
import { http } from "../../node-http.ts";
import { believing, readBundle } from "./authorities.ts";
import { LargeReadsAgent } from "./large-reads.ts";
import { lookupHost } from "./loopback.ts";
import {
  type Choice,
  chooseProxy,
  type ForwardProxy,
  NO_PROXY_AT_ALL,
  type ProxyOptions,
  proxyOption,
} from "./proxy.ts";
import { addressOf, loginOf, TunnelAgent, type TunnelOptions } from "./tunnel.ts";

export interface ConnectionOptions {
  /** The value of --proxy; undefined: the environment decides. */
  readonly proxy?: string;
  /** The value of --noproxy. */
  readonly noproxy?: string;
  /** The value of --ca-bundle: a PEM file of certificates of more authorities to trust. */
  readonly caBundle?: string;
}

/** The options of Node's own global agents. */
const KEPT = { keepAlive: true, scheduling: "lifo", timeout: 5000 } as const;
const DIRECT = { ...KEPT, lookup: lookupHost };

let options: ProxyOptions = { proxy: undefined, exceptions: undefined };
let bundle: readonly string[] = [];
let secure: SecureContext | undefined;
let plain: LargeReadsAgent | undefined;
let direct: HttpsAgent | undefined;
const choices = new Map<string, Choice>();
const tunnels = new Map<string, TunnelAgent>();

/**
 * Sets proxy and authorities for all requests from now on.
 *
 * @param isArgument whether the proxy was given on the command line, where other users can read it
 * @throws UserError when the proxy's URL is wrong, or the bundle has no certificates
 */
export function useConnections({ proxy, noproxy, caBundle }: ConnectionOptions, isArgument: boolean): void {
  options = {
    proxy: proxy === undefined ? undefined : (proxyOption(proxy, isArgument) ?? NO_PROXY_AT_ALL),
    exceptions: noproxy,
  };
  bundle = caBundle === undefined ? [] : readBundle(caBundle);
  secure = undefined;
  for (const agent of [plain, direct, ...tunnels.values()]) agent?.destroy();
  plain = undefined;
  direct = undefined;
  choices.clear();
  tunnels.clear();
}

/** Which proxy is used for a URL, if any, and why. @throws UsageError when the environment names something as a proxy that is not one */
export function choiceFor(target: URL): Choice {
  let choice = choices.get(target.origin);
  if (choice === undefined) {
    choice = chooseProxy(target, process.env, options);
    choices.set(target.origin, choice);
  }
  return choice;
}

/** The context for all TLS connections, made when it is first needed. */
export function secureContext(): SecureContext {
  secure ??= believing(bundle);
  return secure;
}

/** What node:http or node:https needs, besides a request's URL, to send it where it has to go. */
export interface Way {
  readonly request: typeof http.request;
  readonly options: RequestOptions;
  /** Headers in addition to the request's own. */
  readonly headers: Readonly<Record<string, string>>;
  /** The proxy that the request goes through. */
  readonly proxy?: ForwardProxy;
}

/** How a request gets to a URL: directly, or through a proxy. @param signal ends the request. @throws as choiceFor() */
export function wayTo(target: URL, signal: AbortSignal): Way {
  const { proxy } = choiceFor(target);
  if (proxy === undefined) {
    return target.protocol === "https:"
      ? { request: requestHttps, options: { agent: directAgent() }, headers: {} }
      : { request: http.request, options: { agent: plainAgent() }, headers: {} };
  }
  if (target.protocol === "https:") {
    const options: TunnelOptions = { agent: tunnelAgent(proxy), tunnelSignal: signal };
    return { request: requestHttps, options, headers: {}, proxy };
  }
  // The proxy gets the request itself, with the whole URL in it (RFC 9112, section 3.2.2).
  const isSecure = proxy.url.protocol === "https:";
  return {
    request: isSecure ? requestHttps : http.request,
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
