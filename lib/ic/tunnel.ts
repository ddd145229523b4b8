/** TLS through a forward proxy: a tunnel that it opens when asked to CONNECT (RFC 9110, section 9.3.6). */
import { request as requestHttp } from "node:http";
import { Agent, type AgentOptions, type RequestOptions, request as requestHttps } from "node:https";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import type { SecureContext } from "node:tls";
import type { ForwardProxy } from "./proxy.ts";
import { noTunnel, proxyFails } from "./proxy-problem.ts";

/** Of node:http's, that no agent knows: ends the making of a connection with the request that it was made for. */
export interface TunnelOptions extends RequestOptions {
  readonly tunnelSignal: AbortSignal;
}

/** Whose connections go through tunnels, which are kept as other connections are. */
export class TunnelAgent extends Agent {
  readonly #proxy: ForwardProxy;
  readonly #secureContext: SecureContext;

  /** @param secureContext for the proxy, where that speaks TLS itself, and for what is behind it */
  constructor(proxy: ForwardProxy, options: AgentOptions & { readonly secureContext: SecureContext }) {
    super(options);
    this.#proxy = proxy;
    this.#secureContext = options.secureContext;
  }

  override createConnection(
    options: RequestOptions,
    callback: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const { tunnelSignal } = options as TunnelOptions;
    const host = String(options.host);
    const authority = `${host.includes(":") ? `[${host}]` : host}:${options.port ?? 443}`;
    openTunnel(this.#proxy, authority, this.#secureContext, tunnelSignal).then(
      (socket) => callback(null, super.createConnection({ ...options, socket } as RequestOptions)!),
      (error) => callback(error, undefined as never),
    );
  }
}

/**
 * Asks a proxy for a tunnel. Its answer's head is bounded, as that of any answer.
 *
 * @param authority HOST:PORT, at which the tunnel ends
 * @param signal ends the attempt, and nothing once there is a tunnel
 * @throws NoAnswerError that says what is wrong with the proxy, or what it says
 */
export function openTunnel(
  proxy: ForwardProxy,
  authority: string,
  secureContext: SecureContext,
  signal: AbortSignal,
): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const request = (proxy.url.protocol === "https:" ? requestHttps : requestHttp)({
    ...addressOf(proxy),
    method: "CONNECT",
    path: authority,
    headers: { host: authority, ...loginOf(proxy) },
    agent: false,
    signal,
    secureContext,
  } as RequestOptions);
  request.on("connect", (response, socket, head) => {
    const problem = noTunnel(proxy, authority, response, head);
    if (problem === undefined) resolve(socket);
    else {
      socket.destroy();
      reject(problem);
    }
  });
  request.on("error", (cause) => reject(proxyFails(proxy, cause)));
  request.on("close", () =>
    reject(proxyFails(proxy, new Error("the connection was closed without an answer"))),
  );
  request.end();
  return promise;
}

/** As node:http's options, which would have the proxy's certificate be that of the Host in the request. */
export function addressOf({ url }: ForwardProxy): RequestOptions {
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  return {
    protocol: url.protocol,
    hostname,
    port: url.port || (url.protocol === "https:" ? 443 : 80),
    servername: isIP(hostname) === 0 ? hostname : "",
  };
}

/** As headers. */
export function loginOf({ authorization }: ForwardProxy): Record<string, string> {
  return authorization === undefined ? {} : { "proxy-authorization": authorization };
}
