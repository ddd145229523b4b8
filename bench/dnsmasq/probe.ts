/**
 * Sends one query after another to a DHCP and a DNS server, and times the answers. Runs as a process of its own, so that no other
 * work makes an answer look late:
 *
 *     node bench/dnsmasq/probe.ts '{"server":"192.168.7.1","mac":"52:54:00:69:63:66","name":"probe.bench"}'
 *
 * It prints a line when both have answered once, goes on until SIGTERM, and then prints { dhcp, dns }: the times of all answers
 * in milliseconds, and how long unanswered queries had waited.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { dhcpDiscover, dhcpOffered, dnsAnswered, dnsQuery } from "./packets.ts";

export interface ProbeOptions {
  readonly server: string;
  readonly mac: string;
  readonly name: string;
}

export interface Times {
  readonly answered: readonly number[];
  readonly unanswered: readonly number[];
}

export interface ProbeResult {
  readonly dhcp: Times;
  readonly dns: Times;
}

/** Milliseconds between two queries. */
const INTERVAL_MS = 20;
/** Unanswered queries at a time: as many as fit in a socket's buffer, so that none is lost there. */
const MOST_WAITING = 50;
/** Milliseconds for outstanding answers at the end. */
const LAST_ANSWERS_MS = 5000;

class Questions {
  readonly #socket: Socket;
  readonly #send: (id: number) => void;
  readonly #waiting = new Map<number, number>();
  readonly #answered: number[] = [];
  readonly first = Promise.withResolvers<void>();
  #lastId = 0;

  private constructor(
    socket: Socket,
    send: (id: number) => void,
    answered: (packet: Buffer) => number | undefined,
  ) {
    this.#socket = socket;
    this.#send = send;
    socket.on("message", (packet) => {
      const id = answered(packet);
      const sent = id === undefined ? undefined : this.#waiting.get(id);
      if (sent === undefined) return;
      this.#waiting.delete(id!);
      this.#answered.push(performance.now() - sent);
      this.first.resolve();
    });
  }

  /** @param port of this end: DHCP clients have a fixed one; 0: any */
  static async open(
    port: number,
    serverPort: number,
    server: string,
    question: (id: number) => Buffer,
    answered: (packet: Buffer) => number | undefined,
  ): Promise<Questions> {
    const socket = createSocket("udp4");
    socket.bind(port);
    await once(socket, "listening");
    return new Questions(socket, (id) => socket.send(question(id), serverPort, server), answered);
  }

  ask(): void {
    if (this.#waiting.size >= MOST_WAITING) return;
    // DNS ids have 16 bits.
    this.#lastId = (this.#lastId + 1) & 0xffff;
    this.#waiting.set(this.#lastId, performance.now());
    this.#send(this.#lastId);
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  end(): Times {
    this.#socket.close();
    const now = performance.now();
    return { answered: this.#answered, unanswered: Array.from(this.#waiting.values(), (sent) => now - sent) };
  }
}

const { server, mac, name }: ProbeOptions = JSON.parse(process.argv[2]!);
const dhcp = await Questions.open(68, 67, server, (id) => dhcpDiscover(id, mac), dhcpOffered);
const dns = await Questions.open(0, 53, server, (id) => dnsQuery(id, name), dnsAnswered);
const timer = setInterval(() => {
  dhcp.ask();
  dns.ask();
}, INTERVAL_MS);
process.once("SIGTERM", async () => {
  clearInterval(timer);
  const until = performance.now() + LAST_ANSWERS_MS;
  while (dhcp.waiting + dns.waiting > 0 && performance.now() < until) await sleep(INTERVAL_MS);
  const result: ProbeResult = { dhcp: dhcp.end(), dns: dns.end() };
  console.log(JSON.stringify(result));
});
await Promise.all([dhcp.first.promise, dns.first.promise]);
console.log("answered");
