/**
 * The cycles ledger, which keeps cycles for people without a canister, and creates canisters with them (the repository
 * dfinity/cycles-ledger has its interface; this is the part that icfs needs).
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import { Principal } from "@icp-sdk/core/principal";
import { actorOf } from "./actor.ts";

export const CYCLES_LEDGER = Principal.fromText("um5iw-rqaaa-aaaaq-qaaba-cai");
/** Its fee for a transaction, in cycles. */
export const LEDGER_FEE = 100_000_000n;

export interface CyclesLedger {
  /**
   * Creates a canister that the caller controls. The ledger recognizes a repeated request by its time, for a day, and so executes it once
   * however often it is sent.
   */
  create_canister(request: {
    readonly from_subaccount: [];
    /** Nanoseconds since 1970. */
    readonly created_at_time: [bigint];
    /** Cycles, without LEDGER_FEE. */
    readonly amount: bigint;
    readonly creation_args: [];
  }): Promise<{ Ok: { block_id: bigint; canister_id: Principal } } | { Err: CreationError }>;
}

export type CreationError =
  | { readonly InsufficientFunds: { readonly balance: bigint } }
  | { readonly TooOld: null }
  | { readonly CreatedInFuture: { readonly ledger_time: bigint } }
  | { readonly TemporarilyUnavailable: null }
  /** Without a canister: it is still being created, or that failed. */
  | { readonly Duplicate: { readonly duplicate_of: bigint; readonly canister_id: [] | [Principal] } }
  | {
      readonly FailedToCreate: {
        readonly fee_block: [] | [bigint];
        readonly refund_block: [] | [bigint];
        readonly error: string;
      };
    }
  | { readonly GenericError: { readonly message: string; readonly error_code: bigint } };

/** @param agent signs for the account that pays */
export function cyclesLedger(agent: HttpAgent): CyclesLedger {
  return actorOf<CyclesLedger>(ledgerInterface, { agent, canisterId: CYCLES_LEDGER });
}

const ledgerInterface: IDL.InterfaceFactory = ({ IDL }) => {
  const block = IDL.Opt(IDL.Nat);
  const error = IDL.Variant({
    InsufficientFunds: IDL.Record({ balance: IDL.Nat }),
    TooOld: IDL.Null,
    CreatedInFuture: IDL.Record({ ledger_time: IDL.Nat64 }),
    TemporarilyUnavailable: IDL.Null,
    Duplicate: IDL.Record({ duplicate_of: IDL.Nat, canister_id: IDL.Opt(IDL.Principal) }),
    FailedToCreate: IDL.Record({ fee_block: block, refund_block: block, error: IDL.Text }),
    GenericError: IDL.Record({ message: IDL.Text, error_code: IDL.Nat }),
  });
  return IDL.Service({
    create_canister: IDL.Func(
      [
        IDL.Record({
          from_subaccount: IDL.Opt(IDL.Vec(IDL.Nat8)),
          created_at_time: IDL.Opt(IDL.Nat64),
          amount: IDL.Nat,
          // The defaults: the caller is the controller, and the ledger chooses the subnet.
          creation_args: IDL.Opt(IDL.Record({})),
        }),
      ],
      [
        IDL.Variant({
          Ok: IDL.Record({ block_id: IDL.Nat, canister_id: IDL.Principal }),
          Err: error,
        }),
      ],
      [],
    ),
  });
};
