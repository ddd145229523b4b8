/** What a canister needs from its network, and what an installation passes to it. */
import type { InstalledModule } from "./canister-state.ts";
import type { StateChange } from "./canister-store.ts";
import type { RangesShown } from "./certification.ts";
import type { CanisterState, Outcome, OutgoingCall } from "./message.ts";
import type { Response } from "./response.ts";
import type { CanisterRuntime } from "./runtime.ts";

/** What a certificate says about a canister. */
export interface CertifiedCanister {
  readonly id: Uint8Array;
  readonly certifiedData: Uint8Array;
}

export interface CanisterHost {
  readonly subnet: Uint8Array;
  readonly rootKey: Uint8Array;
  /** Starts a worker for a canister. @throws RejectError when the network is closing */
  startRuntime(): CanisterRuntime;
  /** Nanoseconds since 1970. */
  now(): bigint;
  /** Delivers a call to its callee. The refund is the cycles that were not accepted. @param caller the caller's id */
  call(caller: Uint8Array, call: OutgoingCall): Promise<{ response: Response; refund: bigint }>;
  /** A certificate over the canister's certified data. */
  dataCertificate(canister: CertifiedCanister, ranges: RangesShown): Uint8Array;
  /** Something changed that a canister's certificates show. */
  stateChanged(): void;
  /** The canister's state can no longer be kept: the network must end. */
  storeFailed(error: unknown): void;
  log(line: string): void;
}

/** A module that was installed, with its new state. */
export interface Adoption {
  readonly runtime: CanisterRuntime;
  readonly module: InstalledModule;
  /** The module as it was sent. */
  readonly wasm: Uint8Array;
  readonly state: CanisterState;
  readonly change: StateChange;
  /** What its entry points have done, which is already in the state. */
  readonly outcomes: [balanceBefore: bigint, Outcome][];
}
