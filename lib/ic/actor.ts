/**
 * A canister's methods by its interface, with Candid from and to @icp-sdk/core's decoder, which gets no reply that is not looked
 * through first: it can be kept busy for a long time by few bytes, and who asks a canister need not trust it.
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
  /** Through whose subnet the management canister is called. */
  readonly effectiveCanisterId?: Principal;
}

/** The largest are of a `put` of very small chunks, and of thousands of releases and roles. */
const MOST_REPLY_BYTES = 1024 * 1024;

/** Its methods, whose failures are those of call-errors.ts, or a FormatError for a reply that is none of the interface's. */
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

/** Whoever calls says which canister, and what it did not do. */
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
    // A copy: the decoder is wrong about views into a larger buffer.
    return IDL.decode(types, Uint8Array.from(reply))[0];
  } catch {
    throw new FormatError("the reply is of another type than the method's");
  }
}
