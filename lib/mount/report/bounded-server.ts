/**
 * HTTP servers that no client can monopolize. The number of connections is bounded, a request that arrives too slowly is cut off,
 * and a new client takes the place of the connection that has been idle longest.
 */
import { createServer, type RequestListener, type Server } from "node:http";
import type { Socket } from "node:net";

/** Enough for a few scrapers and people with curl, and too few to use up the process's descriptors. */
const MOST_CONNECTIONS = 32;
/** Milliseconds for a request to come: it is a line and some headers. */
const REQUEST_TIMEOUT_MS = 5000;
/** Milliseconds after which a connection is ended on which nothing is said. */
const IDLE_TIMEOUT_MS = 5000;
/** Milliseconds between two looks at who is too slow. */
const LOOK_MS = 1000;
/** Of a request's headers. Scrapers send some hundred bytes. */
const MOST_HEADER_BYTES = 8192;

/** As createServer() of node:http, with bounds. */
export function createBoundedServer(listener: RequestListener): Server {
  const server = createServer(
    {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: IDLE_TIMEOUT_MS,
      connectionsCheckingInterval: LOOK_MS,
      maxHeaderSize: MOST_HEADER_BYTES,
    },
    listener,
  );
  // Also of whoever does not read the answer.
  server.timeout = IDLE_TIMEOUT_MS;
  makeWay(server);
  return server;
}

/** When there is one connection too many, closes the one that has been idle longest; if none is idle, the oldest. */
function makeWay(server: Server): void {
  const all = new Set<Socket>();
  /** Those of them that wait for a request, those that have waited longest first. */
  const idle = new Set<Socket>();
  server.on("connection", (socket) => {
    all.add(socket);
    idle.add(socket);
    socket.once("close", () => {
      all.delete(socket);
      idle.delete(socket);
    });
    if (all.size <= MOST_CONNECTIONS) return;
    const [longest = [...all][0]!] = idle;
    // At once, not when it has been closed: the next may come before.
    all.delete(longest);
    idle.delete(longest);
    longest.destroy();
  });
  server.prependListener("request", ({ socket }, response) => {
    idle.delete(socket);
    response.once("close", () => {
      if (all.has(socket)) idle.add(socket);
    });
  });
}
