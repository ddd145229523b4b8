/**
 * HTTP servers that nobody can keep from others: of those who connect there are few, nobody waits long for what one has to say, and
 * where there are too many the one goes who has been idle longest, so that who comes next is always served.
 */
import { createServer, type RequestListener, type Server } from "node:http";
import type { Socket } from "node:net";

/** A few scrapers and people with curl: whoever holds connections open must not take all descriptors. */
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

/** Ends the connection that has waited longest for a request, or where each is being answered the oldest, when there is one too many. */
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
