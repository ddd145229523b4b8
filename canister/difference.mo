/// Which entries of a tree differ from an earlier release's tree, so that only their pages have to be made. Both
/// trees are in an index (index.mo), and equal parts are skipped many entries at a time.
///
/// An entry is marked if the earlier tree has no such path, or another entry there. So is every directory around a marked entry,
/// or around an entry that only the earlier tree has.
import Blob "mo:core/Blob";
import List "mo:core/List";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import VarArray "mo:core/VarArray";

import Index "index";

module {
  type Index = Index.Index;

  public type Difference = {
    index : Index;
    before : Index;
    /// How far the trees have been compared, and how many entries are compared next.
    var at : Nat;
    var beforeAt : Nat;
    var stride : Nat;
    /// How far the search for entries that depend on others has come.
    var lookedAt : Nat;
    isDependent : Nat -> Bool;
    /// A bit for each entry.
    marks : [var Nat32];
    /// The names that a directory has in the earlier tree, but not in this one.
    gone : Map.Map<Nat, List.List<Blob>>;
    /// The directory of the last name that was found missing: its number in the earlier tree, and here.
    var goneFrom : (Nat, ?Nat);
  };

  let mostStride : Nat = 1_024;
  /// Bytes of each tree that are compared at once. An entry with more bytes, of which there are few, counts as different.
  let mostBytes : Nat = 262_144;

  // Approximate costs, in instructions (bench/instructions.ts).
  let compareCost : Nat = 20_000;
  let passCost : Nat = 4_000;
  let byteCost : Nat = 4;
  let lookCost : Nat = 500;
  let findCost : Nat = 40_000;

  /// Begins to compare a tree with an earlier one, `before`.
  ///
  /// @param isDependent whether to mark an entry even if it is unchanged, since its pages depend on more than the entry itself
  public func begin(index : Index, before : Index, isDependent : Nat -> Bool) : Difference {
    // A rollback to the same tree.
    let isSame = index.tree == before.tree;
    {
      index;
      before;
      var at = if isSame index.entries else 0;
      var beforeAt = if isSame before.entries else 0;
      var stride = 64;
      var lookedAt = 0;
      isDependent;
      marks = VarArray.repeat<Nat32>(0, index.entries / 32 + 1);
      gone = Map.empty();
      var goneFrom = (Index.root, ?Index.root);
    };
  };

  public func isDone(difference : Difference) : Bool = isCompared difference and difference.lookedAt == difference.index.entries;

  func isCompared(difference : Difference) : Bool = difference.at == difference.index.entries and difference.beforeAt == difference.before.entries;

  /// Continues comparing, and returns the approximate cost in instructions.
  public func step(difference : Difference) : Nat {
    if (isCompared difference) return look(difference);
    let { index; before } = difference;
    let at = difference.at;
    let beforeAt = difference.beforeAt;
    if (at == index.entries) return passGone(difference);
    if (beforeAt == before.entries) return passNew(difference);
    var count = Nat.min(difference.stride, Nat.min(index.entries - at, before.entries - beforeAt));
    var bytes = Index.bytes(index, at, count);
    while (bytes > mostBytes and count > 1) {
      count /= 2;
      bytes := Index.bytes(index, at, count);
    };
    let cost = compareCost + 2 * bytes * byteCost;
    if (bytes <= mostBytes and Index.isSame(index, at, before, beforeAt, count)) {
      difference.at += count;
      difference.beforeAt += count;
      difference.stride := Nat.min(count * 2, mostStride);
      return cost;
    };
    if (count > 1) {
      difference.stride := count / 2;
      return cost;
    };
    cost + (
      switch (Blob.compare(Index.path(index, at, 0), Index.path(before, beforeAt, 0))) {
        case (#less) passNew(difference);
        case (#greater) passGone(difference);
        case (#equal) {
          difference.beforeAt += 1;
          passNew(difference);
        };
      }
    );
  };

  func look(difference : Difference) : Nat {
    let { index; isDependent } = difference;
    let end = Nat.min(difference.lookedAt + 1_000, index.entries);
    for (number in Nat.range(difference.lookedAt, end)) if (isDependent number) mark(difference, number);
    difference.lookedAt := end;
    1_000 * lookCost;
  };

  func passNew(difference : Difference) : Nat {
    mark(difference, difference.at);
    difference.at += 1;
    passCost;
  };

  func passGone(difference : Difference) : Nat {
    let { index; before; gone } = difference;
    let beforeAt = difference.beforeAt;
    difference.beforeAt += 1;
    let parent = Index.parent(before, beforeAt);
    var cost = passCost;
    if (parent != difference.goneFrom.0) {
      difference.goneFrom := (parent, directoryAt(index, if (parent == Index.root) "" else Index.path(before, parent, 0)));
      cost += findCost;
    };
    // If its directory is gone as well, or is no longer a directory, that has been noted already, and is enough.
    let ?directory = difference.goneFrom.1 else return cost;
    let cut = if (parent == Index.root) 0 else Index.pathBytes(before, parent) + 1;
    let name = Index.path(before, beforeAt, cut);
    switch (Map.get(gone, Nat.compare, directory)) {
      case (?names) List.add(names, name);
      case null Map.add(gone, Nat.compare, directory, List.singleton(name));
    };
    mark(difference, directory);
    cost;
  };

  /// Whether the earlier tree has a directory, rather than a link, at a path. Only then do `next` and `gone` give the differences from
  /// what was served there.
  public func wasDirectory({ before } : Difference, path : Blob) : Bool = directoryAt(before, path) != null;

  func directoryAt(index : Index, path : Blob) : ?Nat {
    if (path == "") return ?Index.root;
    let ?number = Index.find(index, path) else return null;
    switch (Index.kind(index, number)) {
      case (#directory _) ?number;
      case _ null;
    };
  };

  func bit(number : Nat) : Nat32 = 1 << Nat32.fromNat(number % 32);

  func mark(difference : Difference, number : Nat) {
    let { index; marks } = difference;
    var at = number;
    // The directories around a marked entry are marked as well.
    while (at != Index.root and not isMarked(difference, at)) {
      marks[at / 32] |= bit at;
      at := Index.parent(index, at);
    };
  };

  public func isMarked({ marks } : Difference, number : Nat) : Bool = marks[number / 32] & bit number != 0;

  /// The first marked entry from `from` on; `to` when there is none before that.
  public func next({ marks } : Difference, from : Nat, to : Nat) : Nat {
    var at = from;
    while (at < to) {
      let rest = marks[at / 32] >> Nat32.fromNat(at % 32);
      if (rest != 0) return Nat.min(at + Nat32.toNat(Nat32.bitcountTrailingZero(rest)), to);
      at := (at / 32 + 1) * 32;
    };
    to;
  };

  /// Whether fewer than so many names are missing from a directory, and fewer than so many entries below it, those with numbers from
  /// `from` and before `to`, are marked.
  public func isFew(difference : Difference, directory : Nat, from : Nat, to : Nat, count : Nat) : Bool {
    if (List.size(gone(difference, directory)) >= count) return false;
    var at = from;
    var marked = 0;
    while (marked < count) {
      at := next(difference, at, to);
      if (at == to) return true;
      at += 1;
      marked += 1;
    };
    false;
  };

  /// The names that a directory has in the earlier tree, but not in this one.
  public func gone({ gone } : Difference, directory : Nat) : List.List<Blob> {
    switch (Map.get(gone, Nat.compare, directory)) {
      case (?names) names;
      case null List.empty();
    };
  };
};
