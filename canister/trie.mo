/// The entries of one directory in a certified tree, sorted by name: a crit-bit tree of nodes (nodes.mo). The names on the two
/// sides of a fork differ in the fork's bit, and agree in all bits before it. So the tree's shape depends on the names alone, not
/// on the order of insertion. A change makes new nodes on the path from the root, and shares all others with the previous tree.
///
/// A name's bits are, for each byte, a 1 that announces it and then its own bits, the highest first; and a 0 at the end. In this
/// form names sort like their bytes, and no name has more than 2,304 bits.
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat16 "mo:core/Nat16";
import Nat32 "mo:core/Nat32";
import Nat8 "mo:core/Nat8";
import Runtime "mo:core/Runtime";

import HashTree "hashtree";
import Nodes "nodes";

module {
  type Node = Nodes.Node;
  type Nodes = Nodes.Nodes;
  type Witness = HashTree.Witness;

  func bitOf(name : Blob, bit : Nat16) : Bool {
    let byte = Nat16.toNat(bit / 9);
    let inByte = bit % 9;
    if (byte >= name.size()) return false;
    inByte == 0 or (name[byte] >> Nat8.fromNat16(9 - 1 - inByte)) & 1 == 1;
  };

  /// The first bit in which two names differ; null when they are equal.
  func differingBit(one : Blob, other : Blob) : ?Nat16 {
    let shorter = if (one.size() < other.size()) one.size() else other.size();
    var i = 0;
    while (i < shorter) {
      let difference = one[i] ^ other[i];
      if (difference != 0) return ?(Nat16.fromNat(i * 9 + 1) + Nat8.toNat16(Nat8.bitcountLeadingZero(difference)));
      i += 1;
    };
    if (one.size() == other.size()) null else ?Nat16.fromNat(shorter * 9);
  };

  func isFork(nodes : Nodes, node : Node) : Bool = Nodes.kind(nodes, node) == Nodes.fork;

  /// The entry that a name's bits lead to, which may have another name. The tree must not be empty.
  func nearest(nodes : Nodes, root : Node, name : Blob) : Node {
    var node = root;
    while (isFork(nodes, node)) {
      node := if (bitOf(name, Nodes.bit(nodes, node))) Nodes.right(nodes, node) else Nodes.left(nodes, node);
    };
    node;
  };

  /// The entry with a name, or none.
  public func find(nodes : Nodes, root : Node, name : Blob) : Node {
    if (root == Nodes.none) return Nodes.none;
    let entry = nearest(nodes, root, name);
    if (Nodes.name(nodes, entry) == name) entry else Nodes.none;
  };

  /// A tree with an entry added, or replaced if the name exists. It takes over the entry's reference. The given tree stays as it
  /// is.
  /// @return the new tree, with a reference for the caller
  public func insert(nodes : Nodes, root : Node, entry : Node) : Node {
    if (root == Nodes.none) return entry;
    let name = Nodes.name(nodes, entry);
    let differing = differingBit(name, Nodes.name(nodes, nearest(nodes, root, name)));

    func put(node : Node) : Node {
      if (isFork(nodes, node)) {
        let bit = Nodes.bit(nodes, node);
        let goesOn = switch differing {
          case (?differs) bit < differs;
          case null true;
        };
        if (goesOn) {
          let left = Nodes.left(nodes, node);
          let right = Nodes.right(nodes, node);
          return if (bitOf(name, bit)) Nodes.newFork(nodes, bit, Nodes.retain(nodes, left), put(right)) else Nodes.newFork(nodes, bit, put(left), Nodes.retain(nodes, right));
        };
      };
      switch differing {
        case null entry;
        case (?bit) {
          let beside = Nodes.retain(nodes, node);
          if (bitOf(name, bit)) Nodes.newFork(nodes, bit, beside, entry) else Nodes.newFork(nodes, bit, entry, beside);
        };
      };
    };
    put(root);
  };

  /// A tree without the entry of this name, which must exist. The given tree stays as it is.
  public func remove(nodes : Nodes, root : Node, name : Blob) : Node {
    if (not isFork(nodes, root)) return Nodes.none;
    let bit = Nodes.bit(nodes, root);
    let left = Nodes.left(nodes, root);
    let right = Nodes.right(nodes, root);
    if (bitOf(name, bit)) {
      let rest = remove(nodes, right, name);
      if (rest == Nodes.none) Nodes.retain(nodes, left) else Nodes.newFork(nodes, bit, Nodes.retain(nodes, left), rest);
    } else {
      let rest = remove(nodes, left, name);
      if (rest == Nodes.none) Nodes.retain(nodes, right) else Nodes.newFork(nodes, bit, rest, Nodes.retain(nodes, right));
    };
  };

  /// A tree under construction, from entries in the order of their names.
  public type Growing = {
    var last : Node;
    var name : Blob;
    /// Left sides of forks, each with its fork's bit, whose right sides are still to come.
    waiting : List.List<(Node, Nat16)>;
  };

  public func growing() : Growing = { var last = Nodes.none; var name = ""; waiting = List.empty() };

  /// Adds an entry, and takes over its reference.
  public func grow(nodes : Nodes, tree : Growing, entry : Node) {
    let name = Nodes.name(nodes, entry);
    if (tree.last != Nodes.none) {
      let ?bit = differingBit(tree.name, name) else Runtime.trap("a name is there twice");
      List.add(tree.waiting, (join(nodes, tree, bit), bit));
    };
    tree.last := entry;
    tree.name := name;
  };

  /// Makes the forks from bit `below` on; their right sides end with the last entry.
  func join(nodes : Nodes, tree : Growing, below : Nat16) : Node {
    let { waiting } = tree;
    var joined = tree.last;
    label joining loop {
      switch (List.last(waiting)) {
        case (?(left, bit)) {
          if (bit < below) break joining;
          ignore List.removeLast(waiting);
          joined := Nodes.newFork(nodes, bit, left, joined);
        };
        case null break joining;
      };
    };
    joined;
  };

  /// The whole tree; none when there were no entries.
  public func grown(nodes : Nodes, tree : Growing) : Node = join(nodes, tree, 0);

  /// The trees still to be walked, the next one last.
  public type Walk = List.List<Node>;

  public func walk(root : Node) : Walk = if (root == Nodes.none) List.empty() else List.singleton(root);

  /// The next entry, or none at the end.
  public func next(nodes : Nodes, walk : Walk) : Node {
    loop {
      let ?node = List.removeLast(walk) else return Nodes.none;
      if (not isFork(nodes, node)) return node;
      List.add(walk, Nodes.right(nodes, node));
      List.add(walk, Nodes.left(nodes, node));
    };
  };

  // --- witnesses ---

  /// An entry shown in a witness, and what is shown of its content.
  public type Shown = { name : Blob; content : Witness };

  /// A witness of a tree that shows some entries, proves that other names are absent, and prunes everything else.
  ///
  /// @param shown existing entries
  /// @param absent names; if one exists after all, its entry is shown with its content pruned
  /// @param contentHash returns the hash of an entry's content
  public func witness(nodes : Nodes, root : Node, shown : [Shown], absent : [Blob], contentHash : Node -> Blob) : Witness {
    let entries = List.empty<Shown>();
    func add(node : Node) {
      if (node == Nodes.none) return;
      let name = Nodes.name(nodes, node);
      for (entry in List.values(entries)) if (entry.name == name) return;
      List.add(entries, { name; content = #pruned(contentHash node) });
    };
    for (entry in shown.vals()) List.add(entries, entry);
    for (name in absent.vals()) {
      let (before, behind) = around(nodes, root, name);
      add(before);
      add(behind);
    };
    func show(node : Node, some : List.List<Shown>) : Witness {
      if (List.isEmpty(some)) return #pruned(Nodes.hash(nodes, node));
      if (not isFork(nodes, node)) {
        let ?{ name; content } = List.first(some) else Runtime.unreachable();
        return #labelled(name, content);
      };
      let bit = Nodes.bit(nodes, node);
      #fork(
        show(Nodes.left(nodes, node), List.filter<Shown>(some, func entry = not bitOf(entry.name, bit))),
        show(Nodes.right(nodes, node), List.filter<Shown>(some, func entry = bitOf(entry.name, bit))),
      );
    };
    show(root, entries);
  };

  /// The entry with a name, and none; or the entries before and after the place where it would be.
  func around(nodes : Nodes, root : Node, name : Blob) : (Node, Node) {
    let close = nearest(nodes, root, name);
    let ?differing = differingBit(name, Nodes.name(nodes, close)) else return (close, Nodes.none);
    var node = root;
    var before = Nodes.none;
    var behind = Nodes.none;
    while (isFork(nodes, node) and Nodes.bit(nodes, node) < differing) {
      if (bitOf(name, Nodes.bit(nodes, node))) {
        before := Nodes.left(nodes, node);
        node := Nodes.right(nodes, node);
      } else {
        behind := Nodes.right(nodes, node);
        node := Nodes.left(nodes, node);
      };
    };
    if (bitOf(name, differing)) before := node else behind := node;
    (end(nodes, before, true), end(nodes, behind, false));
  };

  /// The last entry of a tree, or the first.
  func end(nodes : Nodes, root : Node, last : Bool) : Node {
    var node = root;
    while (node != Nodes.none and isFork(nodes, node)) node := if last Nodes.right(nodes, node) else Nodes.left(nodes, node);
    node;
  };
};
