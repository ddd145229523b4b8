import CertifiedData "mo:core/CertifiedData";
import Error "mo:core/Error";
import Nat64 "mo:core/Nat64";
import Principal "mo:core/Principal";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Timer "mo:core/Timer";

/// Exercises what a network must get right: state, traps, stable memory, certified data, timers, calls, inspection.
persistent actor class Counter() = self {
  var count : Nat = 0;
  var ticks : Nat = 0;
  let region = Region.new();
  transient var sinceUpgrade : Nat = 0;

  public query func get() : async Nat { count };
  public query func transientCount() : async Nat { sinceUpgrade };
  public query func tickCount() : async Nat { ticks };

  public func increment() : async Nat {
    count += 1;
    sinceUpgrade += 1;
    count;
  };

  /// Changes everything a message can change and then traps.
  public func spoil() : async () {
    count += 1000;
    ignore Region.grow(region, 1);
    Region.storeNat8(region, 0, 99);
    CertifiedData.set("\FF\FF");
    Runtime.trap("spoilt");
  };

  /// A query that changes everything it can reach.
  public query func touch() : async Nat {
    count += 1;
    ignore Region.grow(region, 1);
    if (Region.size(region) > 0) { Region.storeNat8(region, 0, 77) };
    count;
  };

  public func store(at : Nat64, bytes : Blob) : async () {
    let end = at + Nat64.fromNat(bytes.size());
    let pages = (end + 65535) / 65536;
    if (pages > Region.size(region)) { ignore Region.grow(region, pages - Region.size(region)) };
    Region.storeBlob(region, at, bytes);
  };

  public query func load(at : Nat64, length : Nat) : async Blob { Region.loadBlob(region, at, length) };
  public query func regionPages() : async Nat64 { Region.size(region) };

  public func certify(data : Blob) : async () { CertifiedData.set(data) };
  public query func certificate() : async ?Blob { CertifiedData.getCertificate() };

  public func spin() : async () { loop { count += 1 } };
  public query func spinQuery() : async () { loop { count += 1 } };
  public func recurse(n : Nat) : async Nat { func f(n : Nat) : Nat { if (n == 0) 0 else 1 + f(n - 1) }; f(n) };

  public func awaitThenTrap() : async () {
    count += 1;
    await ping();
    count += 100;
    Runtime.trap("after await");
  };

  public func ping() : async () { sinceUpgrade += 1 };

  /// Makes one call without awaiting its answer, and awaits another call.
  public func tellThenAwait() : async Nat {
    tell();
    await ping();
    count;
  };

  public func tell() : () { count += 1 };

  public func callOther(other : Principal) : async Nat {
    let peer : actor { increment : () -> async Nat } = actor (Principal.toText(other));
    await peer.increment();
  };

  public func catchReject(other : Principal) : async Text {
    let peer : actor { spoil : () -> async () } = actor (Principal.toText(other));
    try { await peer.spoil(); "no error" } catch (e) { Error.message(e) };
  };

  public func startTimer() : async () {
    ignore Timer.setTimer<system>(#milliseconds 20, func() : async () { ticks += 1 });
  };

  public func random() : async Blob {
    let management : actor { raw_rand : () -> async Blob } = actor ("aaaaa-aa");
    await management.raw_rand();
  };

  public shared ({ caller }) func whoami() : async Principal { caller };
  public func refused() : async () {};

  system func inspect({
    msg : {
      #awaitThenTrap : Any;
      #callOther : Any;
      #catchReject : Any;
      #certificate : Any;
      #certify : Any;
      #get : Any;
      #increment : Any;
      #load : Any;
      #ping : Any;
      #random : Any;
      #recurse : Any;
      #refused : Any;
      #regionPages : Any;
      #spin : Any;
      #spinQuery : Any;
      #spoil : Any;
      #startTimer : Any;
      #store : Any;
      #tell : Any;
      #tellThenAwait : Any;
      #tickCount : Any;
      #touch : Any;
      #transientCount : Any;
      #whoami : Any;
    };
  }) : Bool {
    switch (msg) { case (#refused _) false; case _ true };
  };
};
