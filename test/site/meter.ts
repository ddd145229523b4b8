/** A proxy that records requests, and passes them on over a line of a known bandwidth, or answers as a test wants. */
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Weather } from "../../localnet/weather.ts";
import type { Test } from "../support/icfs.ts";

export interface Asked {
  /** The path of the URL, without the scheme and the host. */
  readonly path: string;
  readonly body: Buffer;
}

export interface Meter {
  readonly url: string;
  /** All requests in order, whatever the outcome. */
  readonly asked: Asked[];
  /** Ends every connection, as if nothing were there. */
  down: boolean;
  /** May answer in place of the server behind the proxy, and then returns true. */
  instead: (path: string, response: ServerResponse) => boolean;
  /** Changes an answer's bytes. Undefined: the bytes pass unchanged. */
  spoil: ((path: string, bytes: Buffer) => Buffer) | undefined;
}

/** A line for answers. Several proxies may share one. */
export class Line {
  /** Undefined: without a limit. */
  #weather: Weather | undefined;

  /** MiB a second. */
  set bandwidth(bandwidth: number) {
    const limits = bandwidth < Number.POSITIVE_INFINITY;
    this.#weather = limits ? new Weather({ latency: 0, updateLatency: 0, bandwidth }) : undefined;
  }

  get isLimited(): boolean {
    return this.#weather !== undefined;
  }

  /** The pieces of `part`, each once the line has carried it. */
  async *carry(part: Buffer): AsyncGenerator<Uint8Array> {
    if (this.#weather === undefined) yield part;
    else yield* this.#weather.download(part);
  }
}

/** Starts one in front of `target`. It ends with the test. @param target gives another URL once the server behind was started again */
export async function startMeter(t: Test, target: () => string, line = new Line()): Promise<Meter> {
  const agent = new Agent({ keepAlive: true });
  const meter: Meter = {
    url: "",
    asked: [],
    down: false,
    instead: () => false,
    spoil: undefined,
  };
  const server = createServer((incoming, outgoing) => {
    pass(incoming, outgoing).catch(() => outgoing.destroy());
  });
  const pass = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { method, headers, url: path = "/" } = incoming;
    const body = await collect(incoming);
    meter.asked.push({ path, body });
    if (meter.down) return void outgoing.destroy();
    if (meter.instead(path, outgoing)) return;
    const { hostname, port } = new URL(target());
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const passed = request({ agent, hostname, port, path, method, headers }, resolve);
      passed.on("error", reject);
      outgoing.on("close", () => passed.destroy());
      passed.end(body);
    });
    answer.on("error", () => outgoing.destroy());
    const { spoil } = meter;
    outgoing.writeHead(answer.statusCode!, answer.headers);
    if (spoil === undefined && !line.isLimited) return void answer.pipe(outgoing);
    for await (const part of spoil === undefined ? answer : spoilt(path, answer, spoil)) {
      for await (const piece of line.carry(part)) {
        if (meter.down) return void outgoing.destroy();
        outgoing.write(piece);
      }
    }
    outgoing.end();
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(async () => {
    agent.destroy();
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const { port } = server.address() as AddressInfo;
  return Object.defineProperty(meter, "url", { value: `http://127.0.0.1:${port}` });
}

async function* spoilt(
  path: string,
  answer: IncomingMessage,
  spoil: NonNullable<Meter["spoil"]>,
): AsyncGenerator<Buffer> {
  yield spoil(path, await collect(answer));
}

async function collect(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part);
  return Buffer.concat(parts);
}
