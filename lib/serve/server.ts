/** The HTTP server of a site: where it listens, whom it admits, and how it ends. */
import { type Bounds, createBoundedServer, type ListenAddress, listenAt } from "../bounded-server.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Site, SiteStatus } from "./site.ts";
import type { Waits } from "./waits.ts";

/**
 * Enough for a thousand hosts with one or two connections each. Idle connections are closed first. Answers in progress go on; new
 * clients are then turned away, and ask elsewhere.
 */
const BOUNDS: Bounds = {
  connections: 2000,
  requestTimeout: 10_000,
  // Longer than that of caches and clients (nginx: 60 s), which could otherwise send a request on a connection that was just
  // closed.
  keepAlive: 75_000,
  idle: 30_000,
  goes: "newest",
};
/** The key for requests that wait for the site. */
export const SITE = "site";
/** Milliseconds for the answers in progress at the end. */
export const LAST_ANSWERS_MS = 20_000;

export interface SiteServer {
  readonly url: string;
  /** Undefined while there is no site. */
  status(): SiteStatus | undefined;
  /** Accepts no more requests, and resolves when those in progress are answered, or the time limit is over. */
  close(limit?: number): Promise<void>;
}

/**
 * Starts to listen.
 *
 * @param site undefined while nothing is served yet
 * @param option the option with the address
 * @param waits where requests wait for the site and in it; they end when this server accepts no more requests
 * @throws UserError when it cannot listen
 */
export async function listenForSite(
  address: ListenAddress,
  option: string,
  site: () => Site | undefined,
  log: Log,
  waits?: Waits,
): Promise<SiteServer> {
  let connections = 0;
  let isEnding = false;
  const server = createBoundedServer(async (request, response) => {
    if (isEnding) response.setHeader("connection", "close");
    // The headers of an answer in progress may have promised keep-alive.
    response.once("close", () => {
      if (isEnding) request.socket.end();
    });
    if (site() === undefined) await waits?.until(SITE, response);
    const here = site();
    if (here !== undefined) return void here.answer(request, response);
    response
      .writeHead(503, { "retry-after": "10", "content-type": "text/plain" })
      .end("nothing is here yet\n");
  }, BOUNDS);
  server.on("connection", (socket) => {
    connections += 1;
    socket.once("close", () => {
      connections -= 1;
    });
  });
  const url = await listenAt(server, address, option);
  server.on("error", (error) => log.warn(`HTTP: ${messageOf(error)}`));
  return {
    url,
    status() {
      const here = site();
      return here && { url, connections, ...here.statistics, cutOff: here.outgoing.cutOff };
    },
    async close(limit = LAST_ANSWERS_MS) {
      isEnding = true;
      waits?.end();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const timer = setTimeout(() => {
        log.warn(`${connections} connections are cut off`);
        server.closeAllConnections();
      }, limit);
      await closed;
      clearTimeout(timer);
    },
  };
}
