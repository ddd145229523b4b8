/**
 * Calls a canister's methods, with Candid arguments and a Candid reply: from one node, which signs it, or from the whole subnet, which
 * certifies it. The reply is not decoded.
 */
import {
  defaultStrategy,
  type HttpAgent,
  isV2ResponseBody,
  isV4ResponseBody,
  type RequestId,
  RequestStatusResponseStatus,
  type SubmitResponse,
} from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { FormatError } from "../errors.ts";
import { queryReply } from "./agent.ts";
import { fromCall, rejectionIn, rejectReason, requestIn, withMissing } from "./agent-error.ts";
import { RejectError } from "./call-errors.ts";
import { type CallItem, VerificationError, verifyCall } from "./certificate/certificate.ts";
import type { BlsVerify } from "./certificate/valid-signatures.ts";
import { fromAnyGateway } from "./gateway/any-gateway.ts";
import { readState } from "./read-state.ts";

/** The HTTP status of a call that is still running. */
const ACCEPTED = 202;

/** Calls a method, and returns the reply's bytes. @throws RejectError, FormatError; others of call-errors.ts when there is no answer */
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
 * By update call: the subnet's nodes agree on the reply, and a certificate proves it. A call takes seconds, and costs the canister
 * cycles. It throws VerificationError when the certificate does not verify.
 *
 * @param options.blsVerify returns what is to check the next certificate's signatures; default: verifySignature() of certificate/bls.ts
 * @param options.effectiveCanisterId the canister through whose subnet the call goes; default: `canister`
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
    // Every gateway gets the bytes of the first attempt, so its id counts (gateway/any-gateway.ts).
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
        id ??= requestIn(error);
        const called = { agent, canister: effectiveCanisterId };
        if (error instanceof RejectError) throw withMissing(error, called);
        throw isOurs(error) ? error : fromCall(error, called);
      }
    });

    async function replyTo(
      requestId: RequestId,
      { body, status }: SubmitResponse["response"],
      asked: HttpAgent,
    ): Promise<Uint8Array> {
      const verified = (certificate: Uint8Array) =>
        verifyCall(certificate, rootKey, effectiveCanisterId, requestId, blsVerify());
      if (isV4ResponseBody(body)) return replyIn(await verified(body.certificate), canister, method);
      if (isV2ResponseBody(body)) {
        const { code, message, errorCode } = rejectionIn(body);
        throw rejection(canister, method, code, message, errorCode, true);
      }
      if (status !== ACCEPTED) throw new FormatError(`HTTP status ${status} without a reply`);
      return replyIn(await done(asked, effectiveCanisterId, requestId, verified), canister, method);
    }
  };
}

/**
 * Makes an update call, and returns bytes that should contain the reply: the unverified certificate; nothing, if the answer has none; or,
 * if the call takes longer than a gateway waits, the reply itself, verified. For callers that recognize the reply they expect.
 *
 * @throws RejectError when the call was refused; others of call-errors.ts when there is no answer
 */
export function unverifiedCall(
  agent: HttpAgent,
  canister: Principal,
  methodName: string,
  arg: Uint8Array,
): Promise<Uint8Array> {
  // As in replicatedCalls().
  let id: RequestId | undefined;
  return fromAnyGateway(agent, async (asked) => {
    try {
      const { requestId, response } = await asked.call(canister, { methodName, arg });
      id ??= requestId;
      const { body, status } = response;
      if (isV4ResponseBody(body)) return body.certificate;
      if (isV2ResponseBody(body)) {
        const { code, message, errorCode } = rejectionIn(body);
        throw rejection(canister, methodName, code, message, errorCode, true);
      }
      if (status !== ACCEPTED) return new Uint8Array();
      // It takes longer than a gateway waits. Sending it all again would take even longer.
      const called = id;
      const verified = (certificate: Uint8Array) => verifyCall(certificate, agent.rootKey!, canister, called);
      return replyIn(await done(asked, canister, called, verified), canister, methodName);
    } catch (error) {
      id ??= requestIn(error);
      const called = { agent, canister };
      if (error instanceof RejectError) throw withMissing(error, called);
      throw isOurs(error) ? error : fromCall(error, called);
    }
  });
}

/** Whether an error is one of icfs's own, and not the agent's. */
function isOurs(error: unknown): boolean {
  return error instanceof FormatError || error instanceof VerificationError;
}

/** Polls the status of a call until it is done, for five minutes. @param canister through whose subnet it was made */
async function done(
  agent: HttpAgent,
  canister: Principal,
  requestId: RequestId,
  verified: (certificate: Uint8Array) => Promise<CallItem>,
): Promise<CallItem> {
  const pause = defaultStrategy();
  for (;;) {
    const item = await verified(await readState(agent, canister, ["request_status", requestId]));
    // Without a status, the call has not reached the node that answered.
    const status = item("status")?.toString() ?? RequestStatusResponseStatus.Unknown;
    if (!UNDER_WAY.has(status)) return item;
    await pause({ canisterId: canister }, requestId, status as RequestStatusResponseStatus);
  }
}

/** Statuses of a call that is still running (IC interface specification, "Request status"). */
const UNDER_WAY: ReadonlySet<string> = new Set([
  RequestStatusResponseStatus.Unknown,
  RequestStatusResponseStatus.Received,
  RequestStatusResponseStatus.Processing,
]);

/** The reply to a call (IC interface specification, "Request status"). @throws RejectError, FormatError */
function replyIn(item: CallItem, canister: Principal, method: string): Uint8Array {
  const status = item("status")?.toString();
  if (status === "rejected") {
    const message = item("reject_message")?.toString() ?? "";
    throw rejection(canister, method, item("reject_code")?.[0] ?? 0, message, item("error_code")?.toString());
  }
  if (status === undefined)
    throw new FormatError("the answer certifies nothing of this call: it is another one's");
  const reply = item("reply");
  if (status !== "replied" || reply === undefined) throw new FormatError("the certificate has no reply");
  return reply;
}

function rejection(
  canister: Principal,
  method: string,
  code: number,
  said: string,
  errorCode: string | undefined,
  isGateways = false,
): RejectError {
  const message = `canister ${canister.toText()} rejects "${method}": ${said}`;
  return new RejectError(code, message, errorCode, rejectReason(said), isGateways);
}
