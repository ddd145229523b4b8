/**
 * Carries TCP connections out of a network namespace: `node relay.ts HOST PORT SOCKET` listens inside, and goes on to a Unix socket,
 * whose path is the same in every network namespace; relay() listens there, outside, and goes on from it.
 */
import { connect, createServer, type NetConnectOpts, type Server } from "node:net";

/** A server, yet to listen, that connects whoever comes with `to`. What ends on one side ends on the other. */
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
