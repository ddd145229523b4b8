/**
 * Simulated machines and what lies between them, in the place of node:http: a request goes to a machine of this process by its name, and
 * takes the time that its line takes. The port of a URL says who asks: all hosts are one process.
 *
 * A line is shared piece by piece among all that goes over it, as many TCP streams share one. Opening a connection takes round trips;
 * TCP's slow start, loss and what a machine's processor takes are left out.
 */
import { EventEmitter } from "node:events";
import http from "node:http";
import https from "node:https";
import { syncBuiltinESMExports } from "node:module";
import { Readable } from "node:stream";
import type { VirtualTime } from "./virtual-time.ts";

/** Bytes that go over a line in one piece. */
const PIECE = 128 * 1024;
/** Of an answer: its status and headers. */
const HEAD_BYTES = 400;
/** Ports of hosts begin above the ones that URLs leave out. */
const FIRST_PORT = 10_000;

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: Uint8Array | undefined;
}

/** What an answer brings: of a cache that is still getting it, not all of it is there yet. */
export class Body {
  readonly bytes: Uint8Array;
  /** For how many bytes each one stands. */
  readonly weight: number;
  available: number;
  /** No more will come. */
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

/** One direction of a cable: what is handed to it goes through it one piece after the other. */
export class Line {
  readonly #bytesPerMs: number;
  #free = 0;
  /** Of what went through it. */
  bytes = 0;

  /** @param mbit megabits a second */
  constructor(mbit: number) {
    this.#bytesPerMs = (mbit * 1e6) / 8 / 1000;
  }

  /** When a piece that is handed to it now is through. */
  through(bytes: number, now: number): number {
    this.bytes += bytes;
    this.#free = Math.max(now, this.#free) + bytes / this.#bytesPerMs;
    return this.#free;
  }
}

/** Who asks. */
export interface Client {
  /** What answers go through on their way to it, behind the line of who answers. */
  readonly into: readonly Line[];
  /** Idle connections, by whom they are to. */
  readonly idle: Map<Server, number>;
}

/** Who answers. */
export interface Server {
  /** What its answers go through first. */
  readonly out: readonly Line[];
  /** Milliseconds to it, or from it. */
  readonly oneWay: number;
  /** Round trips before the first request of a connection: 1, and 1 more for TLS. */
  readonly opening: number;
  isDown: boolean;
  /** Ends all that is under way. */
  readonly open: Set<Exchange>;
  answer(asked: Asked): Promise<Answer>;
  /** Told of the bytes that it sends. */
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

  /** Whoever has asked does not want it any more. Its connection is gone. */
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

  /** Hands the next piece to the first line, and the one after it when that is through: so all share it. */
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

export interface Told {
  began(answer: Answer): void;
  arrived(bytes: Uint8Array): void;
  ended(): void;
  failed(error: Error): void;
}

/** What of http.IncomingMessage is read. */
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

/** What of http.ClientRequest is used. */
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

/** The machines of a simulation by their names, and their clients by their numbers. */
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

  /** @returns the port by which its URLs say that it asks */
  addClient(client: Client): number {
    return FIRST_PORT + this.#clients.push(client) - 1;
  }

  ask(client: Client, server: Server, asked: Asked, tell: Told): Exchange {
    return new Exchange(this.#time, client, server, asked, tell);
  }

  /** Takes the place of node:http's and node:https's request(), for good. */
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
