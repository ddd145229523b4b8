/** Calls the methods by which a canister answers HTTP requests (IC interface specification, "HTTP Gateway Protocol"). */
import { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import { unusableAnswer } from "./gateway-error.ts";

export type Header = [name: string, value: string];

export interface CanisterRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Header[];
  readonly body: Uint8Array;
}

export interface CanisterAnswer {
  /** 200 to 599. */
  readonly status: number;
  readonly headers: Header[];
  readonly body: Uint8Array;
  /** The canister wants the request again, as an update call. */
  readonly upgrade: boolean;
  readonly streaming: Streaming | undefined;
}

/** How to ask for the rest of a body. */
interface Streaming {
  readonly callback: [canister: Principal, method: string];
  readonly token: Token;
}

/** A Candid value that the canister chose, with its type. */
interface Token {
  type(): IDL.Type;
}

/** Makes an anonymous call. @throws GatewayError when it is rejected */
export type Call = (
  kind: "query" | "update",
  canister: Uint8Array,
  method: string,
  argument: Uint8Array,
) => Promise<Uint8Array>;

/** The newest version of certification that the gateway verifies; canisters are told it. */
export const CERTIFICATE_VERSION = 2;

const headers = IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text));
const body = IDL.Vec(IDL.Nat8);
const updateRequest = IDL.Record({ method: IDL.Text, url: IDL.Text, headers, body });
const queryRequest = IDL.Record({
  method: IDL.Text,
  url: IDL.Text,
  headers,
  body,
  certificate_version: IDL.Opt(IDL.Nat16),
});
const strategy = IDL.Variant({ Callback: IDL.Record({ callback: IDL.Unknown, token: IDL.Unknown }) });
const response = IDL.Record({
  status_code: IDL.Nat16,
  headers,
  body,
  upgrade: IDL.Opt(IDL.Bool),
  streaming_strategy: IDL.Opt(strategy),
});
const part = IDL.Record({ body, token: IDL.Opt(IDL.Unknown) });

interface RawResponse {
  status_code: number;
  headers: Header[];
  body: Uint8Array;
  upgrade: [] | [boolean];
  streaming_strategy: [] | [{ Callback: Streaming }];
}

/** @throws GatewayError */
export async function queryHttp(
  call: Call,
  canister: Uint8Array,
  request: CanisterRequest,
): Promise<CanisterAnswer> {
  const argument = IDL.encode([queryRequest], [{ ...request, certificate_version: [CERTIFICATE_VERSION] }]);
  return answerOf(await call("query", canister, "http_request", new Uint8Array(argument)));
}

/** @throws GatewayError */
export async function updateHttp(
  call: Call,
  canister: Uint8Array,
  request: CanisterRequest,
): Promise<CanisterAnswer> {
  const argument = IDL.encode([updateRequest], [request]);
  return answerOf(await call("update", canister, "http_request_update", new Uint8Array(argument)));
}

/** The next part of a body, and the token for the one after it. @throws GatewayError */
export async function nextPart(
  call: Call,
  { callback, token }: Streaming,
): Promise<{ readonly body: Uint8Array; readonly rest: Streaming | undefined }> {
  const [canister, method] = callback;
  const argument = IDL.encode([token.type()], [token]);
  const reply = await call("query", canister.toUint8Array(), method, new Uint8Array(argument));
  const found = decoded<{ body: Uint8Array; token: [] | [Token] }>(part, reply);
  const [next] = found.token;
  return { body: found.body, rest: next === undefined ? undefined : { callback, token: next } };
}

function answerOf(reply: Uint8Array): CanisterAnswer {
  const raw = decoded<RawResponse>(response, reply);
  // Clients cannot use other codes as a final answer: 1xx codes precede one.
  if (raw.status_code < 200 || raw.status_code > 599)
    throw unusableAnswer(`The canister answered with status code ${raw.status_code}`);
  return {
    status: raw.status_code,
    headers: raw.headers,
    body: raw.body,
    upgrade: raw.upgrade[0] === true,
    streaming: raw.streaming_strategy[0]?.Callback,
  };
}

function decoded<T>(type: IDL.Type, reply: Uint8Array): T {
  try {
    return IDL.decode([type], new Uint8Array(reply))[0] as T;
  } catch (error) {
    throw unusableAnswer(`The canister's answer is not an HTTP response: ${(error as Error).message}`);
  }
}

/** The value of a header; the case of its name does not matter. */
export function headerOf(headers: readonly Header[], name: string): string | undefined {
  return headers.find(([found]) => found.toLowerCase() === name)?.[1];
}
