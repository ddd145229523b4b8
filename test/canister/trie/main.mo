/// Keeps a tree of names, so that a test can compare it with the expected tree.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Nat "mo:core/Nat";

import HashTree "hashtree";
import Nodes "nodes";
import Trie "trie";

persistent actor {
  let nodes = Nodes.empty();
  var root = Nodes.none;
  Nodes.prepare(nodes);

  func become(next : Nodes.Node) {
    Nodes.drop(nodes, root);
    root := next;
  };

  /// Inserts names and removes others, one by one.
  public func change(inserted : [Blob], removed : [Blob]) : async () {
    for (name in inserted.vals()) become(Trie.insert(nodes, root, Nodes.newMark(nodes, name)));
    for (name in removed.vals()) become(Trie.remove(nodes, root, name));
  };

  public query func hash() : async Blob { if (root == Nodes.none) "" else Nodes.hash(nodes, root) };

  /// The hash of a tree of these names, which come in order.
  public query func grown(names : [Blob]) : async Blob {
    let tree = Trie.growing();
    for (name in names.vals()) Trie.grow(nodes, tree, Nodes.newMark(nodes, name));
    Nodes.hash(nodes, Trie.grown(nodes, tree));
  };

  public query func found(names : [Blob]) : async [Bool] { Array.map<Blob, Bool>(names, func name = Trie.find(nodes, root, name) != Nodes.none) };

  public query func witness(shown : [Blob], absent : [Blob]) : async Blob {
    let contents = Array.map<Blob, Trie.Shown>(shown, func name = { name; content = #leaf "" });
    HashTree.encode(Trie.witness(nodes, root, contents, absent, func _ = HashTree.emptyLeaf));
  };

  /// The bytes of all nodes that are referred to.
  public query func bytes() : async Nat { nodes.bytes };

  /// Makes `count` nodes without a name, and reads their names. One of the nodes is at the end of the region.
  public func nameless(count : Nat) : async Bool {
    for (_ in Nat.range(0, count)) {
      if (Nodes.name(nodes, Nodes.newOpaque(nodes, "", 0, HashTree.emptyLeaf)) != ("" : Blob)) return false;
    };
    true;
  };
};
