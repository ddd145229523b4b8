/**
 * The answer to a call: a reply or a reject, with the IC's codes.
 */

/** Reject codes of the interface specification. */
export const REJECT_CODE = {
  sysFatal: 1,
  sysTransient: 2,
  destinationInvalid: 3,
  canisterReject: 4,
  canisterError: 5,
};

export interface Reject {
  code: number;
  message: string;
  /** The implementation's own code, such as IC0301. */
  errorCode: string;
}

export type Response = { reply: Uint8Array } | { reject: Reject };

/** Carries a {@link Reject} as an exception. */
export class RejectError extends Error {
  readonly reject: Reject;

  constructor(code: number, errorCode: string, message: string) {
    super(message);
    this.reject = { code, errorCode, message };
  }
}

/** The refusal of a call that is the caller's fault. @param errorCode the implementation's own, such as IC0301 */
export function canisterError(errorCode: string, message: string): RejectError {
  return new RejectError(REJECT_CODE.canisterError, errorCode, message);
}

/** The refusal of something that a canister cannot pay for. */
export function canisterOutOfCycles(message: string): RejectError {
  return new RejectError(REJECT_CODE.sysTransient, "IC0207", message);
}

/** Turns a call's exception into its answer. A bug in the network becomes a reject with a message about it. */
export function rejectOf(error: unknown): Reject {
  if (error instanceof RejectError) return error.reject;
  const message = `the local network failed: ${error instanceof Error ? error.message : String(error)}`;
  return { code: REJECT_CODE.sysFatal, errorCode: "IC0000", message };
}
