/**
 * @icp-sdk/core's agent, set up as icfs uses it, and the one kind of query a reader makes: arguments and reply are plain
 * blobs, so that unverified bytes never meet a general decoder.
 */
import {
  AnonymousIdentity,
  type HttpAgent,
  type HttpAgentOptions,
  type Identity,
  QueryResponseStatus,
} from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import { LRUCache } from "lru-cache";
import { FormatError, UsageError } from "../errors.ts";
import { fromCall, rejectionIn, rejectReason, withMissing } from "./agent-error.ts";
import { fromAnyGateway } from "./gateway/any-gateway.ts";
// Core checks certificates with the same library.
import "./certificate/bls.ts";
import { ERROR_CODES, RejectError } from "./call-errors.ts";
import { gatewayFetch } from "./gateway/gateway-fetch.ts";
import type { Network } from "./network.ts";
import { TimelyAgent } from "./timely-agent.ts";
import type { Received } from "./transport/bounded-fetch.ts";

export interface AgentOptions {
  readonly network: Network;
  readonly rootKey: Uint8Array;
  /** Default: anonymous. */
  readonly identity?: Identity;
  /** Off only for what is verified in another way: hash-chained chunks, certified heads. */
  readonly verifyQuerySignatures: boolean;
  /** Milliseconds without a byte after which an HTTP request has failed, so that a socket that hangs in silence ends. */
  readonly requestTimeout: number;
  /** Bytes that an answer may have. Default: what any answer of the IC may. */
  readonly mostBytes?: number;
  /** How often the agent itself tries again. Readers and uploads have their own retries: 0. */
  readonly retryTimes?: number;
}

export function createAgent(options: AgentOptions): HttpAgent {
  return TimelyAgent.createSync({
    host: options.network.gateways[0]!,
    identity: options.identity ?? new AnonymousIdentity(),
    rootKey: options.rootKey,
    verifyQuerySignatures: options.verifyQuerySignatures,
    retryTimes: options.retryTimes ?? 0,
    subnetNodeKeyExpirableStore: nodeKeys(),
    fetch: gatewayFetch(options),
  });
}

/** How long the keys of a subnet's nodes are good for, in milliseconds: as @icp-sdk/core has it. */
const NODE_KEYS_MS = 5 * 60_000;
/** An agent asks a canister or two. */
const MOST_SUBNETS = 8;

type NodeKeys = NonNullable<HttpAgentOptions["subnetNodeKeyExpirableStore"]>;

/** The keys of nodes by subnet, shared by an agent and those that are made of it for one question each (gateway/any-gateway.ts). */
function nodeKeys(): NodeKeys {
  const keys = new LRUCache<string, NonNullable<Awaited<ReturnType<NodeKeys["get"]>>>>({
    max: MOST_SUBNETS,
    ttl: NODE_KEYS_MS,
  });
  return {
    expirationTime: NODE_KEYS_MS,
    get: async (subnet) => keys.get(subnet),
    set: async (subnet, value) => void keys.set(subnet, value),
    delete: async (subnet) => void keys.delete(subnet),
  };
}

/** @throws UsageError when `text` is no canister id */
export function parseCanisterId(text: string): Principal {
  const principal = parsePrincipalText(text);
  if (principal !== undefined) {
    const other = otherThanCanister(principal);
    if (other === undefined) return principal;
    throw new UsageError(`"${text}" is ${other}, which has no files: an icfs canister's id ${LOOKS_LIKE}`);
  }
  // In the address of a web site, say.
  const [inside] = /[a-z2-7]{5}(-[a-z2-7]{5})+-[a-z2-7]{3}(?![a-z2-7-])/i.exec(text) ?? [];
  const meant =
    inside !== undefined && parsePrincipalText(inside) !== undefined
      ? `say ${inside.toLowerCase()} alone`
      : `it ${LOOKS_LIKE}`;
  throw new UsageError(`"${text}" is no canister id: ${meant}`);
}

const LOOKS_LIKE = "looks like oeagv-5qaaa-aaaah-aar4q-cai, and `icfs deploy` prints it";

