/** TLS through a forward proxy, which opens a tunnel at a CONNECT request (RFC 9110, section 9.3.6). */
import { Agent, type AgentOptions, type RequestOptions, request as requestHttps } from "node:https";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import type { SecureContext } from "node:tls";
import { http } from "../../node-http.ts";
import type { ForwardProxy } from "./proxy.ts";
import { noTunnel, proxyFails } from "./proxy-problem.ts";

/** Options of a request. `tunnelSignal` ends the attempt to open a tunnel for the request, which Node's own signal does not. */
export interface TunnelOptions extends RequestOptions {
  readonly tunnelSignal: AbortSignal;
}

/** An agent whose connections go through tunnels, and are kept alive as other connections are. */
export class TunnelAgent extends Agent {
  readonly #proxy: ForwardProxy;
  readonly #secureContext: SecureContext;

  /** @param secureContext for the proxy, if it speaks TLS itself, and for the host behind it */
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
 * Asks a proxy for a tunnel. Node bounds the head of the proxy's answer (maxHeaderSize).
 *
 * @param authority HOST:PORT, at which the tunnel ends
 * @param signal ends the attempt; it has no effect on a tunnel that is open
 * @throws NoAnswerError that says what is wrong with the proxy, or what the proxy answered
 */
export function openTunnel(
  proxy: ForwardProxy,
  authority: string,
  secureContext: SecureContext,
  signal: AbortSignal,
): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const request = (proxy.url.protocol === "https:" ? requestHttps : http.request)({
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

/** A proxy's address as node:http's options. Without `servername` Node would check the proxy's certificate against the request's Host. */
export function addressOf({ url }: ForwardProxy): RequestOptions {
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  return {
    protocol: url.protocol,
    hostname,
    port: url.port || (url.protocol === "https:" ? 443 : 80),
    servername: isIP(hostname) === 0 ? hostname : "",
  };
}

/** A proxy's login as headers. */
export function loginOf({ authorization }: ForwardProxy): Record<string, string> {
  return authorization === undefined ? {} : { "proxy-authorization": authorization };
}
