/**
 * Carries TCP connections out of a network namespace, over a Unix socket, which every network namespace can reach. `node relay.ts HOST
 * PORT SOCKET` listens inside, and passes connections on to the socket. A relay() that listens on the socket, outside, passes them on.
 */
import { connect, createServer, type NetConnectOpts, type Server } from "node:net";

/** A server, not yet listening, that connects each client with `to`. When one side ends, the other ends, too. */
export function relay(to: NetConnectOpts): Server {
  return createServer((from) => {
    const other = connect(to);
    from.pipe(other).pipe(from);
    from.on("error", () => other.destroy()).on("close", () => other.destroy());
    other.on("error", () => from.destroy()).on("close", () => from.destroy());
  });
}

if (import.meta.main) {
  const [host, port, path] = process.argv.slice(2);
  relay({ path: path! }).listen(Number(port), host, () => console.log("relays"));
}
