/// Which entries of a tree are not as they were in the tree of a release before, so that making its pages looks at those alone. Both
/// trees are in an index (index.mo), and what they share is passed over many entries at a time.
///
/// An entry is marked when the tree before has none of its path, or another one, and so is every directory around an entry that is
/// marked, or that only the tree before has.
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
    /// How far has been looked for entries that depend on more than themselves.
    var lookedAt : Nat;
    isDependent : Nat -> Bool;
    /// A bit for each entry.
    marks : [var Nat32];
    /// The names that the tree before has in a directory, and this one has not.
    gone : Map.Map<Nat, List.List<Blob>>;
    /// The directory that a name was last found to be gone from: its number in the tree before, and here.
    var goneFrom : (Nat, ?Nat);
  };

  let mostStride : Nat = 1_024;
  /// So many bytes of each tree are compared at once. An entry with more, of which there are few, counts as another one.
  let mostBytes : Nat = 262_144;

  // What things cost, in instructions, about (bench/instructions.ts).
  let compareCost : Nat = 20_000;
  let passCost : Nat = 4_000;
  let byteCost : Nat = 4;
  let lookCost : Nat = 500;
  let findCost : Nat = 40_000;

  /// @param isDependent whether an entry is marked, even when it is as before: what it comes to depends on more than itself
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

  /// Goes on comparing, and returns what it cost, in instructions, about.
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
    // Where its directory is gone as well, or is none any more, that is what is gone.
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

  /// Whether the tree before has a directory at a path, to which `next` and `gone` refer.
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
    // What is around an entry that is marked, is marked.
    while (at != Index.root and not isMarked(difference, at)) {
      marks[at / 32] |= bit at;
      at := Index.parent(index, at);
    };
  };

  public func isMarked({ marks } : Difference, number : Nat) : Bool = marks[number / 32] & bit number != 0;

  /// The first entry that is marked from `from` on; `to` when there is none before that.
  public func next({ marks } : Difference, from : Nat, to : Nat) : Nat {
    var at = from;
    while (at < to) {
      let rest = marks[at / 32] >> Nat32.fromNat(at % 32);
      if (rest != 0) return Nat.min(at + Nat32.toNat(Nat32.bitcountTrailingZero(rest)), to);
      at := (at / 32 + 1) * 32;
    };
    to;
  };

  /// Whether fewer than so many names are gone from a directory, and of the entries below it, which have the numbers from `from` on and
  /// before `to`, fewer than so many are marked.
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

  /// The names that the tree before has in a directory, and this one has not.
  public func gone({ gone } : Difference, directory : Nat) : List.List<Blob> {
    switch (Map.get(gone, Nat.compare, directory)) {
      case (?names) names;
      case null List.empty();
    };
  };
};
