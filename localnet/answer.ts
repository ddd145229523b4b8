/** The answer to the caller from a message's outcome, within the IC's limits. */
import type { Outcome } from "./message.ts";
import { REJECT_CODE, type Reject, type Response } from "./response.ts";

/** Bytes. */
export const MAX_UPDATE_REPLY = 2 * 1024 * 1024;
export const MAX_QUERY_REPLY = 3 * 1024 * 1024;

/** @param canister its id, as text */
export function answerOf({ trap, response }: Outcome, limit: number, canister: string): Response {
  const error = (errorCode: string, message: string): { reject: Reject } => ({
    reject: {
      code: REJECT_CODE.canisterError,
      errorCode,
      message: `Error from Canister ${canister}: ${message}`,
    },
  });
  if (trap !== undefined) return error(trap.errorCode, trap.message);
  if (response === undefined) return error("IC0506", "Canister did not reply to the call");
  if ("reply" in response) {
    const { reply } = response;
    if (reply.length <= limit) return { reply };
    const sizes = `the reply has ${reply.length} bytes, more than the limit of ${limit}`;
    return error("IC0504", `Canister violated contract: ${sizes}`);
  }
  return { reject: { code: REJECT_CODE.canisterReject, errorCode: "IC0406", message: response.reject } };
}
