/**
 * A canister's methods by its interface. @icp-sdk/core encodes and decodes the Candid, but every reply is scanned first: a few bytes
 * can keep that decoder busy for a long time, and callers need not trust the canister.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import { FormatError } from "../errors.ts";
import { queryReply } from "./agent.ts";
import { RejectError } from "./call-errors.ts";
import { checkCandid } from "./candid.ts";
import { type Call, replicatedCalls } from "./canister-calls.ts";

interface Config {
  readonly agent: HttpAgent;
  readonly canisterId: Principal;
  /** The canister through whose subnet the calls go: needed for the management canister, which is on none. Default: `canisterId`. */
  readonly effectiveCanisterId?: Principal;
}

/** The largest replies are those to a `put` of very small chunks, and lists of thousands of releases and roles. */
const MOST_REPLY_BYTES = 1024 * 1024;

/**
 * A canister's methods, as async functions. They throw the errors of call-errors.ts, and a FormatError for a reply that does not fit the
 * interface.
 */
export function actorOf<Methods extends object>(candid: IDL.InterfaceFactory, config: Config): Methods {
  const { agent, canisterId, effectiveCanisterId = canisterId } = config;
  const query: Call = (method, arg) => queryReply(agent, canisterId, method, arg);
  const update = replicatedCalls(agent, canisterId, agent.rootKey!, { effectiveCanisterId });
  const methods = candid({ IDL })._fields.map(([name, { argTypes, retTypes, annotations }]) => {
    const call = annotations.includes("query") ? query : update;
    const method = async (...args: unknown[]) =>
      decoded(retTypes, await inOwnWords(call(name, IDL.encode(argTypes, args))));
    return [name, method];
  });
  return Object.fromEntries(methods);
}

/** Reduces a rejection's message to the canister's own words: the caller adds which canister it was, and what it did not do. */
async function inOwnWords<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof RejectError)) throw error;
    const { code, reason, errorCode } = error;
    throw new RejectError(code, reason, errorCode, reason);
  }
}

/** @throws FormatError */
function decoded(types: IDL.Type[], reply: Uint8Array): unknown {
  if (reply.length > MOST_REPLY_BYTES) throw new FormatError(`a reply of ${reply.length} bytes is too large`);
  checkCandid(reply);
  try {
    // A copy: the decoder misreads views into a larger buffer.
    return IDL.decode(types, Uint8Array.from(reply))[0];
  } catch {
    throw new FormatError("the reply is of another type than the method's");
  }
}
