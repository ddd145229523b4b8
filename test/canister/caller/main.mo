/// Calls any method of any canister with any Candid, for whoever asks: what comes to a canister from another one is not shown to
/// its inspect_message.
import InternetComputer "mo:core/InternetComputer";

persistent actor {
  public func call(canister : Principal, method : Text, arguments : Blob) : async Blob {
    await InternetComputer.call(canister, method, arguments);
  };
};
