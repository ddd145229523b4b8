/** What a method of the management canister is, what it is called with, and what it needs of the network. */
import type { IDL } from "@icp-sdk/core/candid";
import type { Canister } from "./canister.ts";
import type { CanisterRuntime } from "./runtime.ts";

/** What the management canister needs of the network. */
export interface ManagementHost {
  startRuntime(): CanisterRuntime;
  /** @throws RejectError when there is no such canister */
  canister(id: Uint8Array): Canister;
  /** @throws RejectError when the wanted id is taken or no canister's id */
  createCanister(controllers: Uint8Array[], cycles: bigint, id: Uint8Array | undefined): Canister;
  removeCanister(canister: Canister): void;
  stateChanged(): void;
}

export interface ManagementCall {
  method: string;
  argument: Uint8Array;
  caller: Uint8Array;
  /** Whether it comes from a canister, and not from a user. */
  fromCanister: boolean;
  cycles: bigint;
}

export interface Method {
  argument: IDL.Type | undefined;
  result: IDL.Type | undefined;
  /** Who may call it: the controllers of the canister it is about, these and that canister, only canisters, or anyone. */
  callers: "controllers" | "controllers and itself" | "canisters" | "anyone";
  /** Whether the canister it is about pays for a user's call. */
  paid?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: what Candid has decoded has the type that `argument` describes.
  run(argument: any, call: ManagementCall): Promise<unknown> | unknown;
}
