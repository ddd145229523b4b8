/**
 * The IC's HTTP interface (interface specification, "HTTPS interface"): CBOR in, CBOR out.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import * as cbor from "@dfinity/cbor";
import { Principal } from "@dfinity/principal";
import { HttpError, hashOfMap, type Request, readRequest } from "./ingress.ts";
import type { Network } from "./network.ts";
import { RejectError, type Response } from "./response.ts";
import { checkPaths } from "./state-tree.ts";
import type { Weather } from "./weather.ts";

/** An update call's envelope: the IC's limit on ingress messages. */
const MAX_INGRESS_BYTES = 2 * 1024 * 1024;
/** Any request's body: the limit of the IC's HTTP endpoint. */
const MAX_BODY_BYTES = 5 * 1024 * 1024;
/** How much of a body that is too large is read before the connection is given up. */
const MAX_DROPPED_BYTES = 64 * 1024 * 1024;
/** How long a synchronous call waits for its answer before the client is told to ask again. */
const SYNC_CALL_MS = 10_000;

const ROUTE = /^\/api\/v([234])\/(canister|subnet)\/([a-z0-9-]+)\/(query|call|read_state)$/;
const VERSIONS: Record<string, string> = {
  "canister/query": "23",
  "canister/call": "234",
  "canister/read_state": "23",
  "subnet/read_state": "23",
};

interface Answer {
  status: number;
  /** Text for errors, CBOR otherwise. */
  body: string | Uint8Array;
}

/** Makes the request handler of an HTTP server. */
export function httpHandler(network: Network, weather: Weather) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    serve(network, weather, request, response).catch((error: unknown) => {
      // The client is gone, or the network is closing; anything else is a bug that must not pass silently.
      if (!response.destroyed && (error as Error).name !== "AbortError")
        network.log(`http: ${(error as Error).stack}`);
      response.destroy();
    });
  };
}

async function serve(
  network: Network,
  weather: Weather,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  await weather.oneWay();
  let answer: Answer;
  try {
    answer = await route(network, weather, request);
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    answer = { status: error.status, body: error.message };
  }
  await weather.oneWay();
  const isText = typeof answer.body === "string";
  const body = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body;
  response.writeHead(answer.status, {
    "content-type": isText ? "text/plain; charset=utf-8" : "application/cbor",
    "content-length": body.length,
    // What is left of a body that was refused must not be taken for the next request.
    ...(request.complete ? {} : { connection: "close" }),
  });
  try {
    await pipeline(weather.download(body), response);
  } catch {
    // Whoever asked has gone.
  }
}

async function route(network: Network, weather: Weather, request: IncomingMessage): Promise<Answer> {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  if (path === "/api/v2/status") {
    if (request.method !== "GET") throw new HttpError(405, "Method not allowed");
    const status = {
      ic_api_version: "0.18.0",
      impl_version: "icfs localnet",
      replica_health_status: "healthy",
      root_key: network.rootKey,
    };
    return { status: 200, body: cbor.encodeWithSelfDescribedTag(status) };
  }
  const [, version, where, id, endpoint] = ROUTE.exec(path) ?? [];
  if (version === undefined || !VERSIONS[`${where}/${endpoint}`]?.includes(version)) {
    throw new HttpError(404, `There is no ${path} here`);
  }
  if (request.method !== "POST") throw new HttpError(405, "Method not allowed");
  const effective = principal(id!);
  const limit = endpoint === "call" ? MAX_INGRESS_BYTES : MAX_BODY_BYTES;
  const body = await readBody(request, weather, limit);
  const kind = endpoint as Request["request_type"];
  const content = readRequest(body, kind, network.now());
  if (content.request_type === "read_state") {
    const canister = where === "canister" ? effective : undefined;
    checkPaths(content.paths, content.sender, canister, network.canisters, network.history);
    const certificate = network.certification.certificate(content.paths);
    return { status: 200, body: cbor.encodeWithSelfDescribedTag({ certificate }) };
  }
  if (content.canister_id.length > 0 && Buffer.compare(content.canister_id, effective) !== 0) {
    throw new HttpError(400, `Effective canister id in URL ${id} does not match the request's canister id.`);
  }
  return content.request_type === "query" ? query(network, content) : call(network, content, version !== "2");
}

async function query(
  network: Network,
  request: Extract<Request, { canister_id: Uint8Array }>,
): Promise<Answer> {
  const outcome = queryOutcome(await network.query(request));
  const timestamp = network.now();
  const { node } = network.certification;
  const signature = node.signResponse(hashOfMap({ ...outcome, timestamp, request_id: request.id }));
  const signatures = [{ timestamp, signature, identity: node.id }];
  return { status: 200, body: cbor.encodeWithSelfDescribedTag({ ...outcome, signatures }) };
}

function queryOutcome(response: Response): Record<string, unknown> {
  if ("reply" in response) return { status: "replied", reply: { arg: response.reply } };
  return { status: "rejected", ...rejectFields(response.reject) };
}

function rejectFields({ code, message, errorCode }: Extract<Response, { reject: unknown }>["reject"]) {
  return { reject_code: code, reject_message: message, error_code: errorCode };
}

/** Takes an update call; a synchronous one is answered with its certificate, if that comes soon. */
async function call(
  network: Network,
  request: Extract<Request, { canister_id: Uint8Array }>,
  synchronous: boolean,
): Promise<Answer> {
  try {
    const record = await network.submit(request);
    if (!synchronous) return { status: 202, body: new Uint8Array() };
    const timeout = new AbortController();
    const late = sleep(SYNC_CALL_MS, true, { signal: timeout.signal, ref: false }).catch(() => true);
    const isLate = await Promise.race([record.done, late]);
    timeout.abort();
    if (isLate) return { status: 202, body: new Uint8Array() };
    const certificate = network.certification.certificate([[Buffer.from("request_status"), request.id]]);
    return { status: 200, body: cbor.encodeWithSelfDescribedTag({ status: "replied", certificate }) };
  } catch (error) {
    if (!(error instanceof RejectError)) throw error;
    const rejected = { status: "non_replicated_rejection", ...rejectFields(error.reject) };
    return { status: 200, body: cbor.encodeWithSelfDescribedTag(rejected) };
  }
}

/**
 * Reads a body up to a limit. A larger one is read as well, and dropped: a client that is still sending when the
 * connection closes would not see the answer.
 *
 * @throws HttpError 413
 */
async function readBody(request: IncomingMessage, weather: Weather, limit: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of weather.upload(request)) {
    length += piece.length;
    if (length <= limit) pieces.push(piece);
    if (length > MAX_DROPPED_BYTES) break;
  }
  if (length > limit)
    throw new HttpError(413, `Request has byte size ${length} which exceeds limit of ${limit}`);
  return Buffer.concat(pieces);
}

function principal(text: string): Uint8Array {
  try {
    return Principal.fromText(text).toUint8Array();
  } catch {
    throw new HttpError(400, `${text} is not a principal`);
  }
}
