/** A proxy that counts the round trips of a network's client: requests that began only after the answer to an earlier one. */
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

export interface CountingProxy extends AsyncDisposable {
  readonly url: string;
  /** The longest chain of requests since the last call, each started only after the previous one was answered. */
  roundTrips(): number;
}

/** Starts it. Disposing ends it. @param url of the network */
export async function countingProxy(url: string): Promise<CountingProxy> {
  let times: { began: number; ended: number }[] = [];
  const server = createServer((incoming, outgoing) => {
    const began = performance.now();
    const { method = "GET", headers, url: path = "/" } = incoming;
    const passed = request(new URL(path, url), { method, headers }, (answer) => {
      answer.on("end", () => times.push({ began, ended: performance.now() }));
      outgoing.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on("error", () => outgoing.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    roundTrips: () => {
      let count = 0;
      let answered = Number.NEGATIVE_INFINITY;
      for (const { began, ended } of times.toSorted((a, b) => a.ended - b.ended)) {
        if (began < answered) continue;
        count += 1;
        answered = ended;
      }
      times = [];
      return count;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
