/**
 * HTTP servers that no client can monopolize. The number of connections is bounded, a request that arrives too slowly is cut off,
 * and a new client takes the place of the connection that has been idle longest.
 */
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { messageOf, UserError } from "./errors.ts";

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Times in milliseconds. */
export interface Bounds {
  readonly connections: number;
  /** For a request to come, whole. */
  readonly requestTimeout: number;
  /** After which a connection is ended that waits for its next request. */
  readonly keepAlive: number;
  /** After which a connection is ended on which nothing moves: also that of who does not read the answer. */
  readonly idle: number;
  /** Who goes when there is one connection too many, and none waits for a request: the oldest, or the one that has just come. */
  readonly goes: "oldest" | "newest";
}

/** Enough for a few scrapers and people with curl, and too few to use up the process's descriptors. A request is a line and some headers. */
const FOR_SCRAPERS: Bounds = {
  connections: 32,
  requestTimeout: 5000,
  keepAlive: 5000,
  idle: 5000,
  goes: "oldest",
};
/** Milliseconds between two looks at who is too slow. */
const LOOK_MS = 1000;
/** Of a request's headers. Scrapers send some hundred bytes. */
const MOST_HEADER_BYTES = 8192;

/** As createServer() of node:http, with bounds. */
export function createBoundedServer(listener: RequestListener, bounds: Bounds = FOR_SCRAPERS): Server {
  const server = createServer(
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
  makeWay(server, bounds);
  return server;
}

/**
 * Has a server listen. @param option that names the address, for who is told of what is wrong with it
 * @returns its URL. @throws UserError when it cannot
 */
export async function listenAt(
  server: Server,
  { host, port }: ListenAddress,
  option: string,
): Promise<string> {
  try {
    await once(server.listen(port, host), "listening");
  } catch (error) {
    throw new UserError(
      `cannot listen at ${host}:${port} (${messageOf(error)}): choose another address with ${option}`,
    );
  }
  const { address, family, port: actual } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${actual}`;
}

/** When there is one connection too many, closes the one that has been idle longest; if none is idle, as the bounds say. */
function makeWay(server: Server, { connections, goes }: Bounds): void {
  const all = new Set<Socket>();
  /** Those of them that wait for a request, those that have waited longest first. */
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
    // At once, not when it has been closed: the next may come before.
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
