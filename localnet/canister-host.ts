/** What a canister needs of its network, and what an installation hands to it. */
import type { InstalledModule } from "./canister-state.ts";
import type { StateChange } from "./canister-store.ts";
import type { RangesShown } from "./certification.ts";
import type { CanisterState, Outcome, OutgoingCall } from "./message.ts";
import type { Response } from "./response.ts";
import type { CanisterRuntime } from "./runtime.ts";

/** What a certificate says of a canister. */
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
  /** Carries a call to its callee. The refund are the cycles it did not take. @param caller the id of who calls */
  call(caller: Uint8Array, call: OutgoingCall): Promise<{ response: Response; refund: bigint }>;
  /** A certificate over the canister's certified data. */
  dataCertificate(canister: CertifiedCanister, ranges: RangesShown): Uint8Array;
  /** Something in a canister that its certificates show has changed. */
  stateChanged(): void;
  /** The canister's state cannot be kept any more: the network must end. */
  storeFailed(error: unknown): void;
  log(line: string): void;
}

/** A module that was installed, over the state that it has made. */
export interface Adoption {
  readonly runtime: CanisterRuntime;
  readonly module: InstalledModule;
  /** The module as it was given. */
  readonly wasm: Uint8Array;
  readonly state: CanisterState;
  readonly change: StateChange;
  /** What its entry points have done; the state has it already. */
  readonly outcomes: [balanceBefore: bigint, Outcome][];
}
