/** A mount's servers against clients that mean ill: the metrics, and the socket that `icfs status` asks. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import t from "tap";
import { createBoundedServer, listenAt } from "../lib/bounded-server.ts";
import { serveMetrics } from "../lib/live/report/metrics.ts";
import type { MountStatus } from "../lib/live/report/status.ts";
import { createLog } from "../lib/log.ts";

/** More connections than a server accepts. */
const MANY = 100;

const STATUS = {
  canister: "aaaaa-aa",
  mountpoint: "/srv/tftp",
  files: 1,
  bytes: 1,
  proofAge: 1,
  hydrated: false,
  openFiles: 0,
  readers: { opens: 0, reads: 0, bytes: 0, errors: 0 },
  cache: { hits: 0, diskHits: 0, misses: 0, memoryUsed: 0, memory: 1, underWay: 0 },
  gateways: [],
  mirrors: [],
} as unknown as MountStatus;

interface Test {
  teardown(work: () => unknown): void;
}

async function startMetrics(t: Test): Promise<string> {
  const lines: string[] = [];
  const log = createLog("info", (line) => lines.push(line));
  const server = await serveMetrics({ host: "127.0.0.1", port: 0 }, () => STATUS, log);
  t.teardown(() => server.close());
  return /http:\S+/.exec(lines.join(""))![0];
}

async function connected(t: Test, url: string, said: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  t.teardown(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(said);
  return socket;
}

/** Clients that never come to an end, and what they send. */
const SLOW: Record<string, string> = {
  "who says nothing": "",
  "who says half a header": "GET /metrics HTTP/1.1\r\nHost: x\r\nX-A: ",
  "who sends a body that does not end": "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx",
  "who asks, and stays": "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
  "who asks again and again, and reads nothing": "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100),
};

for (const [who, said] of Object.entries(SLOW)) {
  t.test(`a client ${who} does not keep others from scraping`, async (t) => {
    const url = await startMetrics(t);
    const sockets: Socket[] = [];
    for (let i = 0; i < MANY; i++) {
      const socket = await connected(t, url, said);
      socket.pause();
      sockets.push(socket);
    }
    for (let i = 0; i < 3; i++) {
      const response = await fetch(url, {
        headers: { connection: "close" },
        signal: AbortSignal.timeout(20_000),
      });
      t.match(await response.text(), /^icfs_release_files/m);
    }
    for (const socket of sockets) socket.resume();
  });
}

t.test(
  "at the connection limit, the longest idle connection is closed, and not one being answered",
  async (t) => {
    const answers: (() => void)[] = [];
    const asked = Promise.withResolvers<void>();
    const server = createBoundedServer((_, response) => {
      answers.push(() => response.end("here"));
      asked.resolve();
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    t.teardown(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const waits = fetch(url).then((response) => response.text());
    await asked.promise;
    const first = await connected(t, url, "");
    const gone = once(first, "close");
    for (let i = 0; i < 31; i++) await connected(t, url, "");
    await gone;
    for (const answer of answers) answer();
    t.equal(await waits, "here");
  },
);

t.test(
  "a client that half-closes its connection gets every answer in full, then the connection ends",
  async (t) => {
    const large = Buffer.alloc(20_000_000, "x");
    const server = createBoundedServer(async ({ url, socket }, response) => {
      // Answers only once the client's end has arrived.
      if (!socket.readableEnded) await once(socket, "end");
      await setImmediate();
      response.end(url === "/large" ? large : "small");
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    t.teardown(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const answerTo = async (said: string) => {
      const socket = await connected(t, url, "");
      const parts: Buffer[] = [];
      socket.on("data", (part: Buffer) => parts.push(part));
      socket.end(said);
      await once(socket, "close");
      return Buffer.concat(parts);
    };
    t.match(String(await answerTo("GET / HTTP/1.0\r\n\r\n")), /^HTTP\/1.1 200 OK\r\n.*small$/s);
    const answer = await answerTo("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    t.ok(answer.subarray(answer.indexOf("\r\n\r\n") + 4).equals(large));
    const two = await answerTo("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2));
    t.equal(String(two).split("small").length, 3, "two requests sent at once get two answers");
    t.equal(String(await answerTo("")), "");
    t.notMatch(String(await answerTo("GET / HTTP/1.1\r\nHo")), /small/);
  },
);

t.test("slow clients are disconnected, and others are answered", async (t) => {
  const url = await startMetrics(t);
  const sockets = await Promise.all(Object.values(SLOW).map((said) => connected(t, url, said)));
  for (const socket of sockets) socket.resume();
  // A client that drips bytes gets no more time.
  const dripping = setInterval(() => sockets[1]!.write("x"), 200);
  t.teardown(() => clearInterval(dripping));
  await Promise.all(sockets.map((socket) => socket.closed || once(socket, "close")));
  t.same(
    sockets.map(({ closed }) => closed),
    Object.keys(SLOW).map(() => true),
    "every slow client is disconnected",
  );
  t.equal((await fetch(url)).status, 200, "another client is answered");
});

t.test("the error about an address that cannot be listened on shows it as in a URL", async (t) => {
  // An address for documentation (RFC 3849), which no host has.
  const address = { host: "2001:db8::1", port: 9101 };
  const error: Error = await listenAt(
    createBoundedServer(() => {}),
    address,
    "--metrics",
  ).then(
    () => t.fail("it listens") as never,
    (error) => error,
  );
  t.match(
    error.message,
    /^cannot listen at \[2001:db8::1\]:9101 \(.*\): choose another address with --metrics$/,
  );
  t.notMatch(error.message, "2001:db8::1:9101");
});
