/**
 * A canister's methods, called with Candid and answered in Candid: by one node, which signs, or by all of the subnet, which
 * certifies. What comes back has not met a decoder.
 */
import {
  Certificate,
  type HttpAgent,
  isV2ResponseBody,
  isV4ResponseBody,
  lookupResultToBuffer,
  pollForResponse,
  type RequestId,
  type SubmitResponse,
} from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { FormatError } from "../errors.ts";
import { queryReply } from "./agent.ts";
import { fromCall, rejectionIn, rejectReason, withMissing } from "./agent-error.ts";
import { fromAnyGateway } from "./any-gateway.ts";
import { RejectError } from "./call-errors.ts";
import type { BlsVerify } from "./certificate.ts";

/** HTTP's status of a call that goes on. */
const ACCEPTED = 202;

/** Calls a method; the reply's bytes. @throws RejectError, FormatError; others of call-errors.ts when there is no answer */
export type Call = (method: string, arg: Uint8Array) => Promise<Uint8Array>;

/** The two ways to call a canister. */
export interface CanisterCalls {
  /** By query, with the node's signature checked. */
  readonly signed: Call;
  /** By update call. */
  readonly replicated: Call;
}

/** By query: one node answers. Its signature is checked if the agent checks signatures. */
export function queries(agent: HttpAgent, canister: Principal): Call {
  return (method, arg) => queryReply(agent, canister, method, arg);
}

/**
 * By update call: every node of the subnet has come to the same reply, and the certificate says so. It takes seconds, and
 * cycles of the canister's.
 *
 * @param options.blsVerify what is to check the next certificate's signatures; default: @dfinity/agent's own
 * @param options.effectiveCanisterId through whose subnet the canister is called; default: its own
 */
export function replicatedCalls(
  agent: HttpAgent,
  canister: Principal,
  rootKey: Uint8Array,
  {
    blsVerify = () => undefined,
    effectiveCanisterId = canister,
  }: {
    readonly blsVerify?: (() => BlsVerify | undefined) | undefined;
    readonly effectiveCanisterId?: Principal;
  } = {},
): Call {
  return (method, arg) => {
    // The same for each gateway that is asked.
    let id: RequestId | undefined;
    return fromAnyGateway(agent, async (asked) => {
      try {
        const { requestId, response } = await asked.call(canister, {
          methodName: method,
          arg,
          effectiveCanisterId,
        });
        id ??= requestId;
        return await replyTo(id, response, asked);
      } catch (error) {
        const called = { agent, canister: effectiveCanisterId };
        if (error instanceof RejectError) throw withMissing(error, called);
        if (error instanceof FormatError) throw error;
        const known = fromCall(error, called);
        if (!(known instanceof RejectError)) throw known;
        throw withMissing(rejection(canister, method, known.code, known.reason, known.errorCode), called);
      }
    });

    async function replyTo(
      requestId: RequestId,
      { body, status }: SubmitResponse["response"],
      asked: HttpAgent,
    ): Promise<Uint8Array> {
      const verify = blsVerify();
      if (isV4ResponseBody(body)) {
        const certificate = await Certificate.create({
          // A copy: the decoder returns empty leaves for views into a larger buffer.
          certificate: Uint8Array.from(body.certificate),
          rootKey,
          principal: { canisterId: effectiveCanisterId },
          ...(verify && { blsVerify: verify }),
        });
        return replyIn(certificate, requestId, canister, method);
      }
      if (isV2ResponseBody(body)) {
        const { code, message, errorCode } = rejectionIn(body);
        throw rejection(canister, method, code, message, errorCode);
      }
      if (status !== ACCEPTED) throw new FormatError(`HTTP status ${status} without a reply`);
      const { reply } = await pollForResponse(asked, { canisterId: effectiveCanisterId }, requestId, {
        ...(verify && { blsVerify: verify }),
      });
      return Uint8Array.from(reply);
    }
  };
}

/**
 * Makes an update call, and returns bytes in which the reply is, if there is one: the certificate, not verified. For whoever can tell
 * by the reply itself that it is right.
 *
 * @throws RejectError when the call was not taken; others of call-errors.ts when there is no answer
 */
export async function unverifiedCall(
  agent: HttpAgent,
  canister: Principal,
  methodName: string,
  arg: Uint8Array,
): Promise<Uint8Array> {
  try {
    const { requestId, response } = await agent.call(canister, { methodName, arg });
    const { body, status } = response;
    if (isV4ResponseBody(body)) return body.certificate;
    if (isV2ResponseBody(body)) {
      const { code, message, errorCode } = rejectionIn(body);
      throw rejection(canister, methodName, code, message, errorCode);
    }
    // It takes longer than a gateway waits. To send it all again would take longer still.
    if (status === ACCEPTED) return (await pollForResponse(agent, { canisterId: canister }, requestId)).reply;
    return new Uint8Array();
  } catch (error) {
    const called = { agent, canister };
    if (error instanceof FormatError) throw error;
    throw error instanceof RejectError ? withMissing(error, called) : fromCall(error, called);
  }
}

/** The reply to a request (IC interface specification, "Request status"). */
function replyIn(
  certificate: Certificate,
  requestId: RequestId,
  canister: Principal,
  method: string,
): Uint8Array {
  const item = (name: string) =>
    lookupResultToBuffer(certificate.lookup_path(["request_status", requestId, name]));
  const text = (name: string) => Buffer.from(item(name) ?? []).toString();
  const status = text("status");
  if (status === "rejected") {
    const errorCode = item("error_code") && text("error_code");
    throw rejection(canister, method, item("reject_code")?.[0] ?? 0, text("reject_message"), errorCode);
  }
  const reply = item("reply");
  if (status !== "replied" || reply === undefined) throw new FormatError("the certificate has no reply");
  return Uint8Array.from(reply);
}

function rejection(
  canister: Principal,
  method: string,
  code: number,
  said: string,
  errorCode: string | undefined,
): RejectError {
  const message = `canister ${canister.toText()} rejects "${method}": ${said}`;
  return new RejectError(code, message, errorCode, rejectReason(said));
}
