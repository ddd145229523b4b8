import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import t, { type Test } from "tap";
import { LargeReadsAgent } from "../../../lib/ic/transport/large-reads.ts";
import { letOthers } from "../../../lib/steps.ts";

const BYTES = 2 * 1024 * 1024;

/** Serves answers of BYTES bytes. Each byte is the number in the request's path. */
async function serve(t: Test): Promise<number> {
  const server = createServer(({ url }, response) =>
    response.end(Buffer.alloc(BYTES, Number(url!.slice(1)))),
  );
  // Readers may take longer, and use the same connections again then.
  server.keepAliveTimeout = 0;
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function ask(port: number, agent: LargeReadsAgent, byte: number): Promise<IncomingMessage> {
  const [incoming] = await once(get({ host: "127.0.0.1", port, path: `/${byte}`, agent }), "response");
  return incoming as IncomingMessage;
}

t.test("answers that arrive at the same time keep their bytes, even for slow readers", async (t) => {
  const port = await serve(t);
  const agent = new LargeReadsAgent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  const read = async (byte: number) => {
    const incoming = await ask(port, agent, byte);
    const parts: Buffer[] = [];
    for await (const part of incoming) {
      parts.push(part);
      for (let i = 0; i < byte; i++) await letOthers();
    }
    return Buffer.concat(parts).equals(Buffer.alloc(BYTES, byte));
  };
  t.strictSame(await Promise.all([1, 2, 3, 4, 5].map(read)), [true, true, true, true, true]);
  // Over the connections that were kept.
  t.strictSame(await Promise.all([6, 7].map(read)), [true, true]);
});

t.test("a reader that pauses again and again gets the whole answer", async (t) => {
  const port = await serve(t);
  const agent = new LargeReadsAgent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  const incoming = await ask(port, agent, 1);
  let length = 0;
  incoming.on("data", (part: Buffer) => {
    length += part.length;
    incoming.pause();
    setImmediate(() => incoming.resume());
  });
  await once(incoming, "end");
  t.equal(length, BYTES);
});

t.test("data that is not read yet is kept while others read", async (t) => {
  let connections = 0;
  const server = createTcpServer((socket) => {
    connections += 1;
    socket.end(`connection ${connections}`);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.teardown(() => server.close());
  const agent = new LargeReadsAgent();
  const connect = async () => {
    const { port } = server.address() as AddressInfo;
    const socket = agent.createConnection({ host: "127.0.0.1", port });
    await once(socket, "readable");
    return socket;
  };
  const first = await connect();
  const second = await connect();
  t.strictSame([String(first.read()), String(second.read())], ["connection 1", "connection 2"]);
  first.destroy();
  second.destroy();
});
