/**
 * @icp-sdk/core's agent as icfs uses it, and the one kind of query that a reader makes. Its arguments and reply are plain
 * blobs, so that unverified bytes never reach a general decoder.
 */
import {
  AnonymousIdentity,
  type HttpAgent,
  type HttpAgentOptions,
  type Identity,
  QueryResponseStatus,
} from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { LRUCache } from "lru-cache";
import { FormatError } from "../errors.ts";
import { AdaptedAgent } from "./adapted-agent.ts";
import { fromCall, rejectionIn, rejectReason, withMissing } from "./agent-error.ts";
import { ERROR_CODES, RejectError } from "./call-errors.ts";
import { fromAnyGateway } from "./gateway/any-gateway.ts";
import { asAgents, gatewayFetch } from "./gateway/gateway-fetch.ts";
import type { Network } from "./network.ts";
import type { Received } from "./transport/bounded-fetch.ts";

export interface AgentOptions {
  readonly network: Network;
  readonly rootKey: Uint8Array;
  /** Default: anonymous. */
  readonly identity?: Identity;
  /** Off only for answers that are verified in another way: hash-chained chunks, certified heads. */
  readonly verifyQuerySignatures: boolean;
  /** Milliseconds without a byte after which an HTTP request fails, so that no silent socket hangs. */
  readonly requestTimeout: number;
  /** Bytes that an answer may have. Default: the IC's limit. */
  readonly mostBytes?: number;
  /** How often the agent itself retries. 0 for readers and uploads, which have their own retries. */
  readonly retryTimes?: number;
}

/** An agent for a network, whose requests go to the gateways that gateway/gateways.ts chooses. */
export function createAgent(options: AgentOptions): HttpAgent {
  return AdaptedAgent.createSync({
    host: options.network.gateways[0]!,
    identity: options.identity ?? new AnonymousIdentity(),
    rootKey: options.rootKey,
    verifyQuerySignatures: options.verifyQuerySignatures,
    retryTimes: options.retryTimes ?? 0,
    subnetNodeKeyExpirableStore: nodeKeys(),
    fetch: asAgents(gatewayFetch(options)),
  });
}

/** How long the keys of a subnet's nodes are valid, in milliseconds, as in @icp-sdk/core. */
const NODE_KEYS_MS = 5 * 60_000;
/** An agent asks a canister or two. */
const MOST_SUBNETS = 8;

type NodeKeys = NonNullable<HttpAgentOptions["subnetNodeKeyExpirableStore"]>;

/**
 * A store of nodes' keys, by subnet. An agent shares it with the agents that gateway/any-gateway.ts makes from it, one for each question.
 */
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

/** The arguments of a query without arguments. */
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
 * @throws RejectError when the canister, or the network on its behalf, refuses; NoSuchCanisterError; FormatError when the reply has no
 *   Candid; HttpStatusError, ClockError, SignatureError, NoAnswerError, Error when there is no valid answer
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
    // The network's message does not say this.
    const hint = errorCode === ERROR_CODES.methodNotFound ? " (this is not an icfs canister)" : "";
    const rejection = new RejectError(
      code,
      `canister ${canister.toText()} rejects "${methodName}": ${message}${hint}`,
      errorCode,
      rejectReason(message),
    );
    throw withMissing(rejection, { agent, canister });
  }
  const reply: unknown = response.reply?.arg;
  if (!(reply instanceof Uint8Array)) throw new FormatError("the reply is not a blob");
  return reply;
}

/**
 * The bytes (a view) of the one blob that a Candid message consists of. Its length must match the rest of the message exactly,
 * so that nothing is allocated for a false claim. @throws FormatError
 */
export function decodeBlob(reply: Uint8Array): Uint8Array {
  const at = BLOB_PREFIX.length;
  if (!BLOB_PREFIX.equals(reply.subarray(0, at))) throw new FormatError("the reply is not a blob");
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
