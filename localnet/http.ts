/**
 * The IC's HTTP interface (interface specification, "HTTPS interface"): CBOR in, CBOR out. Requests for anything else go through the
 * gateway to a canister.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import * as cbor from "@dfinity/cbor";
import { Principal } from "@icp-sdk/core/principal";
import type { RangesShown } from "./certification.ts";
import { targetOf } from "./gateway/canister-address.ts";
import { Gateway } from "./gateway/gateway.ts";
import { callRejected, GatewayError } from "./gateway/gateway-error.ts";
import type { Call } from "./gateway/http-canister.ts";
import { HttpError, hashOfMap, type Request, readRequest } from "./ingress.ts";
import type { Network } from "./network.ts";
import { RejectError, type Response } from "./response.ts";
import { checkPaths } from "./state-tree.ts";
import type { Weather } from "./weather.ts";

/** An update call's envelope: the IC's limit on ingress messages. */
const MAX_INGRESS_BYTES = 2 * 1024 * 1024;
/** Any request's body: the limit of the IC's HTTP endpoint. */
const MAX_BODY_BYTES = 5 * 1024 * 1024;
/** How much of an oversized body is read before the connection is closed. */
const MAX_DROPPED_BYTES = 64 * 1024 * 1024;
/** How long a synchronous call waits for its answer before the client is told to ask again. */
const SYNC_CALL_MS = 10_000;

/** Endpoints that the IC has, had, or will have, on any host. */
const API = /^\/api\/v\d+\//;
const ROUTE = /^\/api\/v([234])\/(canister|subnet)\/([a-z0-9-]+)\/(query|call|read_state)$/;
/** Which endpoints the network offers: those that the IC has deprecated, their replacements, or both, like the IC itself. */
export type Api = "old" | "new" | "both";
/** Calls of version 2, which are answered later, belong to neither group. */
const VERSIONS: Record<string, { readonly [api in Exclude<Api, "both">]: string }> = {
  "canister/query": { old: "2", new: "3" },
  "canister/call": { old: "23", new: "24" },
  "canister/read_state": { old: "2", new: "3" },
  "subnet/read_state": { old: "2", new: "3" },
};

interface Answer {
  status: number;
  /** Text for errors, CBOR otherwise. */
  body: string | Uint8Array;
}

/** Makes the request handler of an HTTP server. */
export function httpHandler(network: Network, weather: Weather, api: Api) {
  const gateway = gatewayTo(network, weather);
  return (request: IncomingMessage, response: ServerResponse): void => {
    serve(network, weather, api, gateway, request, response).catch((error: unknown) => {
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
  api: Api,
  gateway: Gateway,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  await weather.oneWay();
  let answer: Answer;
  try {
    const { canister, url } = targetOf(request);
    if (canister !== undefined && !API.test(url)) {
      const body = () => readBody(request, weather, MAX_INGRESS_BYTES);
      return await gateway.serve(canister, url, body, request, response);
    }
    answer = await route(network, weather, api, request, url);
  } catch (error) {
    if (error instanceof GatewayError) {
      if (error.status >= 500) network.log(`gateway: ${request.method} ${request.url}: ${error.message}`);
      answer = { status: error.status, body: error.page };
    } else if (error instanceof HttpError) answer = { status: error.status, body: error.message };
    else throw error;
  }
  await weather.oneWay();
  const isText = typeof answer.body === "string";
  const body = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body;
  response.writeHead(answer.status, {
    "content-type": isText ? "text/plain; charset=utf-8" : "application/cbor",
    "content-length": body.length,
    // The rest of a refused body must not be taken for the next request.
    ...(request.complete ? {} : { connection: "close" }),
  });
  try {
    await pipeline(weather.download(body), response);
  } catch {
    // The client has gone.
  }
}

/** Calls of the gateway's clients are anonymous. */
function gatewayTo(network: Network, weather: Weather): Gateway {
  const call: Call = async (kind, canister_id, method_name, arg) => {
    const request = { canister_id, method_name, arg, sender: Principal.anonymous().toUint8Array() };
    // The verification library supports only this form of certificates so far.
    const response = await (kind === "query" ? network.query(request, "flat") : network.update(request));
    if ("reply" in response) return response.reply;
    throw callRejected(response.reject);
  };
  const { rootKey } = network;
  const log = (line: string) => network.log(line);
  return new Gateway({ call, rootKey, now: () => network.now(), log }, weather);
}

async function route(
  network: Network,
  weather: Weather,
  api: Api,
  request: IncomingMessage,
  url: string,
): Promise<Answer> {
  const path = url.split("?", 1)[0]!;
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
  const versions = VERSIONS[`${where}/${endpoint}`];
  const has = (which: "old" | "new") => version !== undefined && versions?.[which].includes(version) === true;
  if (!(api !== "new" && has("old")) && !(api !== "old" && has("new"))) {
    const canisters = API.test(path)
      ? ""
      : ". A canister's own pages are at http://ID.localhost on this port";
    throw new HttpError(404, `There is no ${path} here${canisters}`);
  }
  if (request.method !== "POST") throw new HttpError(405, "Method not allowed");
  const effective = principal(id!);
  const limit = endpoint === "call" ? MAX_INGRESS_BYTES : MAX_BODY_BYTES;
  const body = await readBody(request, weather, limit);
  const kind = endpoint as Request["request_type"];
  const content = readRequest(body, kind, network.now());
  if (content.request_type === "read_state") {
    const canister = where === "canister" ? effective : undefined;
    const flat = has("old");
    checkPaths(content.paths, content.sender, canister, flat, network.canisters, network.history);
    const ranges = flat ? "flat" : { shardOf: canister };
    const certificate = network.certification.certificate(content.paths, ranges);
    return { status: 200, body: cbor.encodeWithSelfDescribedTag({ certificate }) };
  }
  if (content.canister_id.length > 0 && Buffer.compare(content.canister_id, effective) !== 0) {
    throw new HttpError(400, `Effective canister id in URL ${id} does not match the request's canister id.`);
  }
  const ranges = has("old") ? "flat" : { shardOf: effective };
  if (content.request_type === "query") return query(network, content, ranges);
  return call(network, content, version === "2" ? undefined : ranges);
}

async function query(
  network: Network,
  request: Extract<Request, { canister_id: Uint8Array }>,
  ranges: RangesShown,
): Promise<Answer> {
  const outcome = queryOutcome(await network.query(request, ranges));
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

/**
 * Accepts an update call.
 *
 * @param ranges their form in the certificate, if the call is answered soon; undefined: the caller asks for the answer later
 */
async function call(
  network: Network,
  request: Extract<Request, { canister_id: Uint8Array }>,
  ranges: RangesShown | undefined,
): Promise<Answer> {
  try {
    const record = await network.submit(request);
    if (ranges === undefined) return { status: 202, body: new Uint8Array() };
    const timeout = new AbortController();
    const late = sleep(SYNC_CALL_MS, true, { signal: timeout.signal, ref: false }).catch(() => true);
    const isLate = await Promise.race([record.done, late]);
    timeout.abort();
    if (isLate) return { status: 202, body: new Uint8Array() };
    const paths = [[Buffer.from("request_status"), request.id]];
    const certificate = network.certification.certificate(paths, ranges);
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
