/**
 * A canister's methods, called with Candid and answered in Candid: by one node, which signs, or by all of the subnet, which
 * certifies. What comes back has not met a decoder.
 */
import {
  Certificate,
  type HttpAgent,
  isV2ResponseBody,
  isV3ResponseBody,
  lookupResultToBuffer,
  pollForResponse,
  type RequestId,
} from "@dfinity/agent";
import type { Principal } from "@dfinity/principal";
import { FormatError } from "../errors.ts";
import { queryReply, RejectError } from "./agent.ts";
import { agentMessage } from "./agent-error.ts";
import { checkCbor } from "./cbor-reader.ts";
import type { BlsVerify } from "./certificate.ts";

/** Calls a method; the reply's bytes. @throws RejectError; FormatError; Error when there is no answer */
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
 * @param blsVerify what is to check the next certificate's signatures; default: @dfinity/agent's own
 */
export function replicatedCalls(
  agent: HttpAgent,
  canister: Principal,
  rootKey: Uint8Array,
  blsVerify: () => BlsVerify | undefined = () => undefined,
): Call {
  return async (method, arg) => {
    try {
      const { requestId, response } = await agent.call(canister, { methodName: method, arg });
      const { body } = response;
      const verify = blsVerify();
      if (isV3ResponseBody(body)) {
        checkCbor(body.certificate);
        const certificate = await Certificate.create({
          // A copy: the decoder returns empty leaves for views into a larger buffer.
          certificate: Uint8Array.from(body.certificate),
          rootKey,
          canisterId: canister,
          ...(verify && { blsVerify: verify }),
        });
        return replyIn(certificate, requestId, canister, method);
      }
      if (isV2ResponseBody(body)) throw rejection(canister, method, body.reject_code, body.reject_message);
      if (response.status !== 202) throw new FormatError(`HTTP status ${response.status} without a reply`);
      const { reply } = await pollForResponse(agent, canister, requestId, {
        ...(verify && { blsVerify: verify }),
      });
      return Uint8Array.from(reply);
    } catch (error) {
      if (error instanceof RejectError || error instanceof FormatError) throw error;
      throw new Error(agentMessage(error));
    }
  };
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
    throw rejection(canister, method, item("reject_code")?.[0] ?? 0, text("reject_message"));
  }
  const reply = item("reply");
  if (status !== "replied" || reply === undefined) throw new FormatError("the certificate has no reply");
  return Uint8Array.from(reply);
}

function rejection(canister: Principal, method: string, code: number, message: string): RejectError {
  return new RejectError(code, `canister ${canister.toText()} rejects "${method}": ${message}`);
}
