/**
 * Simulated machines and the lines between them, which replace node:http: a request goes to a machine of this process by its
 * name, and takes the time of the lines. The port of a URL identifies the client, since all hosts are one process.
 *
 * A line is shared piece by piece among all its transfers, as TCP streams share one. Opening a connection takes round trips;
 * TCP's slow start, loss and a machine's processor time are left out.
 */
import { EventEmitter } from "node:events";
import http from "node:http";
import https from "node:https";
import { syncBuiltinESMExports } from "node:module";
import { Readable } from "node:stream";
import type { VirtualTime } from "./virtual-time.ts";

/** Bytes that cross a line in one piece. */
const PIECE = 128 * 1024;
/** The status and headers of an answer. */
const HEAD_BYTES = 400;
/** Hosts' ports start above those that URLs leave out. */
const FIRST_PORT = 10_000;

/** A request, as a server sees it. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: Uint8Array | undefined;
}

/** The body of an answer. That of a cache may still be arriving. */
export class Body {
  readonly bytes: Uint8Array;
  /** How many bytes each byte represents. */
  readonly weight: number;
  available: number;
  /** Whether the rest will never come. */
  isBroken = false;
  readonly #waiting = new Set<() => void>();

  constructor(bytes: Uint8Array, weight: number, available = bytes.length) {
    this.bytes = bytes;
    this.weight = weight;
    this.available = available;
  }

  arrived(bytes: number): void {
    this.available += bytes;
    this.#wake();
  }

  breaks(): void {
    this.isBroken = true;
    this.#wake();
  }

  /** Calls back once when there is more, or never will be. */
  whenMore(wake: () => void): void {
    this.#waiting.add(wake);
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Body;
}

export const NOTHING = new Body(Buffer.alloc(0), 1);

/** One direction of a cable, which transports one piece after another. */
export class Line {
  readonly #bytesPerMs: number;
  #free = 0;
  /** The number of bytes transported. */
  bytes = 0;

  /** @param mbit megabits a second */
  constructor(mbit: number) {
    this.#bytesPerMs = (mbit * 1e6) / 8 / 1000;
  }

  /** When a piece that enters now has passed. */
  through(bytes: number, now: number): number {
    this.bytes += bytes;
    this.#free = Math.max(now, this.#free) + bytes / this.#bytesPerMs;
    return this.#free;
  }
}

/** The machine that sends a request. */
export interface Client {
  /** The lines that answers cross on their way to it, after the server's own. */
  readonly into: readonly Line[];
  /** The numbers of idle connections, by server. */
  readonly idle: Map<Server, number>;
}

/** The machine that answers. */
export interface Server {
  /** The lines that its answers cross first. */
  readonly out: readonly Line[];
  /** Milliseconds that anything takes to or from it. */
  readonly oneWay: number;
  /** Round trips before the first request of a connection: 1, and 1 more for TLS. */
  readonly opening: number;
  isDown: boolean;
  /** Requests in progress. */
  readonly open: Set<Exchange>;
  answer(asked: Asked): Promise<Answer>;
  /** Called with the number of bytes that it sends. */
  sent(bytes: number): void;
}

/** One request and its answer. */
export class Exchange {
  readonly #time: VirtualTime;
  readonly #client: Client;
  readonly #server: Server;
  readonly #tell: Told;
  #isOver = false;

  constructor(time: VirtualTime, client: Client, server: Server, asked: Asked, tell: Told) {
    this.#time = time;
    this.#client = client;
    this.#server = server;
    this.#tell = tell;
    void this.#run(asked);
  }

  /** The client has lost interest. Its connection is closed. */
  abort(): void {
    this.#isOver = true;
    this.#server.open.delete(this);
  }