/** What a principal that no canister can have is of (IC interface specification, "Principals"). */
function otherThanCanister(principal: Principal): string | undefined {
  const bytes = principal.toUint8Array();
  if (bytes.length === 0) return "the network's own management canister";
  if (bytes.length === 1 && bytes[0] === ANONYMOUS) return "the principal of who has no key";
  return bytes.length === SELF_AUTHENTICATING_BYTES && bytes.at(-1) === SELF_AUTHENTICATING
    ? "somebody's principal"
    : undefined;
}

const ANONYMOUS = 4;
const SELF_AUTHENTICATING = 2;
const SELF_AUTHENTICATING_BYTES = 29;

/** In capitals as well, and with blanks around it, as it comes from a page or a mail; undefined when it is none. */
export function parsePrincipalText(text: string): Principal | undefined {
  try {
    return Principal.fromText(text.trim().toLowerCase());
  } catch {
    return undefined;
  }
}

/** A query's arguments without any. */
export const NO_ARGUMENTS: Uint8Array = Buffer.from("4449444c0000", "hex");

/** `DIDL`, one type (vec nat8), one argument of it: what the Candid of a single blob begins with. */
const BLOB_PREFIX = Buffer.from("4449444c016d7b0100", "hex");

/** The Candid of one blob of fewer than 128 bytes. */
export function blobArgument(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([BLOB_PREFIX, Buffer.from([bytes.length]), bytes]);
}

/**
 * Makes one query, whose reply is one blob, and returns the blob's bytes (a view). Nothing about them is verified.
 *
 * @param agent made by createAgent()
 * @throws as queryReply()
 */
export async function queryBlob(
  agent: HttpAgent,
  canister: Principal,
  methodName: string,
  arg: Uint8Array,
  received?: Received,
): Promise<Uint8Array> {
  return fromAnyGateway(
    agent,
    async (asked) => decodeBlob(await queryReply(asked, canister, methodName, arg)),
    received,
  );
}

/**
 * Makes one query, and returns the reply's Candid.
 *
 * @throws RejectError when the canister (or the network for it) says no; FormatError when the reply is none; HttpStatusError,
 *   ClockError, NoAnswerError, Error when there is no answer
 */
export function queryReply(
  agent: HttpAgent,
  canister: Principal,
  methodName: string,
  arg: Uint8Array,
): Promise<Uint8Array> {
  return fromAnyGateway(agent, (asked) => oneQuery(asked, canister, methodName, arg));
}

async function oneQuery(
  agent: HttpAgent,
  canister: Principal,
  methodName: string,
  arg: Uint8Array,
): Promise<Uint8Array> {
  let response: Awaited<ReturnType<HttpAgent["query"]>>;
  try {
    response = await agent.query(canister, { methodName, arg });
  } catch (error) {
    throw fromCall(error, { agent, canister });
  }
  if (response.status === QueryResponseStatus.Rejected) {
    const { code, message, errorCode } = rejectionIn(response);
    // What the network's own words leave out.
    const hint = errorCode === ERROR_CODES.methodNotFound ? " (this is no icfs canister)" : "";
    const rejection = new RejectError(
      code,
      `canister ${canister.toText()} rejects "${methodName}": ${message}${hint}`,
      errorCode,
      rejectReason(message),
    );
    throw withMissing(rejection, { agent, canister });
  }
  const reply: unknown = response.reply?.arg;
  if (!(reply instanceof Uint8Array)) throw new FormatError("the reply is no blob");
  return reply;
}

/**
 * The bytes (a view) of the one blob that a Candid message consists of. Its length must be the message's rest exactly,
 * so that nothing is allocated for what a message claims. @throws FormatError
 */
export function decodeBlob(reply: Uint8Array): Uint8Array {
  const at = BLOB_PREFIX.length;
  if (!BLOB_PREFIX.equals(reply.subarray(0, at))) throw new FormatError("the reply is no blob");
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = reply[at + i];
    if (byte === undefined) break;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) {
      const start = at + i + 1;
      if (reply.length !== start + length) break;
      return reply.subarray(start);
    }
  }
  throw new FormatError("the reply's length is not the blob's");
}
