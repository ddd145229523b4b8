/// Which releases' trees are held, and how the chunks of the others are freed. Headers are kept for ever.
import List "mo:core/List";
import Map "mo:core/Map";
import Nat64 "mo:core/Nat64";
import Queue "mo:core/Queue";
import Set "mo:core/Set";

import Chunks "chunks";

module {
  public type Held = {
    /// All chunks of the release, its manifest's included; some may be there twice.
    hashes : [Blob];
    publishedAt : Nat64;
  };

  /// A release whose chunks are being freed.
  type Dropping = { hashes : [Blob]; var next : Nat };

  public type Retention = {
    held : Map.Map<Nat64, Held>;
    /// Numbers of releases that an owner marked to keep.
    kept : Set.Set<Nat64>;
    dropping : Queue.Queue<Dropping>;
    /// How many releases' trees have been dropped.
    var dropped : Nat64;
    /// How many chunks have been freed, loose ones included.
    var freed : Nat64;
  };

  /// A release is held while any of these says so, or an owner keeps it: a stolen key or a looping job must not push the
  /// good ones out.
  public type Rules = {
    /// So many of the newest.
    newest : Nat32;
    /// All that are younger.
    nanoseconds : Nat64;
  };

  public let standard : Rules = { newest = 8; nanoseconds = 604_800_000_000_000 }; // 7 days

  public func empty() : Retention = {
    held = Map.empty();
    kept = Set.empty();
    dropping = Queue.empty();
    var dropped = 0;
    var freed = 0;
  };

  public func hold(retention : Retention, chunks : Chunks.Chunks, number : Nat64, held : Held) {
    Chunks.hold(chunks, held.hashes);
    Map.add(retention.held, Nat64.compare, number, held);
  };

  public func isHeld(retention : Retention, number : Nat64) : Bool = Map.containsKey(retention.held, Nat64.compare, number);

  /// Lets go of what the rules no longer hold; `newest` is the newest release's number.
  public func retire(retention : Retention, newest : Nat64, now : Nat64, rules : Rules) {
    let gone = List.empty<(Nat64, Held)>();
    for ((number, held) in Map.entries(retention.held)) {
      let recent = number + Nat64.fromNat32(rules.newest) > newest or held.publishedAt + rules.nanoseconds > now;
      if (not recent and not Set.contains(retention.kept, Nat64.compare, number)) List.add(gone, (number, held));
    };
    for ((number, { hashes }) in List.values(gone)) {
      Map.remove(retention.held, Nat64.compare, number);
      Queue.pushBack(retention.dropping, { hashes; var next = 0 });
      retention.dropped += 1;
    };
  };

  /// Frees at most `count` chunks of releases that were let go, and tells whether there are more.
  public func sweep(retention : Retention, chunks : Chunks.Chunks, count : Nat) : Bool {
    var left = count;
    label work while (left > 0) {
      let ?dropping = Queue.peekFront(retention.dropping) else break work;
      if (dropping.next == dropping.hashes.size()) {
        ignore Queue.popFront(retention.dropping);
      } else {
        if (Chunks.release(chunks, dropping.hashes[dropping.next])) retention.freed += 1;
        dropping.next += 1;
        left -= 1;
      };
    };
    not Queue.isEmpty(retention.dropping);
  };

  /// Frees loose chunks whose day is over.
  public func expire(retention : Retention, chunks : Chunks.Chunks, now : Nat64) {
    if (now > Chunks.looseNanoseconds) {
      retention.freed += Nat64.fromNat(Chunks.expire(chunks, now - Chunks.looseNanoseconds));
    };
  };
};
