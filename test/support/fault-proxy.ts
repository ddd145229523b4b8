/**
 * Stands between icfs and a network and spoils what the network answers: the faults of a bad line, a bad gateway, or a
 * network that is gone.
 */
import { randomInt } from "node:crypto";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Test } from "tap";

/** What happens to an answer. `silence`: it never comes, and the connection stays open. */
export type Fault = "none" | "flip" | "silence" | "drop" | "truncate" | { readonly status: number };

export interface FaultProxy {
  readonly url: string;
  /** Decides for each query that comes in, given the request's path and bytes; everything else passes. */
  fault: (path: string, body: Buffer) => Fault;
  /** Queries that came in. */
  queries: number;
}

/** A fault for queries of one method of a canister, none for others. A method's name stands in its request as it is. */
export function faultFor(method: string, fault: Fault | (() => Fault)): FaultProxy["fault"] {
  return (_, body) => {
    if (!body.includes(method)) return "none";
    return typeof fault === "function" ? fault() : fault;
  };
}

/** Starts a proxy in front of `target`, without faults; it ends with the test. */
export async function startFaultProxy(t: Test, target: string): Promise<FaultProxy> {
  const proxy: FaultProxy = { url: "", fault: () => "none", queries: 0 };
  const server = createServer((incoming, outgoing) => {
    forward(proxy, target, incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return Object.assign(proxy, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

async function forward(
  proxy: FaultProxy,
  target: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const path = incoming.url ?? "/";
  const body = await collect(incoming);
  const isQuery = path.endsWith("/query");
  if (isQuery) proxy.queries += 1;
  const fault = isQuery ? proxy.fault(path, body) : "none";
  if (fault === "silence") return;
  if (fault === "drop") {
    outgoing.destroy();
    return;
  }
  if (typeof fault === "object") {
    outgoing.writeHead(fault.status).end("so says the fault proxy");
    return;
  }
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const { method, headers } = incoming;
    request(`${target}${path}`, { method, headers }, resolve).on("error", reject).end(body);
  });
  const bytes = await collect(answer);
  // Behind the envelope, so that it is the canister's reply that is wrong.
  if (fault === "flip") bytes[randomInt(bytes.length >> 1, bytes.length)]! ^= 1 << randomInt(8);
  outgoing.writeHead(answer.statusCode ?? 502, { ...answer.headers, "content-length": bytes.length });
  if (fault === "truncate") {
    outgoing.write(bytes.subarray(0, bytes.length >> 1), () => outgoing.destroy());
  } else {
    outgoing.end(bytes);
  }
}

async function collect(stream: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}
