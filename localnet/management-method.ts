/** The form of the management canister's methods, their arguments, and what they need from the network. */
import type { IDL } from "@icp-sdk/core/candid";
import type { Canister } from "./canister.ts";
import type { CanisterRuntime } from "./runtime.ts";

/** What the management canister needs from the network. */
export interface ManagementHost {
  startRuntime(): CanisterRuntime;
  /** @throws RejectError when there is no such canister */
  canister(id: Uint8Array): Canister;
  /** @throws RejectError when the requested id is taken or not a canister's id */
  createCanister(controllers: Uint8Array[], cycles: bigint, id: Uint8Array | undefined): Canister;
  removeCanister(canister: Canister): void;
  stateChanged(): void;
}

export interface ManagementCall {
  method: string;
  argument: Uint8Array;
  caller: Uint8Array;
  /** Whether the call comes from a canister, not from a user. */
  fromCanister: boolean;
  cycles: bigint;
}

export interface Method {
  argument: IDL.Type | undefined;
  result: IDL.Type | undefined;
  /** Who can call it: the controllers of the canister in question, these and that canister itself, only canisters, or anyone. */
  callers: "controllers" | "controllers and itself" | "canisters" | "anyone";
  /** Whether the canister in question pays for a user's call. */
  paid?: boolean;
  /** Whether the method keeps the cycles that come with a call; otherwise they go back. */
  keepsCycles?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: what Candid has decoded has the type that `argument` describes.
  run(argument: any, call: ManagementCall): Promise<unknown> | unknown;
}
