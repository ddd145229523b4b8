/**
 * A call that a canister is working on, from its first message to its last callback.
 */
import type { Callback } from "./message.ts";
import type { Response } from "./response.ts";

export interface CallContext {
  /** Calls to other canisters whose answers are still to come. */
  pending: number;
  responded: boolean;
  /** Cycles that came with the call and have not been accepted. */
  cycles: bigint;
  /** A timer or heartbeat, which has no caller. */
  isSystem: boolean;
  /** The canister was emptied meanwhile: callbacks must not run. */
  abandoned: boolean;
  /** What to run when the callback that is running traps. */
  cleanup: Callback | undefined;
  /** Answers the call, once. */
  respond(response: Response): void;
}

export function contextFor(
  cycles: bigint,
  answer: (response: Response, refund: bigint) => void,
): CallContext {
  const context: CallContext = {
    pending: 0,
    responded: false,
    cycles,
    isSystem: false,
    abandoned: false,
    cleanup: undefined,
    respond(response) {
      if (context.responded) return;
      context.responded = true;
      const refund = context.cycles;
      context.cycles = 0n;
      answer(response, refund);
    },
  };
  return context;
}
