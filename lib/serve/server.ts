/** The HTTP server before a site: where it listens, whom it lets in, and its end. */
import { type Bounds, createBoundedServer, type ListenAddress, listenAt } from "../bounded-server.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Site, SiteStatus } from "./site.ts";
import type { Waits } from "./waits.ts";

/**
 * A thousand hosts with a connection or two each. Whoever does nothing goes first; what is being sent goes on, and who comes then is
 * turned away, and asks somebody else.
 */
const BOUNDS: Bounds = {
  connections: 2000,
  requestTimeout: 10_000,
  // Longer than caches and clients keep theirs (nginx: 60 s), which would else ask over one that has just been closed.
  keepAlive: 75_000,
  idle: 30_000,
  goes: "newest",
};
/** What is waited for while there is no site. */
export const SITE = "site";
/** Milliseconds for what is being sent when it ends. */
export const LAST_ANSWERS_MS = 20_000;

export interface SiteServer {
  readonly url: string;
  /** Undefined while there is no site. */
  status(): SiteStatus | undefined;
  /** Takes no more requests, and resolves when those under way are answered, or the time for that is over. */
  close(limit?: number): Promise<void>;
}

/**
 * Listens.
 *
 * @param site undefined while there is nothing to be served yet
 * @param option that names the address
 * @param waits in which requests wait for the site, and others in it; they end when this server takes no more requests
 * @throws UserError when it cannot
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
    // Whose answer was under way may have been told otherwise.
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
