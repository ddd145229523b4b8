/**
 * A canister's methods, called with Candid and answered in Candid: by one node, which signs, or by all of the subnet, which
 * certifies. What comes back has not met a decoder.
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
import { type BlsVerify, type CallItem, VerificationError, verifyCall } from "./certificate/certificate.ts";
import { fromAnyGateway } from "./gateway/any-gateway.ts";
import { readState } from "./read-state.ts";

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
 * @param options.blsVerify what is to check the next certificate's signatures; default: verifySignature() of certificate/bls.ts
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
 * Makes an update call, and returns bytes in which the reply is, if there is one: the certificate, not verified. For whoever can tell
 * by the reply itself that it is right.
 *
 * @throws RejectError when the call was not taken; others of call-errors.ts when there is no answer
 */
export function unverifiedCall(
  agent: HttpAgent,
  canister: Principal,
  methodName: string,
  arg: Uint8Array,
): Promise<Uint8Array> {
  // The same for each gateway that is asked.
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
      // It takes longer than a gateway waits. To send it all again would take longer still.
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

/** What needs no translation. */
function isOurs(error: unknown): boolean {
  return error instanceof FormatError || error instanceof VerificationError;
}

/** Asks for what has become of a call until it is done, for five minutes. @param canister through whose subnet it was made */
async function done(
  agent: HttpAgent,
  canister: Principal,
  requestId: RequestId,
  verified: (certificate: Uint8Array) => Promise<CallItem>,
): Promise<CallItem> {
  const pause = defaultStrategy();
  for (;;) {
    const item = await verified(await readState(agent, canister, ["request_status", requestId]));
    // Without one, it has not come to the node that answered.
    const status = item("status")?.toString() ?? RequestStatusResponseStatus.Unknown;
    if (!UNDER_WAY.has(status)) return item;
    await pause({ canisterId: canister }, requestId, status as RequestStatusResponseStatus);
  }
}

/** The status of a call that goes on (IC interface specification, "Request status"). */
const UNDER_WAY: ReadonlySet<string> = new Set([
  RequestStatusResponseStatus.Unknown,
  RequestStatusResponseStatus.Received,
  RequestStatusResponseStatus.Processing,
]);

/** The reply to a call (IC interface specification, "Request status"). */
function replyIn(item: CallItem, canister: Principal, method: string): Uint8Array {
  const status = item("status")?.toString();
  if (status === "rejected") {
    const message = item("reject_message")?.toString() ?? "";
    throw rejection(canister, method, item("reject_code")?.[0] ?? 0, message, item("error_code")?.toString());
  }
  if (status === "") throw new FormatError("the answer certifies nothing of this call: it is another one's");
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
