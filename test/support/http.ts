/**
 * Asks a canister as a gateway does, and checks the answer with @dfinity/response-verification, as the main network's gateways
 * do.
 */

import { type VerificationInfo, verifyRequestResponsePair } from "@dfinity/response-verification";
import { HttpAgent, QueryResponseStatus } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";

export interface HttpAnswer {
  readonly status: number;
  readonly headers: readonly [string, string][];
  readonly body: Uint8Array;
}

export interface HttpAsked {
  readonly method?: string;
  readonly headers?: readonly [string, string][];
  readonly version?: [] | [number];
}

const HEADERS = IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text));
const REQUEST = IDL.Record({
  method: IDL.Text,
  url: IDL.Text,
  headers: HEADERS,
  body: IDL.Vec(IDL.Nat8),
  certificate_version: IDL.Opt(IDL.Nat16),
});
const RESPONSE = IDL.Record({ status_code: IDL.Nat16, headers: HEADERS, body: IDL.Vec(IDL.Nat8) });

/**
 * An agent that uses the older query endpoint: version 3.0.3 of the library, its newest Wasm, finds a canister's ranges only in
 * that endpoint's certificates. The network must have it.
 */
export function gatewayAgent({
  url,
  rootKey,
}: {
  readonly url: string;
  readonly rootKey: Uint8Array;
}): HttpAgent {
  return HttpAgent.createSync({
    host: url,
    rootKey,
    retryTimes: 0,
    fetch: (resource, init) =>
      fetch(String(resource).replace(/\/api\/v3\/(canister\/[^/]*\/query)$/, "/api/v2/$1"), init),
  });
}

/** Sends a request as a gateway does. @param url path and query */
export async function askHttp(
  agent: HttpAgent,
  canister: Principal,
  url: string,
  { method = "GET", headers = [], version = [2] }: HttpAsked = {},
): Promise<HttpAnswer> {
  const request = { method, url, headers, body: new Uint8Array(), certificate_version: version };
  const arg = IDL.encode([REQUEST], [request]);
  const reply = await agent.query(canister, { methodName: "http_request", arg });
  if (reply.status !== QueryResponseStatus.Replied) throw new Error(reply.reject_message);
  const [answer] = IDL.decode([RESPONSE], reply.reply.arg) as unknown as [
    { status_code: number; headers: [string, string][]; body: Uint8Array },
  ];
  return { status: answer.status_code, headers: answer.headers, body: Uint8Array.from(answer.body) };
}

/** A header's value, or undefined. */
export function headerOf({ headers }: HttpAnswer, name: string): string | undefined {
  return headers.find(([header]) => header.toLowerCase() === name)?.[1];
}

const FIVE_MINUTES_NS = 300_000_000_000n;

/** Verifies an answer as a gateway does. @throws the library's error */
export function verifyHttp(
  url: string,
  answer: HttpAnswer,
  canister: Principal,
  rootKey: Uint8Array,
  method = "GET",
): VerificationInfo {
  return verifyRequestResponsePair(
    { url, method, headers: [], body: new Uint8Array(), certificate_version: [2] },
    { status_code: answer.status, headers: [...answer.headers], body: answer.body },
    canister.toUint8Array(),
    BigInt(Date.now()) * 1_000_000n,
    FIVE_MINUTES_NS,
    rootKey,
    2,
  );
}