  /** The connection breaks. */
  breaks(code: string): void {
    if (this.#isOver) return;
    this.abort();
    this.#tell.failed(Object.assign(new Error(`connect ${code}`), { code }));
  }

  async #run(asked: Asked): Promise<void> {
    const server = this.#server;
    const { idle } = this.#client;
    server.open.add(this);
    const kept = idle.get(server) ?? 0;
    if (kept > 0 && !server.isDown) idle.set(server, kept - 1);
    else await this.#time.sleep(2 * server.oneWay * (server.isDown ? 1 : server.opening));
    if (server.isDown) return this.breaks("ECONNREFUSED");
    await this.#time.sleep(server.oneWay);
    if (this.#isOver) return;
    const answer = await server.answer(asked);
    if (this.#isOver) return;
    server.sent(HEAD_BYTES);
    await this.#time.sleep(server.oneWay);
    if (this.#isOver) return;
    this.#tell.began(answer);
    this.#send(answer.body, 0);
  }

  /**
   * Sends the next piece over the first line, and the one after it when that has passed, so that all transfers share the line.
   */
  #send(body: Body, from: number): void {
    if (this.#isOver) return;
    const { bytes, weight, available, isBroken } = body;
    if (isBroken) {
      this.breaks("ECONNRESET");
      return;
    }
    if (from === bytes.length) {
      if (bytes.length === 0) this.#ends();
      return;
    }
    if (available <= from) {
      body.whenMore(() => this.#send(body, from));
      return;
    }
    const length = Math.min(PIECE / weight, available - from);
    const weighed = length * weight;
    this.#server.sent(weighed);
    const lines = [...this.#server.out, ...this.#client.into];
    const hop = (index: number) => {
      if (this.#isOver) return;
      if (index === lines.length) {
        this.#arrives(body, from, length);
        return;
      }
      this.#time.at(lines[index]!.through(weighed, this.#time.now), () => {
        if (index === 0) this.#send(body, from + length);
        hop(index + 1);
      });
    };
    hop(0);
  }

  #arrives({ bytes }: Body, from: number, length: number): void {
    this.#tell.arrived(bytes.subarray(from, from + length));
    if (from + length === bytes.length) this.#ends();
  }

  #ends(): void {
    this.abort();
    const { idle } = this.#client;
    idle.set(this.#server, (idle.get(this.#server) ?? 0) + 1);
    this.#tell.ended();
  }
}

/** What a client is told of its request. */
export interface Told {
  began(answer: Answer): void;
  arrived(bytes: Uint8Array): void;
  ended(): void;
  failed(error: Error): void;
}

/** The part of http.IncomingMessage that is read. */
class Incoming extends Readable {
  readonly statusCode: number;
  readonly statusMessage = "";
  readonly headers: Record<string, string>;
  readonly headersDistinct: Record<string, string[]>;

  constructor({ status, headers, body }: Answer) {
    super({ read: () => {} });
    this.statusCode = status;
    this.headers = { ...headers, "content-length": String(body.bytes.length) };
    this.headersDistinct = Object.fromEntries(Object.entries(this.headers).map(([k, v]) => [k, [v]]));
  }
}

/** The part of http.ClientRequest that is used. */
class Outgoing extends EventEmitter {
  readonly #begin: (body: Uint8Array | undefined) => void;

  constructor(begin: (body: Uint8Array | undefined) => void) {
    super();
    this.#begin = begin;
  }

  end(body?: Uint8Array): void {
    this.#begin(body);
  }
}

interface RequestOptions {
  readonly method?: string;
  readonly signal?: AbortSignal;
}

/** The machines of a simulation by name, and their clients by number. */
export class Wire {
  readonly #time: VirtualTime;
  readonly #servers = new Map<string, Server>();
  readonly #clients: Client[] = [];

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  addServer(name: string, server: Server): void {
    this.#servers.set(name, server);
  }

  /** @returns the port that identifies the client in its URLs */
  addClient(client: Client): number {
    return FIRST_PORT + this.#clients.push(client) - 1;
  }

  ask(client: Client, server: Server, asked: Asked, tell: Told): Exchange {
    return new Exchange(this.#time, client, server, asked, tell);
  }

  /** Replaces request() of node:http and node:https, for good. */
  install(): void {
    const request = (url: URL, options: RequestOptions, callback: (incoming: Incoming) => void) =>
      this.#request(url, options, callback);
    Object.assign(http, { request });
    Object.assign(https, { request });
    syncBuiltinESMExports();
  }

  #request(url: URL, { method = "GET", signal }: RequestOptions, callback: (incoming: Incoming) => void) {
    const server = this.#servers.get(url.hostname);
    const client = this.#clients[Number(url.port) - FIRST_PORT];
    if (server === undefined || client === undefined) throw new Error(`nobody answers at ${url}`);
    const outgoing: Outgoing = new Outgoing((body) => {
      let incoming: Incoming | undefined;
      const fail = (error: Error) => {
        signal?.removeEventListener("abort", abort);
        if (incoming === undefined) outgoing.emit("error", error);
        incoming?.destroy(error);
      };
      const exchange = this.ask(
        client,
        server,
        { method, path: url.pathname, body },
        {
          began: (answer) => {
            incoming = new Incoming(answer);
            callback(incoming);
          },
          arrived: (bytes) => void incoming!.push(bytes),
          ended: () => {
            signal?.removeEventListener("abort", abort);
            incoming!.push(null);
          },
          failed: fail,
        },
      );
      const abort = () => {
        exchange.abort();
        fail(signal!.reason);
      };
      if (signal?.aborted) abort();
      else signal?.addEventListener("abort", abort, { once: true });
    });
    return outgoing;
  }
}
