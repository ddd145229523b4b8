/// The newest release's tree, laid out so that one path or one range of a file is found without reading the rest: decoding
/// the manifest takes some thousand million instructions and 200 MB of heap for 100,000 entries, and `get` is asked for
/// 512 bytes at a time (docs/PROTOCOL.md, "The original's methods").
///
/// In a region of its own, one after the other: a node of fixed size for each of the manifest's entries, in their order;
/// the files' extents; the chunks' hashes; the paths. It is made again after each release and each upgrade, so that its
/// layout may change from one version of the canister to the next.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Nat "mo:core/Nat";
import Nat16 "mo:core/Nat16";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Nat8 "mo:core/Nat8";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";
import VarArray "mo:core/VarArray";

import Manifest "manifest";
import Paths "paths";
import Store "store";

module {
  /// The number that stands for the root, which is no entry.
  public let root : Nat = 4_294_967_295;

  public type Index = {
    region : Region.Region;
    var entries : Nat;
    /// Where each part begins; the nodes are in front.
    var extentsAt : Nat64;
    var chunksAt : Nat64;
    var pathsAt : Nat64;
  };

  public type Kind = {
    /// What is in the directory, and in what is below it, has the numbers from `from` to before `to`.
    #directory : { from : Nat; to : Nat };
    /// Leads to `target`, through so many links, itself included.
    #symlink : { target : Nat; hops : Nat };
    #file : { size : Nat; extents : Nat; first : Nat };
  };

  /// Bytes from `offset` on of a chunk, the first of which is the file's byte `start`.
  public type Extent = { start : Nat; chunk : Blob; offset : Nat };

  // A node: where its path begins (4), the path's length (2), kind (1), hops (1), the number of the directory it is in (4), and
  // what depends on its kind: from and to (4 each); target (4); or size (8), number of extents (4), first extent (4), SHA-256 (32).
  let nodeBytes : Nat64 = 60;
  /// First byte (8), number of the chunk (4), offset in it (4).
  let extentBytes : Nat64 = 16;
  let hashBytes : Nat64 = 32;
  let isDirectory : Nat8 = 0;
  let isSymlink : Nat8 = 1;
  let isFile : Nat8 = 2;

  public func empty() : Index = { region = Region.new(); var entries = 0; var extentsAt = 0; var chunksAt = 0; var pathsAt = 0 };

  func wide(number : Nat) : Nat64 = Nat64.fromNat(number);

  // --- making it ---

  /// Makes the index that of a tree that `Manifest.check` has passed.
  public func build(index : Index, { entries; chunks } : Manifest.Manifest) {
    var extents = 0;
    for ({ kind } in entries.vals()) {
      switch kind {
        case (#file file) extents += file.extents.size();
        case _ {};
      };
    };
    let { region } = index;
    index.entries := entries.size();
    index.extentsAt := wide(entries.size()) * nodeBytes;
    index.chunksAt := index.extentsAt + wide(extents) * extentBytes;
    index.pathsAt := index.chunksAt + wide(chunks.size()) * hashBytes;
    Store.reserve(region, index.pathsAt);

    let parents = parentsOf(entries);
    let (from, to) = rangesOf(parents);
    let budget = Paths.budget();
    var path : Nat64 = 0;
    var extent = 0;
    var named = 0;
    var number = 0;
    for (entry in entries.vals()) {
      let at = nodeAt(number);
      let bytes = Text.encodeUtf8(entry.path);
      Store.write(region, index.pathsAt + path, bytes);
      Region.storeNat32(region, at, Nat32.fromNat(Nat64.toNat(path)));
      Region.storeNat16(region, at + 4, Nat16.fromNat(bytes.size()));
      Region.storeNat32(region, at + 8, Nat32.fromNat(parents[number]));
      path += wide(bytes.size());
      switch (entry.kind) {
        case (#directory) {
          Region.storeNat8(region, at + 6, isDirectory);
          Region.storeNat32(region, at + 12, Nat32.fromNat(from[number]));
          Region.storeNat32(region, at + 16, Nat32.fromNat(to[number]));
        };
        case (#symlink target) {
          let #at(end, hops) = Paths.follow(entry.path, target, func(at) = Manifest.find(entries, at), budget) else Runtime.unreachable();
          Region.storeNat8(region, at + 6, isSymlink);
          Region.storeNat8(region, at + 7, Nat8.fromNat(hops));
          Region.storeNat32(region, at + 12, Nat32.fromNat(positionOf(entries, end)));
        };
        case (#file file) {
          Region.storeNat8(region, at + 6, isFile);
          Region.storeNat64(region, at + 12, file.size);
          Region.storeNat32(region, at + 20, Nat32.fromNat(file.extents.size()));
          Region.storeNat32(region, at + 24, Nat32.fromNat(extent));
          Region.storeBlob(region, at + 28, file.sha256);
          var start : Nat64 = 0;
          for ({ back; offset; length } in file.extents.vals()) {
            let chunk = if (back == 0) named else named - Nat32.toNat(back) : Nat;
            if (back == 0) named += 1;
            let at = index.extentsAt + wide(extent) * extentBytes;
            Region.storeNat64(region, at, start);
            Region.storeNat32(region, at + 8, Nat32.fromNat(chunk));
            Region.storeNat32(region, at + 12, offset);
            start += Nat64.fromNat32(length);
            extent += 1;
          };
        };
      };
      number += 1;
    };
    for (i in chunks.keys()) Region.storeBlob(region, index.chunksAt + wide(i) * hashBytes, chunks[i].sha256);
  };

  /// The number of what is at `path`, which is there.
  func positionOf(entries : [Manifest.Entry], path : Text) : Nat {
    if (path == "") return root;
    let ?position = Manifest.position(entries, path) else Runtime.unreachable();
    position;
  };

  /// The numbers of the directories that the entries are in.
  func parentsOf(entries : [Manifest.Entry]) : [Nat] {
    var path = "";
    var position = root;
    Array.mapEntries<Manifest.Entry, Nat>(
      entries,
      func(entry, i) {
        if (not Paths.isIn(entry.path, path)) {
          path := Paths.parent(entry.path);
          // Mostly the entry before, in trees of many directories.
          position := if (i > 0 and entries[i - 1].path == path) i - 1 else positionOf(entries, path);
        };
        position;
      },
    );
  };

  /// For each directory, the numbers of the first entry below it and of the one behind the last. What is below a directory
  /// is in one piece: all that begins with its path and a slash.
  func rangesOf(parents : [Nat]) : ([var Nat], [var Nat]) {
    let from = VarArray.repeat<Nat>(0, parents.size());
    let to = VarArray.repeat<Nat>(0, parents.size());
    var number = parents.size();
    // From the end, since a directory stands before what is in it.
    while (number > 0) {
      number -= 1;
      let parent = parents[number];
      if (parent != root) {
        from[parent] := number;
        to[parent] := Nat.max(to[parent], Nat.max(number + 1, to[number]));
      };
    };
    (from, to);
  };

  // --- reading it ---

  func nodeAt(number : Nat) : Nat64 = wide(number) * nodeBytes;

  func load({ region } : Index, at : Nat64) : Nat = Nat32.toNat(Region.loadNat32(region, at));

  public func kind(index : Index, number : Nat) : Kind {
    let at = nodeAt(number);
    let what = Region.loadNat8(index.region, at + 6);
    if (what == isDirectory) return #directory({ from = load(index, at + 12); to = load(index, at + 16) });
    if (what == isSymlink) return #symlink({ target = load(index, at + 12); hops = Nat8.toNat(Region.loadNat8(index.region, at + 7)) });
    #file({
      size = Nat64.toNat(Region.loadNat64(index.region, at + 12));
      extents = load(index, at + 20);
      first = load(index, at + 24);
    });
  };

  /// A file's SHA-256, as its publisher says.
  public func sha256({ region } : Index, number : Nat) : Blob = Region.loadBlob(region, nodeAt(number) + 28, 32);

  /// The number of the directory that an entry is in.
  public func parent(index : Index, number : Nat) : Nat = load(index, nodeAt(number) + 8);

  /// How many bytes an entry's path has.
  public func pathBytes({ region } : Index, number : Nat) : Nat = Nat16.toNat(Region.loadNat16(region, nodeAt(number) + 4));

  /// An entry's path from a byte on.
  public func path(index : Index, number : Nat, from : Nat) : Blob {
    let at = index.pathsAt + wide(load(index, nodeAt(number)) + from);
    Region.loadBlob(index.region, at, pathBytes(index, number) - from);
  };

  /// The number of the entry at a path, or null.
  public func find(index : Index, wanted : Blob) : ?Nat {
    var low = 0;
    var high = index.entries;
    while (low < high) {
      let middle = (low + high) / 2;
      switch (Blob.compare(path(index, middle, 0), wanted)) {
        case (#less) low := middle + 1;
        case (#greater) high := middle;
        case (#equal) return ?middle;
      };
    };
    null;
  };

  public func extent(index : Index, number : Nat) : Extent {
    let at = index.extentsAt + wide(number) * extentBytes;
    let chunk = index.chunksAt + wide(load(index, at + 8)) * hashBytes;
    { start = startOf(index, number); chunk = Region.loadBlob(index.region, chunk, 32); offset = load(index, at + 12) };
  };

  /// Where in its file an extent begins.
  public func startOf(index : Index, number : Nat) : Nat {
    Nat64.toNat(Region.loadNat64(index.region, index.extentsAt + wide(number) * extentBytes));
  };
};
