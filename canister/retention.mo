/// Decides which releases' trees are held, and frees the chunks of the others. Headers are kept for ever.
///
/// Each tree counts its chunks once, however many releases have it: a rollback, which makes a release of an existing
/// tree, costs next to nothing. Any backlog is worked off in slices.
import Blob "mo:core/Blob";
import Iter "mo:core/Iter";
import List "mo:core/List";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Queue "mo:core/Queue";
import Set "mo:core/Set";

import Chunks "chunks";

module {
  /// Each is one number in a reply of `status`, and some 150 bytes of heap. One a minute for two months.
  public let maxHeld : Nat = 100_000;
  /// Marks are checked again with each release.
  public let maxKept : Nat = 1_000;
  /// Chunks of all trees that are held or being freed, each counted once for each tree that has it: 64 bytes of heap each.
  public let maxReferences : Nat = 4_000_000;

  public type Held = {
    /// All chunks of the release, including its manifest's; some may occur twice.
    hashes : [Blob];
    publishedAt : Nat64;
  };

  /// A tree whose chunks are being counted, or freed.
  type Dropping = { hashes : [Blob]; var next : Nat };

  public type Retention = {
    held : Map.Map<Nat64, Held>;
    /// Numbers of releases that an owner marked to keep.
    kept : Set.Set<Nat64>;
    dropping : Queue.Queue<Dropping>;
    /// How many releases' trees have been dropped.
    var dropped : Nat64;
    /// How many chunks have been freed, including loose ones.
    var freed : Nat64;
  };

  /// Which held releases have the same tree. A tree's name is the SHA-256 of its manifest.
  public type Trees = {
    of : Map.Map<Nat64, Blob>;
    /// By how many held releases each is held.
    releases : Map.Map<Blob, Nat>;
    /// How many chunks they have, including those that are being freed.
    var references : Nat;
    /// How many of those are still to be freed.
    var leaving : Nat;
    /// Held trees whose chunks are still to be counted. Until then, nothing is freed.
    counting : Queue.Queue<Dropping>;
  };

  /// A release is held while any of these rules applies, or an owner keeps it: a stolen key or a looping job must not push
  /// good releases out.
  public type Rules = {
    /// This many of the newest.
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

  public func noTrees() : Trees = { of = Map.empty(); releases = Map.empty(); var references = 0; var leaving = 0; counting = Queue.empty() };

  /// Why no release of this tree can be held in addition, or null.
  public func refusal(retention : Retention, trees : Trees, tree : Blob, chunks : Nat) : ?Text {
    let advice = ": have it hold fewer (configure, keep), or wait until what was let go is freed";
    if (Map.size(retention.held) >= maxHeld) return ?("the canister holds " # Nat.toText(maxHeld) # " releases already" # advice);
    if (Map.containsKey(trees.releases, Blob.compare, tree)) return null;
    if (trees.references + chunks > maxReferences) {
      return ?("the canister would hold releases of more than " # Nat.toText(maxReferences) # " chunks together" # advice);
    };
    null;
  };

  /// Holds a release, all of whose chunks are here. They are counted by `count`, before anything is freed.
  public func hold(retention : Retention, trees : Trees, number : Nat64, tree : Blob, held : Held) {
    if (share(trees, number, tree, held) == 1) Queue.pushBack(trees.counting, { hashes = held.hashes; var next = 0 });
    Map.add(retention.held, Nat64.compare, number, held);
  };

  /// Counts at most `count` chunks of newly held releases, and tells whether there are more.
  public func count({ counting } : Trees, chunks : Chunks.Chunks, count : Nat) : Bool {
    slice(counting, count, func hash = Chunks.hold(chunks, hash));
  };

  /// Does something with at most `count` hashes, and tells whether there are more.
  func slice(queue : Queue.Queue<Dropping>, count : Nat, work : Blob -> ()) : Bool {
    var left = count;
    label working while (left > 0) {
      let ?tree = Queue.peekFront(queue) else break working;
      if (tree.next == tree.hashes.size()) {
        ignore Queue.popFront(queue);
      } else {
        work(tree.hashes[tree.next]);
        tree.next += 1;
        left -= 1;
      };
    };
    not Queue.isEmpty(queue);
  };

  /// Records that a release has this tree, and tells how many have it now.
  func share(trees : Trees, number : Nat64, tree : Blob, { hashes } : Held) : Nat {
    let count = switch (Map.get(trees.releases, Blob.compare, tree)) {
      case (?count) count + 1;
      case null {
        trees.references += hashes.size();
        1;
      };
    };
    Map.add(trees.of, Nat64.compare, number, tree);
    Map.add(trees.releases, Blob.compare, tree, count);
    count;
  };

  /// For a canister from before trees were counted, in which each release counts its chunks: surplus counts are
  /// removed like those of dropped releases. `treeOf` returns the name of a release's tree.
  public func adopt(retention : Retention, trees : Trees, treeOf : Nat64 -> Blob) {
    for (dropping in Queue.values(retention.dropping)) leave(trees, dropping.hashes.size() - dropping.next : Nat);
    for ((number, held) in Map.entries(retention.held)) {
      if (share(trees, number, treeOf(number), held) > 1) {
        Queue.pushBack(retention.dropping, { hashes = held.hashes; var next = 0 });
        leave(trees, held.hashes.size());
      };
    };
  };

  func leave(trees : Trees, count : Nat) {
    trees.references += count;
    trees.leaving += count;
  };

  public func isHeld(retention : Retention, number : Nat64) : Bool = Map.containsKey(retention.held, Nat64.compare, number);

  /// Releases that are held, the newest first, `count` at most.
  public func newestHeld(retention : Retention, count : Nat) : [(Nat64, Held)] = Iter.toArray(Iter.take(Map.reverseEntries(retention.held), count));

  /// Whether the rules hold a release; `newest` is the newest one's number.
  public func isRecent(newest : Nat64, number : Nat64, publishedAt : Nat64, now : Nat64, rules : Rules) : Bool {
    newest - number < Nat64.fromNat32(rules.newest) or publishedAt > now or now - publishedAt < rules.nanoseconds;
  };

  /// Drops at most `count` releases that the rules no longer hold, and tells whether there may be more. `newest` is the
  /// newest release's number, `shown` that of the release whose files are served over HTTP, and `named` are those to which channels point;
  /// these are held as well. Higher numbers are younger: after the first recent release, all are recent.
  public func retire(retention : Retention, trees : Trees, newest : Nat64, shown : Nat64, named : Set.Set<Nat64>, now : Nat64, rules : Rules, count : Nat) : Bool {
    let gone = List.empty<(Nat64, Held)>();
    label looking for ((number, held) in Map.entries(retention.held)) {
      if (isRecent(newest, number, held.publishedAt, now, rules) or List.size(gone) == count) break looking;
      let isMarked = func(numbers : Set.Set<Nat64>) : Bool = Set.contains(numbers, Nat64.compare, number);
      if (number != shown and not isMarked(retention.kept) and not isMarked named) List.add(gone, (number, held));
    };
    for ((number, { hashes }) in List.values(gone)) {
      Map.remove(retention.held, Nat64.compare, number);
      retention.dropped += 1;
      if (unshare(trees, number) == 0) {
        Queue.pushBack(retention.dropping, { hashes; var next = 0 });
        trees.leaving += hashes.size();
      };
    };
    List.size(gone) == count;
  };

  /// Records that a release is no longer held, and tells how many others still have its tree.
  func unshare(trees : Trees, number : Nat64) : Nat {
    let ?tree = Map.take(trees.of, Nat64.compare, number) else return 0;
    let left : Nat = switch (Map.get(trees.releases, Blob.compare, tree)) {
      case (?count) count - 1;
      case null 0;
    };
    if (left == 0) Map.remove(trees.releases, Blob.compare, tree) else Map.add(trees.releases, Blob.compare, tree, left);
    left;
  };

  /// Removes at most `count` references of dropped trees, frees chunks without references, and tells whether there
  /// are more.
  public func sweep(retention : Retention, trees : Trees, chunks : Chunks.Chunks, count : Nat) : Bool {
    slice(
      retention.dropping,
      count,
      func hash {
        if (Chunks.release(chunks, hash)) retention.freed += 1;
        trees.references -= 1;
        trees.leaving -= 1;
      },
    );
  };

  /// Frees expired ones among `count` loose chunks, and tells whether there are more to look at.
  public func expire(retention : Retention, chunks : Chunks.Chunks, now : Nat64, cursor : Chunks.Cursor, count : Nat) : Bool {
    retention.freed += Nat64.fromNat(Chunks.expire(chunks, bound(now), cursor, count));
    cursor.after != null;
  };

  /// How many loose chunks have expired and are still here.
  public func overdue(chunks : Chunks.Chunks, now : Nat64) : Nat = Chunks.due(chunks, bound(now));

  /// Loose chunks from before this have expired.
  func bound(now : Nat64) : Nat64 = if (now > Chunks.looseNanoseconds) now - Chunks.looseNanoseconds else 0;
};
