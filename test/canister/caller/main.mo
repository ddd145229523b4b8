/// Calls any method of any canister with any Candid, for anybody. A canister's inspect_message does not see calls from other canisters.
import InternetComputer "mo:core/InternetComputer";

persistent actor {
  public func call(canister : Principal, method : Text, arguments : Blob) : async Blob {
    await InternetComputer.call(canister, method, arguments);
  };
};
