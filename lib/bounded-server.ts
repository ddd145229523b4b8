/**
 * HTTP servers that no client can monopolize. The number of connections is bounded, a request that arrives too slowly is cut off,
 * and a new client takes the place of the connection that has been idle longest.
 */
import { once } from "node:events";
import type { RequestListener, Server } from "node:http";
import { type AddressInfo, isIPv6, type Socket } from "node:net";
import { messageOf, UserError } from "./errors.ts";
import { http } from "./node-http.ts";

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Times in milliseconds. */
export interface Bounds {
  /** The most connections at once. */
  readonly connections: number;
  /** The time for a request to arrive completely. */
  readonly requestTimeout: number;
  /** The time after which a connection that waits for its next request is closed. */
  readonly keepAlive: number;
  /** The time after which a connection without traffic is closed, also when a client does not read its answer. */
  readonly idle: number;
  /** Which connection is closed when there is one too many and none waits for a request: the oldest, or the newest. */
  readonly goes: "oldest" | "newest";
}

/** Enough for a few scrapers and people with curl, and too few connections to use up the process's descriptors. */
const FOR_SCRAPERS: Bounds = {
  connections: 32,
  requestTimeout: 5000,
  keepAlive: 5000,
  idle: 5000,
  goes: "oldest",
};
/** Milliseconds between two checks for slow clients. */
const LOOK_MS = 1000;
/** Limit on a request's headers. Scrapers send a few hundred bytes. */
const MOST_HEADER_BYTES = 8192;

/** Like createServer() of node:http, with bounds. */
export function createBoundedServer(listener: RequestListener, bounds: Bounds = FOR_SCRAPERS): Server {
  const server = http.createServer(
    {
      requestTimeout: bounds.requestTimeout,
      headersTimeout: bounds.requestTimeout,
      keepAliveTimeout: bounds.keepAlive,
      connectionsCheckingInterval: LOOK_MS,
      maxHeaderSize: MOST_HEADER_BYTES,
    },
    listener,
  );
  server.timeout = bounds.idle;
  // A client that sends a request and then closes its sending side, as `nc -N` does, still wants the answer. Node does not
  // document this option.
  Object.assign(server, { httpAllowHalfOpen: true });
  makeWay(server, bounds);
  return server;
}

/**
 * Makes a server listen, and returns its URL.
 *
 * @param option the option that names the address, for the error
 * @throws UserError when it cannot listen there
 */
export async function listenAt(
  server: Server,
  { host, port }: ListenAddress,
  option: string,
): Promise<string> {
  try {
    await once(server.listen(port, host), "listening");
  } catch (error) {
    const at = authority(host, port);
    // Node's message has the address as well, without brackets.
    const why = messageOf(error).replace(`${host}:${port}`, at);
    throw new UserError(`cannot listen at ${at} (${why}): choose another address with ${option}`);
  }
  const { address, port: actual } = server.address() as AddressInfo;
  return `http://${authority(address, actual)}`;
}

/** A host and a port, as in a URL: an IPv6 address in brackets. */
function authority(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** When there is one connection too many, closes the one that has been idle longest; if none is idle, the bounds decide. */
function makeWay(server: Server, { connections, goes }: Bounds): void {
  const all = new Set<Socket>();
  /** The connections that wait for a request, the longest waiting first. */
  const idle = new Set<Socket>();
  server.on("connection", (socket) => {
    const [longest] = idle;
    all.add(socket);
    idle.add(socket);
    socket.once("close", () => {
      all.delete(socket);
      idle.delete(socket);
    });
    if (all.size <= connections) return;
    const leaving = longest ?? (goes === "newest" ? socket : [...all][0]!);
    // Counted at once, not when it has been closed: the next one may come before.
    all.delete(leaving);
    idle.delete(leaving);
    leaving.destroy();
  });
  server.prependListener("request", ({ socket }, response) => {
    idle.delete(socket);
    response.once("close", () => {
      if (all.has(socket)) idle.add(socket);
    });
  });
}
