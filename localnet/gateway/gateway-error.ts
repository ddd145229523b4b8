/** The gateway's own errors, with the status codes and titles of the main network's gateways. */
import { REJECT_CODE, type Reject } from "../response.ts";

export class GatewayError extends Error {
  readonly status: number;
  readonly title: string;

  /** @param message why, in detail */
  constructor(status: number, title: string, message: string) {
    super(message);
    this.status = status;
    this.title = title;
  }

  /** For people, as plain text. */
  get page(): string {
    return `${this.title}\n\n${this.message}\n`;
  }
}

/** The answer of a canister cannot be passed on. */
export function unusableAnswer(reason: string): GatewayError {
  return new GatewayError(503, "Upstream Unavailable", reason);
}

/** The answer of a canister is not what it has certified. */
export function verificationFailed(reason: string): GatewayError {
  return new GatewayError(503, "Response Verification Error", `The response failed verification: ${reason}`);
}

/** A canister's call was refused. */
export function callRejected({ code, message }: Reject): GatewayError {
  switch (code) {
    case REJECT_CODE.destinationInvalid:
      return new GatewayError(404, "Canister Not Found", message);
    case REJECT_CODE.canisterReject:
      return new GatewayError(503, "Request Rejected", message);
    case REJECT_CODE.canisterError:
      return new GatewayError(503, "Canister Error", message);
    default:
      return unusableAnswer(message);
  }
}
