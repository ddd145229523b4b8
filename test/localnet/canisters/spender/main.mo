/// Spends cycles in the ways that a canister can. test/localnet/cycles.test.ts
import Cycles "mo:core/Cycles";

persistent actor {
  transient let ic = actor "aaaaa-aa" : actor {
    raw_rand : () -> async Blob;
    deposit_cycles : { canister_id : Principal } -> async ();
  };

  /// The cycles that were burnt.
  public func burn(amount : Nat) : async Nat { Cycles.burn<system>(amount) };

  /// The cycles that come back from a method that takes none.
  public func attach(amount : Nat) : async Nat {
    ignore await (with cycles = amount) ic.raw_rand();
    Cycles.refunded();
  };

  /// The cycles that come back from a method that takes them.
  public func deposit(amount : Nat, to : Principal) : async Nat {
    await (with cycles = amount) ic.deposit_cycles({ canister_id = to });
    Cycles.refunded();
  };
};
