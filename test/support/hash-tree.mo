/// IC hash trees (IC interface specification, "Certificate") that grow label by label, and their CBOR.
///
/// The labels of one level form a search tree whose inner nodes have labels too, as in the standard asset canister. It is
/// balanced by the labels' hashes (a treap), so that a new label changes only a few hashes.
import Blob "mo:core/Blob";
import Nat8 "mo:core/Nat8";

import Sha256 "sha256";

module {
  /// The tree under a label. A level without labels is an empty tree.
  public type Tree = { #leaf : Blob; #labels : Labels };

  public type Labels = ?Node;

  type Node = {
    name : Blob;
    child : Tree;
    /// The hash of the label and the tree under it, ...
    own : Blob;
    left : Labels;
    right : Labels;
    /// ... and the hash of both together with the subtrees to the left and right.
    whole : Blob;
  };

  /// The tree under `name`, if there is one.
  public func get(labels : Labels, name : Blob) : ?Tree {
    let ?node = labels else return null;
    switch (Blob.compare(name, node.name)) {
      case (#less) get(node.left, name);
      case (#greater) get(node.right, name);
      case (#equal) ?node.child;
    };
  };

  /// The labels with `child` under `name`.
  public func put(labels : Labels, name : Blob, child : Tree) : Labels = ?putNode(labels, name, child);

  func putNode(labels : Labels, name : Blob, child : Tree) : Node {
    let ?node = labels else return join(name, child, labelled(name, child), null, null);
    switch (Blob.compare(name, node.name)) {
      case (#less) {
        let left = putNode(node.left, name, child);
        if (precedes(left, node)) {
          join(left.name, left.child, left.own, left.left, ?join(node.name, node.child, node.own, left.right, node.right));
        } else join(node.name, node.child, node.own, ?left, node.right);
      };
      case (#greater) {
        let right = putNode(node.right, name, child);
        if (precedes(right, node)) {
          join(right.name, right.child, right.own, ?join(node.name, node.child, node.own, node.left, right.left), right.right);
        } else join(node.name, node.child, node.own, node.left, ?right);
      };
      case (#equal) join(name, child, labelled(name, child), node.left, node.right);
    };
  };

  /// Whether `a` belongs above `b`.
  func precedes(a : Node, b : Node) : Bool = Blob.hash(a.name) > Blob.hash(b.name);

  func join(name : Blob, child : Tree, own : Blob, left : Labels, right : Labels) : Node {
    let withRight = switch right {
      case null own;
      case (?{ whole }) fork(own, whole);
    };
    let whole = switch left {
      case null withRight;
      case (?{ whole }) fork(whole, withRight);
    };
    { name; child; own; left; right; whole };
  };

  // The first byte of each domain separator is its length.
  func labelled(name : Blob, child : Tree) : Blob = Sha256.ofParts(["\13ic-hashtree-labeled", name, hash(child)]);

  func fork(left : Blob, right : Blob) : Blob = Sha256.ofParts(["\10ic-hashtree-fork", left, right]);

  public func hash(tree : Tree) : Blob {
    switch tree {
      case (#leaf bytes) Sha256.ofParts(["\10ic-hashtree-leaf", bytes]);
      case (#labels null) Sha256.ofParts(["\11ic-hashtree-empty"]);
      case (#labels(?{ whole })) whole;
    };
  };

  /// Writes the tree's CBOR to `out`, piece by piece.
  public func write(tree : Tree, out : Blob -> ()) {
    switch tree {
      case (#leaf bytes) {
        out("\82\03");
        writeBytes(bytes, out);
      };
      case (#labels null) out("\81\00");
      case (#labels(?node)) writeNode(node, out);
    };
  };

  func writeNode({ name; child; left; right } : Node, out : Blob -> ()) {
    switch left {
      case null {};
      case (?node) {
        out("\83\01");
        writeNode(node, out);
      };
    };
    if (right != null) out("\83\01");
    out("\83\02");
    writeBytes(name, out);
    write(child, out);
    switch right {
      case null {};
      case (?node) writeNode(node, out);
    };
  };

  /// A byte string, with its length in the shortest form.
  func writeBytes(bytes : Blob, out : Blob -> ()) {
    let size = bytes.size();
    let byte = func(shift : Nat) : Nat8 = Nat8.fromNat((size / shift) % 256);
    out(
      Blob.fromArray(
        if (size < 24) [0x40 + byte(1)] else if (size < 256) [0x58, byte(1)] else if (size < 65_536) [0x59, byte(256), byte(1)] else [
          0x5a,
          byte(16_777_216),
          byte(65_536),
          byte(256),
          byte(1),
        ]
      )
    );
    out(bytes);
  };
};
