/// A twin of the IC's cycles ledger, as far as `icfs deploy --with-cycles` needs one: its methods `create_canister` and
/// `icrc1_balance_of`, with the same checks in the same order (dfinity/cycles-ledger, cycles-ledger/src/storage.rs). It is not a
/// full ledger: it counts blocks without storing them, has no subaccounts, never forgets a transaction, and mints cycles for
/// everybody. It creates canisters itself, from its own cycles, where the real one asks the cycles minting canister, which keeps
/// a fee.
/// Methods that begin with `twin_` are for tests.
import Error "mo:core/Error";
import Map "mo:core/Map";
import Nat64 "mo:core/Nat64";
import Principal "mo:core/Principal";
import Text "mo:core/Text";
import Time "mo:core/Time";

persistent actor CyclesLedger {
  type Account = { owner : Principal; subaccount : ?Blob };
  type Request = { from_subaccount : ?Blob; created_at_time : ?Nat64; amount : Nat; creation_args : ?{} };
  type Result = {
    #Ok : { block_id : Nat; canister_id : Principal };
    #Err : {
      #InsufficientFunds : { balance : Nat };
      #TooOld;
      #CreatedInFuture : { ledger_time : Nat64 };
      #TemporarilyUnavailable;
      #Duplicate : { duplicate_of : Nat; canister_id : ?Principal };
      #FailedToCreate : { fee_block : ?Nat; refund_block : ?Nat; error : Text };
      #GenericError : { message : Text; error_code : Nat };
    };
  };
  type Transaction = { block : Nat; var canister : ?Principal };

  transient let fee = 100_000_000;
  /// Nanoseconds.
  transient let drift : Nat64 = 60_000_000_000;
  transient let window : Nat64 = 86_400_000_000_000;
  transient let management : actor {
    create_canister : shared { settings : ?{ controllers : ?[Principal] } } -> async { canister_id : Principal };
  } = actor "aaaaa-aa";

  let balances = Map.empty<Principal, Nat>();
  let transactions = Map.empty<Text, Transaction>();
  var blocks = 0;
  var failure : ?Text = null;
  var hides = false;

  func balanceOf(owner : Principal) : Nat = switch (Map.get(balances, Principal.compare, owner)) {
    case (?balance) balance;
    case null 0;
  };

  func newBlock() : Nat {
    blocks += 1;
    blocks - 1;
  };

  public query func icrc1_balance_of({ owner } : Account) : async Nat { balanceOf(owner) };

  public shared ({ caller }) func create_canister({ created_at_time; amount } : Request) : async Result {
    // Without a time, every request is a new one.
    let key = debug_show (caller, amount, created_at_time, if (created_at_time == null) blocks else 0);
    switch (Map.get(transactions, Text.compare, key)) {
      case (?known) {
        return #Err(#Duplicate { duplicate_of = known.block; canister_id = if (hides) null else known.canister });
      };
      case null {};
    };
    let balance = balanceOf(caller);
    if (balance < amount + fee) return #Err(#InsufficientFunds { balance });
    let now = Nat64.fromIntWrap(Time.now());
    let time = switch (created_at_time) { case (?time) time; case null now };
    if (time + window + drift < now) return #Err(#TooOld);
    if (time > now + drift) return #Err(#CreatedInFuture { ledger_time = now });
    let transaction : Transaction = { block = newBlock(); var canister = null };
    Map.add(transactions, Text.compare, key, transaction);
    Map.add(balances, Principal.compare, caller, balance - amount - fee : Nat);
    try {
      switch (failure) {
        case (?text) throw Error.reject(text);
        case null {};
      };
      let settings = ?{ controllers = ?[caller] };
      let { canister_id } = await (with cycles = amount) management.create_canister({ settings });
      transaction.canister := ?canister_id;
      #Ok { block_id = transaction.block; canister_id };
    } catch (error) {
      Map.add(balances, Principal.compare, caller, balanceOf(caller) + amount - fee : Nat);
      #Err(#FailedToCreate {
        fee_block = ?transaction.block;
        refund_block = ?newBlock();
        error = Error.message(error);
      });
    };
  };

  /// Gives somebody cycles.
  public func twin_mint(owner : Principal, amount : Nat) : async () {
    Map.add(balances, Principal.compare, owner, balanceOf(owner) + amount);
  };

  /// Makes creation fail with this reason, if any; and hides which canister a duplicate request created, as while it is being
  /// created.
  public func twin_behave(fails : ?Text, hiding : Bool) : async () {
    failure := fails;
    hides := hiding;
  };

  /// The number of payments.
  public query func twin_payments() : async Nat { Map.size(transactions) };
};
