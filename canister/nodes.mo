/// The nodes of certified trees. A node is never changed once it is written, so trees share the nodes that they have in common. Each node
/// counts the references to it, and is freed with the last one.
///
/// Nodes are in a stable region. On the heap, each would take several times as many bytes, which are never returned, and each garbage
/// collection would visit all of them.
///
/// A node's number is the place where it begins, in units of 16 bytes. Number 0 means no node, since the region begins with the desk of
/// hashtree.mo.
import List "mo:core/List";
import Nat16 "mo:core/Nat16";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Nat8 "mo:core/Nat8";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import VarArray "mo:core/VarArray";

import Extents "extents";
import HashTree "hashtree";
import Store "store";

module {
  public type Node = Nat32;

  public let none : Node = 0;

  public type Nodes = {
    region : Region.Region;
    /// The first unit that was never used.
    var end : Nat32;
    /// For each size, the first free node. A free node begins with the number of the next one.
    free : [var Nat32];
    /// Bytes of all nodes, without the free ones.
    var bytes : Nat;
  };

  // A node begins with the number of references to it (4), its kind (1), a flag (1), its name's length (2), two numbers that depend on the
  // kind (4 each), and the hash of the tree that it stands for (32). Below: the meaning of the two numbers, then what follows the hash.
  //   fork:   its sides; in place of a name's length, the number of the bit in which the sides differ
  //   mark:   name
  //   opaque: what it is; its content's hash (32), name
  //   listing: its number; its answer's hash (32), name
  //   folder: its entries' node; name
  //   file:   its pieces' node, how many extents; SHA-256 (32), size (8), the location's length (4), name, location, extents
  public let fork : Nat8 = 0;
  public let mark : Nat8 = 1;
  public let opaque : Nat8 = 2;
  public let folder : Nat8 = 3;
  public let file : Nat8 = 4;
  public let listing : Nat8 = 5;
  let freed : Nat8 = 255;

  let headBytes : Nat = 48;
  let fileBytes : Nat = 44;
  /// Chunk (32), offset (4), length (4).
  let extentBytes : Nat = 40;

  /// Free nodes of up to so many units are kept by their exact size. Longer nodes are rounded up to a power of two.
  let exactSizes : Nat = 128;

  public func empty() : Nodes = {
    region = Region.new();
    var end = 256;
    free = VarArray.repeat<Nat32>(0, exactSizes + 33);
    var bytes = 0;
  };

  /// Prepares the region, after an installation or an upgrade. Existing nodes stay.
  public func prepare({ region } : Nodes) {
    Store.reserve(region, HashTree.deskBytes);
    HashTree.prepare(region);
  };

  /// Forgets all nodes, even if there are references to them.
  public func clear(nodes : Nodes) {
    nodes.end := 256;
    nodes.bytes := 0;
    for (i in nodes.free.keys()) nodes.free[i] := 0;
  };

  func at(node : Node) : Nat64 = Nat64.fromNat32(node) << 4;

  /// The list of free nodes for nodes of so many bytes, and how many units such a node takes.
  func sizeClass(bytes : Nat) : (Nat, Nat32) {
    let units = (bytes + 15) / 16;
    if (units <= exactSizes) return (units, Nat32.fromNat(units));
    var power = exactSizes;
    var sizes = exactSizes;
    while (power < units) {
      power *= 2;
      sizes += 1;
    };
    (sizes, Nat32.fromNat(power));
  };

  func allocate(nodes : Nodes, bytes : Nat) : Node {
    let (list, units) = sizeClass(bytes);
    nodes.bytes += Nat32.toNat(units) * 16;
    let first = nodes.free[list];
    if (first != none) {
      nodes.free[list] := Region.loadNat32(nodes.region, at(first));
      return first;
    };
    let node = nodes.end;
    nodes.end += units;
    Store.reserve(nodes.region, at(nodes.end));
    node;
  };

  func make(nodes : Nodes, bytes : Nat, kind : Nat8, flag : Nat8, length : Nat16, one : Nat32, other : Nat32, hash : Blob) : Node {
    let node = allocate(nodes, bytes);
    let { region } = nodes;
    let start = at(node);
    Region.storeNat32(region, start, 1);
    Region.storeNat8(region, start + 4, kind);
    Region.storeNat8(region, start + 5, flag);
    Region.storeNat16(region, start + 6, length);
    Region.storeNat32(region, start + 8, one);
    Region.storeNat32(region, start + 12, other);
    Region.storeBlob(region, start + 16, hash);
    node;
  };

  /// A fork of two trees, whose references it takes over.
  public func newFork(nodes : Nodes, bit : Nat16, left : Node, right : Node) : Node {
    make(nodes, headBytes, fork, 0, bit, left, right, HashTree.fork(nodes.region, hash(nodes, left), hash(nodes, right)));
  };

  /// A label with an empty leaf.
  public func newMark(nodes : Nodes, name : Blob) : Node {
    let node = make(nodes, headBytes + name.size(), mark, 0, Nat16.fromNat(name.size()), 0, 0, HashTree.labelled(nodes.region, name, HashTree.emptyLeaf));
    Region.storeBlob(nodes.region, at(node) + 48, name);
    node;
  };

  /// A label with a tree whose hash alone is kept. @param what the caller's number for that tree
  public func newOpaque(nodes : Nodes, name : Blob, what : Nat32, content : Blob) : Node = newHashed(nodes, opaque, name, what, content, content);

  /// A page of a directory's entries. @param answer the hash of its answer
  public func newListing(nodes : Nodes, name : Blob, number : Nat32, answer : Blob, content : Blob) : Node {
    newHashed(nodes, listing, name, number, answer, content);
  };

  func newHashed(nodes : Nodes, kind : Nat8, name : Blob, what : Nat32, kept : Blob, content : Blob) : Node {
    let node = make(nodes, headBytes + 32 + name.size(), kind, 0, Nat16.fromNat(name.size()), what, 0, HashTree.labelled(nodes.region, name, content));
    Region.storeBlob(nodes.region, at(node) + 48, kept);
    if (name.size() > 0) Region.storeBlob(nodes.region, at(node) + 80, name);
    node;
  };

  /// A label with a tree of entries, whose reference it takes over.
  public func newFolder(nodes : Nodes, name : Blob, entries : Node) : Node {
    let node = make(nodes, headBytes + name.size(), folder, 0, Nat16.fromNat(name.size()), entries, 0, HashTree.labelled(nodes.region, name, hash(nodes, entries)));
    Region.storeBlob(nodes.region, at(node) + 48, name);
    node;
  };

  public type File = {
    name : Blob;
    /// How it is served (responses.mo).
    flag : Nat8;
    sha256 : Blob;
    size : Nat;
    /// The target of a redirect, or empty.
    location : Blob;
    extents : [Extents.Extent];
    /// The tree of its pieces' answers, whose reference the file takes over; or none.
    pieces : Node;
  };

  /// A file. @param hash of its label with the tree of its answers
  public func newFile(nodes : Nodes, { name; flag; sha256; size; location; extents; pieces } : File, hash : Blob) : Node {
    let bytes = headBytes + fileBytes + name.size() + location.size() + extents.size() * extentBytes;
    let node = make(nodes, bytes, file, flag, Nat16.fromNat(name.size()), pieces, Nat32.fromNat(extents.size()), hash);
    let { region } = nodes;
    let start = at(node);
    Region.storeBlob(region, start + 48, sha256);
    Region.storeNat64(region, start + 80, Nat64.fromNat(size));
    Region.storeNat32(region, start + 88, Nat32.fromNat(location.size()));
    var to = start + 92;
    for (part in [name, location].vals()) {
      if (part.size() > 0) Region.storeBlob(region, to, part);
      to += Nat64.fromNat(part.size());
    };
    for ({ chunk; offset; length } in extents.vals()) {
      Region.storeBlob(region, to, chunk);
      Region.storeNat32(region, to + 32, Nat32.fromNat(offset));
      Region.storeNat32(region, to + 36, Nat32.fromNat(length));
      to += Nat64.fromNat(extentBytes);
    };
    node;
  };

  // --- reading ---

  public func kind({ region } : Nodes, node : Node) : Nat8 = Region.loadNat8(region, at(node) + 4);

  /// A fork's bit.
  public func bit({ region } : Nodes, node : Node) : Nat16 = Region.loadNat16(region, at(node) + 6);

  /// A fork's left side, where its bit is 0.
  public func left({ region } : Nodes, node : Node) : Node = Region.loadNat32(region, at(node) + 8);

  /// A fork's right side, where its bit is 1.
  public func right({ region } : Nodes, node : Node) : Node = Region.loadNat32(region, at(node) + 12);

  /// A folder's entries, a file's pieces, what an opaque node is, or a listing's number.
  public func inside({ region } : Nodes, node : Node) : Nat32 = Region.loadNat32(region, at(node) + 8);

  /// The hash of the tree that a node stands for.
  public func hash({ region } : Nodes, node : Node) : Blob = Region.loadBlob(region, at(node) + 16, 32);

  /// An opaque node's content's hash, or a listing's answer's.
  public func content({ region } : Nodes, node : Node) : Blob = Region.loadBlob(region, at(node) + 48, 32);

  /// Reads a text. Reading zero bytes at a region's end would trap, so that is avoided.
  func text(region : Region.Region, from : Nat64, bytes : Nat) : Blob = if (bytes == 0) "" else Region.loadBlob(region, from, bytes);

  /// The name of any node but a fork.
  public func name(nodes : Nodes, node : Node) : Blob {
    let { region } = nodes;
    let what = kind(nodes, node);
    let skipped : Nat64 = if (what == file) 92 else if (what == opaque or what == listing) 80 else 48;
    text(region, at(node) + skipped, nameBytes(nodes, node));
  };

  public func flag({ region } : Nodes, node : Node) : Nat8 = Region.loadNat8(region, at(node) + 5);

  public func fileSize({ region } : Nodes, node : Node) : Nat = Nat64.toNat(Region.loadNat64(region, at(node) + 80));

  public func fileHash({ region } : Nodes, node : Node) : Blob = Region.loadBlob(region, at(node) + 48, 32);

  func locationBytes({ region } : Nodes, node : Node) : Nat = Nat32.toNat(Region.loadNat32(region, at(node) + 88));

  func nameBytes({ region } : Nodes, node : Node) : Nat = Nat16.toNat(Region.loadNat16(region, at(node) + 6));

  public func location(nodes : Nodes, node : Node) : Blob {
    text(nodes.region, at(node) + 92 + Nat64.fromNat(nameBytes(nodes, node)), locationBytes(nodes, node));
  };

  public func extentCount({ region } : Nodes, node : Node) : Nat = Nat32.toNat(Region.loadNat32(region, at(node) + 12));

  func extentsAt(nodes : Nodes, node : Node) : Nat64 = at(node) + 92 + Nat64.fromNat(nameBytes(nodes, node) + locationBytes(nodes, node));

  public func extent(nodes : Nodes, node : Node, number : Nat) : Extents.Extent {
    let { region } = nodes;
    let start = extentsAt(nodes, node) + Nat64.fromNat(number * extentBytes);
    {
      chunk = Region.loadBlob(region, start, 32);
      offset = Nat32.toNat(Region.loadNat32(region, start + 32));
      length = Nat32.toNat(Region.loadNat32(region, start + 36));
    };
  };

  // --- references ---

  /// Adds a reference, and returns the node.
  public func retain({ region } : Nodes, node : Node) : Node {
    if (node != none) Region.storeNat32(region, at(node), Region.loadNat32(region, at(node)) + 1);
    node;
  };

  /// Removes a reference, and frees nodes without references.
  public func drop(nodes : Nodes, node : Node) {
    if (node == none) return;
    let { region } = nodes;
    let leaving = List.singleton<Node>(node);
    label freeing loop {
      let ?next = List.removeLast(leaving) else break freeing;
      if (kind(nodes, next) == freed) Runtime.trap("a node is freed twice");
      let count = Region.loadNat32(region, at(next));
      if (count > 1) {
        Region.storeNat32(region, at(next), count - 1);
      } else {
        let what = kind(nodes, next);
        if (what == fork) {
          List.add(leaving, left(nodes, next));
          List.add(leaving, right(nodes, next));
        } else if (what == folder or (what == file and inside(nodes, next) != none)) {
          List.add(leaving, inside(nodes, next));
        };
        let (list, units) = sizeClass(bytesOf(nodes, next, what));
        Region.storeNat32(region, at(next), nodes.free[list]);
        Region.storeNat8(region, at(next) + 4, freed);
        nodes.free[list] := next;
        nodes.bytes -= Nat32.toNat(units) * 16;
      };
    };
  };

  func bytesOf(nodes : Nodes, node : Node, what : Nat8) : Nat {
    if (what == fork) return headBytes;
    let named = headBytes + nameBytes(nodes, node);
    if (what == opaque or what == listing) return named + 32;
    if (what == file) return named + fileBytes + locationBytes(nodes, node) + extentCount(nodes, node) * extentBytes;
    named;
  };
};
