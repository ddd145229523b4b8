/** A proxy between icfs and a network that spoils the network's answers, like a bad line, a bad gateway, or a network outage. */
import { randomInt } from "node:crypto";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import type { Test } from "./icfs.ts";

/**
 * What happens to a request. `flip`: one bit of the answer is wrong. `silence`: nothing, and the connection stays open. `stall`:
 * half of the answer, and then silence. `truncate`: half of the answer, and then the connection ends. `drip`: a byte of the answer
 * every tenth of a second. `drop`: the connection ends before the request is executed. `lost`: the connection ends after that,
 * without an answer. A status: the request is not executed. A function replaces the true answer.
 */
export type Fault =
  | "none"
  | "flip"
  | "silence"
  | "stall"
  | "drip"
  | "drop"
  | "lost"
  | "truncate"
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string | Buffer }
  | ((answer: Buffer) => Buffer);

/** A fault that is not a function. */
type FaultName = Exclude<Fault, (answer: Buffer) => Buffer>;

export interface FaultProxy {
  readonly url: string;
  /** Chooses the fault of each query and call by its path and bytes; other requests pass. */
  fault: (path: string, body: Buffer) => Fault;
  /** Whether all other requests have the faults as well: the status, and certified state. */
  everywhere: boolean;
  /** Whether there is no network: every connection ends, whatever is requested. */
  down: boolean;
  /** The number of queries, except for those of a version that the network does not have. */
  queries: number;
  /** The number of update calls, counted in the same way. */
  calls: number;
  /** The number of requests during an outage. */
  refused: number;
  /** Whether no client is connected, and of what they have sent nothing is on its way any more. */
  isIdle(): Promise<boolean>;
  /** Ends the connections of clients that wait in silence, so that they may retry at once. */
  hangUp(): void;
}

/** A fault only for requests to one method of a canister. A request contains the method's name literally. */
export function faultFor(method: string, fault: FaultName | (() => Fault)): FaultProxy["fault"] {
  // In CBOR a text of up to 23 bytes follows a byte with its length.
  const name = Buffer.from([0x60 + method.length, ...Buffer.from(method)]);
  return (_, body) => {
    if (!body.includes(name)) return "none";
    return typeof fault === "function" ? fault() : fault;
  };
}

/** Starts a proxy in front of `target`, without faults; it ends with the test. */
export async function startFaultProxy(t: Test, target: string): Promise<FaultProxy> {
  const silent = new Set<ServerResponse>();
  const hangUp = () => {
    for (const response of silent) response.destroy();
    silent.clear();
  };
  const proxy: FaultProxy = {
    url: "",
    fault: () => "none",
    everywhere: false,
    down: false,
    queries: 0,
    calls: 0,
    refused: 0,
    isIdle: async () => (await promisify(server.getConnections.bind(server))()) === 0 && underWay === 0,
    hangUp,
  };
  let underWay = 0;
  const server = createServer(async (incoming, outgoing) => {
    underWay += 1;
    await forward(proxy, target, silent, incoming, outgoing).catch(() => outgoing.destroy());
    underWay -= 1;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return Object.assign(proxy, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

async function forward(
  proxy: FaultProxy,
  target: string,
  silent: Set<ServerResponse>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  if (proxy.down) {
    proxy.refused += 1;
    outgoing.destroy();
    return;
  }
  const path = incoming.url ?? "/";
  const body = await collect(incoming);
  const isQuery = path.endsWith("/query");
  const isCall = path.endsWith("/call");
  if (isQuery) proxy.queries += 1;
  if (isCall) proxy.calls += 1;
  const fault = isQuery || isCall || proxy.everywhere ? proxy.fault(path, body) : "none";
  if (fault === "silence") {
    silent.add(outgoing);
    return;
  }
  if (fault === "drop") {
    outgoing.destroy();
    return;
  }
  if (typeof fault === "object") {
    outgoing.writeHead(fault.status, fault.headers).end(fault.body ?? "so says the fault proxy");
    return;
  }
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const { method, headers } = incoming;
    request(`${target}${path}`, { method, headers }, resolve).on("error", reject).end(body);
  });
  if (answer.statusCode === 404) {
    if (isQuery) proxy.queries -= 1;
    if (isCall) proxy.calls -= 1;
  }
  if (fault === "lost") {
    // The answer has begun, so the request has been executed.
    answer.destroy();
    outgoing.destroy();
    return;
  }
  const whole = await collect(answer);
  const bytes = typeof fault === "function" ? fault(whole) : whole;
  if (fault === "flip") {
    const { start, end } = canisterReply(bytes);
    bytes[randomInt((start + end) >> 1, end)]! ^= 1 << randomInt(8);
  }
  outgoing.writeHead(answer.statusCode ?? 502, { ...answer.headers, "content-length": bytes.length });
  if (fault === "truncate") {
    outgoing.write(bytes.subarray(0, bytes.length >> 1), () => outgoing.destroy());
  } else if (fault === "stall") {
    silent.add(outgoing);
    outgoing.write(bytes.subarray(0, bytes.length >> 1));
  } else if (fault === "drip") {
    drip(outgoing, bytes);
  } else {
    outgoing.end(bytes);
  }
}

function drip(outgoing: ServerResponse, bytes: Buffer): void {
  outgoing.flushHeaders();
  let at = 0;
  const timer = setInterval(() => outgoing.write(bytes.subarray(at, ++at)), 100);
  outgoing.on("close", () => clearInterval(timer));
}

/**
 * The position of the canister's reply in the answer to a query: `reply: { arg }` (interface specification, "Request: Query
 * call"). The node's signatures after it are not checked where the reply is certified, so a flipped bit there would spoil
 * nothing. An answer without a reply (to a call, which is a certificate) counts as a whole.
 */
function canisterReply(answer: Buffer): { readonly start: number; readonly end: number } {
  const key = Buffer.from([0x63, ...Buffer.from("arg")]);
  const at = answer.indexOf(key) + key.length;
  const whole = { start: 0, end: answer.length };
  if (at < key.length) return whole;
  // The head of a CBOR byte string (RFC 8949, section 3): a short length, or one of 1, 2 or 4 bytes.
  const head = answer[at]!;
  const width = head < 0x58 ? 0 : 1 << (head - 0x58);
  const start = at + 1 + width;
  const length = width === 0 ? head - 0x40 : answer.readUIntBE(at + 1, width);
  return length > 0 && start + length <= answer.length ? { start, end: start + length } : whole;
}

async function collect(stream: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}
