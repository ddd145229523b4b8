/// An index of a release's tree, which finds one path or one range of a file without reading the rest. Decoding the manifest would take
/// about a thousand million instructions and 200 MB of heap for 100,000 entries, and `get` reads 512 bytes at a time
/// (docs/PROTOCOL.md, "The original's methods"). Its layout also allows comparing two trees many entries at a time
/// (difference.mo).
///
/// Its region has, one after the other: a node of fixed size for each of the manifest's entries, in their order, and one after
/// the last; the files' extents; a record for each entry. Records and extents do not contain their own position, so a run of
/// entries that two trees share has the same bytes in both. The index is rebuilt after each upgrade, so its layout can
/// change from one version of the canister to the next.
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
  /// The number of the root, which is not an entry.
  public let root : Nat = 4_294_967_295;

  public type Index = {
    region : Region.Region;
    /// The SHA-256 of the manifest of the indexed tree; empty before there is one.
    var tree : Blob;
    var entries : Nat;
    /// Where each part begins; the nodes come first.
    var extentsAt : Nat64;
    var recordsAt : Nat64;
  };

  /// What an upgrade keeps of an index. Only the region is used: the other fields are from earlier versions, and fields of a stable
  /// variable cannot be removed.
  public type Kept = { region : Region.Region; var entries : Nat; var extentsAt : Nat64; var chunksAt : Nat64; var pathsAt : Nat64 };

  public type Kind = {
    /// Everything below the directory has numbers from `from` to before `to`.
    #directory : { from : Nat; to : Nat };
    /// Leads to `target`, through so many links, including itself.
    #symlink : { target : Nat; hops : Nat };
    #file : { size : Nat; extents : Nat; first : Nat };
  };

  /// Bytes of a chunk, beginning at `offset`, the first of which is the file's byte `start`.
  public type Extent = { start : Nat; chunk : Blob; offset : Nat };

  // A node: where its record begins (4), its path's length (2), kind (1), hops (1), the number of the directory it is in (4), how
  // many extents the entries before it have (4), and what depends on its kind: from and to (4 each); target (4); or number of
  // extents (4).
  let nodeBytes : Nat64 = 24;
  // A record: the path, the kind (1), and of a file its size (8) and SHA-256 (32).
  let sizeAt : Nat64 = 1;
  let sha256At : Nat64 = 9;
  let fileBytes : Nat64 = 40;
  // An extent: which of the file's bytes is its first (8), the chunk's SHA-256 (32), offset in the chunk (4).
  let extentBytes : Nat64 = 44;
  let isDirectory : Nat8 = 0;
  let isSymlink : Nat8 = 1;
  let isFile : Nat8 = 2;

  public func kept() : Kept = { region = Region.new(); var entries = 0; var extentsAt = 0; var chunksAt = 0; var pathsAt = 0 };

  /// An empty index in a kept region.
  public func within({ region } : Kept) : Index = { region; var tree = ""; var entries = 0; var extentsAt = 0; var recordsAt = 0 };

  func wide(number : Nat) : Nat64 = Nat64.fromNat(number);

  // --- making it ---

  /// Indexes a tree that `Manifest.check` has passed. @param tree its manifest's SHA-256
  public func build(index : Index, tree : Blob, { entries; chunks } : Manifest.Manifest) {
    var extents = 0;
    for ({ kind } in entries.vals()) {
      switch kind {
        case (#file file) extents += file.extents.size();
        case _ {};
      };
    };
    let { region } = index;
    index.tree := tree;
    index.entries := entries.size();
    index.extentsAt := wide(entries.size() + 1) * nodeBytes;
    index.recordsAt := index.extentsAt + wide(extents) * extentBytes;
    Store.reserve(region, index.recordsAt);

    let parents = parentsOf(entries);
    let (from, to) = rangesOf(parents);
    let budget = Paths.budget();
    var record : Nat64 = 0;
    var extent = 0;
    var named = 0;
    var number = 0;
    for (entry in entries.vals()) {
      let at = nodeAt(number);
      let bytes = Text.encodeUtf8(entry.path);
      begin(index, number, record, extent);
      Region.storeNat16(region, at + 4, Nat16.fromNat(bytes.size()));
      Region.storeNat32(region, at + 8, Nat32.fromNat(parents[number]));
      let behindPath = index.recordsAt + record + wide(bytes.size());
      Store.reserve(region, behindPath + 1 + fileBytes);
      Region.storeBlob(region, index.recordsAt + record, bytes);
      record += wide(bytes.size()) + 1;
      switch (entry.kind) {
        case (#directory) {
          setKind(region, at, behindPath, isDirectory);
          Region.storeNat32(region, at + 16, Nat32.fromNat(from[number]));
          Region.storeNat32(region, at + 20, Nat32.fromNat(to[number]));
        };
        case (#symlink target) {
          let #at(end, hops) = Paths.follow(entry.path, target, func(at) = Manifest.find(entries, at), budget) else Runtime.unreachable();
          setKind(region, at, behindPath, isSymlink);
          Region.storeNat8(region, at + 7, Nat8.fromNat(hops));
          Region.storeNat32(region, at + 16, Nat32.fromNat(positionOf(entries, end)));
        };
        case (#file file) {
          setKind(region, at, behindPath, isFile);
          Region.storeNat32(region, at + 16, Nat32.fromNat(file.extents.size()));
          Region.storeNat64(region, behindPath + sizeAt, file.size);
          Region.storeBlob(region, behindPath + sha256At, file.sha256);
          record += fileBytes;
          var start : Nat64 = 0;
          for ({ back; offset; length } in file.extents.vals()) {
            let chunk = if (back == 0) named else named - Nat32.toNat(back) : Nat;
            if (back == 0) named += 1;
            let at = index.extentsAt + wide(extent) * extentBytes;
            Region.storeNat64(region, at, start);
            Region.storeBlob(region, at + 8, chunks[chunk].sha256);
            Region.storeNat32(region, at + 40, offset);
            start += Nat64.fromNat32(length);
            extent += 1;
          };
        };
      };
      number += 1;
    };
    begin(index, number, record, extent);
  };

  /// Records where an entry's record and extents begin.
  func begin({ region } : Index, number : Nat, record : Nat64, extent : Nat) {
    Region.storeNat32(region, nodeAt(number), Nat32.fromNat(Nat64.toNat(record)));
    Region.storeNat32(region, nodeAt(number) + 12, Nat32.fromNat(extent));
  };

  func setKind(region : Region.Region, node : Nat64, behindPath : Nat64, kind : Nat8) {
    Region.storeNat8(region, node + 6, kind);
    Region.storeNat8(region, behindPath, kind);
  };

  /// The number of the entry at `path`, which exists.
  func positionOf(entries : [Manifest.Entry], path : Text) : Nat {
    if (path == "") return root;
    let ?position = Manifest.position(entries, path) else Runtime.unreachable();
    position;
  };

  /// The numbers of the entries' directories.
  func parentsOf(entries : [Manifest.Entry]) : [Nat] {
    var path = "";
    var position = root;
    Array.mapEntries<Manifest.Entry, Nat>(
      entries,
      func(entry, i) {
        if (not Paths.isIn(entry.path, path)) {
          path := Paths.parent(entry.path);
          // Usually the previous entry, in trees of many directories.
          position := if (i > 0 and entries[i - 1].path == path) i - 1 else positionOf(entries, path);
        };
        position;
      },
    );
  };

  /// For each directory, the numbers of the first entry below it and of the one after the last. The entries below a directory
  /// are consecutive: all that begin with its path and a slash.
  func rangesOf(parents : [Nat]) : ([var Nat], [var Nat]) {
    let from = VarArray.repeat<Nat>(0, parents.size());
    let to = VarArray.repeat<Nat>(0, parents.size());
    var number = parents.size();
    // From the end, since a directory comes before its content.
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
    if (what == isDirectory) return #directory({ from = load(index, at + 16); to = load(index, at + 20) });
    if (what == isSymlink) return #symlink({ target = load(index, at + 16); hops = Nat8.toNat(Region.loadNat8(index.region, at + 7)) });
    #file({ size = fileSize(index, number); extents = load(index, at + 16); first = load(index, at + 12) });
  };

  /// Whether an entry is a symlink, or a file of more than so many bytes.
  public func isLinkOrLonger(index : Index, number : Nat, bytes : Nat) : Bool {
    let what = Region.loadNat8(index.region, nodeAt(number) + 6);
    what == isSymlink or (what == isFile and fileSize(index, number) > bytes);
  };

  public func isLink({ region } : Index, number : Nat) : Bool = Region.loadNat8(region, nodeAt(number) + 6) == isSymlink;

  func behindPath(index : Index, number : Nat) : Nat64 = recordAt(index, number) + wide(pathBytes(index, number));

  func fileSize(index : Index, number : Nat) : Nat = Nat64.toNat(Region.loadNat64(index.region, behindPath(index, number) + sizeAt));

  /// A file's SHA-256, as its publisher says.
  public func sha256(index : Index, number : Nat) : Blob = Region.loadBlob(index.region, behindPath(index, number) + sha256At, 32);

  /// The number of an entry's directory.
  public func parent(index : Index, number : Nat) : Nat = load(index, nodeAt(number) + 8);

  /// The length of an entry's path in bytes.
  public func pathBytes({ region } : Index, number : Nat) : Nat = Nat16.toNat(Region.loadNat16(region, nodeAt(number) + 4));

  /// An entry's path from a byte on.
  public func path(index : Index, number : Nat, from : Nat) : Blob {
    Region.loadBlob(index.region, recordAt(index, number) + wide(from), pathBytes(index, number) - from);
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
    { start = startOf(index, number); chunk = Region.loadBlob(index.region, at + 8, 32); offset = load(index, at + 40) };
  };

  /// Where in its file an extent begins.
  public func startOf(index : Index, number : Nat) : Nat {
    Nat64.toNat(Region.loadNat64(index.region, index.extentsAt + wide(number) * extentBytes));
  };

  // --- comparing it ---

  /// Where an entry's record begins; for the number after the last, where the last one ends.
  func recordAt(index : Index, number : Nat) : Nat64 = index.recordsAt + wide(load(index, nodeAt(number)));

  func firstExtent(index : Index, number : Nat) : Nat64 = index.extentsAt + wide(load(index, nodeAt(number) + 12)) * extentBytes;

  /// How many bytes of so many entries have to be compared.
  public func bytes(index : Index, from : Nat, count : Nat) : Nat {
    let records = recordAt(index, from + count) - recordAt(index, from);
    Nat64.toNat(records + firstExtent(index, from + count) - firstExtent(index, from));
  };

  /// Whether so many entries of two trees have the same paths and kinds, and their files the same contents in the same chunks. Symlinks'
  /// targets are not compared.
  public func isSame(index : Index, from : Nat, other : Index, otherFrom : Nat, count : Nat) : Bool {
    isSamePart(index, recordAt(index, from), recordAt(index, from + count), other, recordAt(other, otherFrom), recordAt(other, otherFrom + count)) and isSamePart(index, firstExtent(index, from), firstExtent(index, from + count), other, firstExtent(other, otherFrom), firstExtent(other, otherFrom + count));
  };

  func isSamePart(one : Index, from : Nat64, to : Nat64, other : Index, otherFrom : Nat64, otherTo : Nat64) : Bool {
    let size = to - from;
    if (otherTo - otherFrom != size) return false;
    // At a region's end, even reading zero bytes traps.
    size == 0 or Region.loadBlob(one.region, from, Nat64.toNat(size)) == Region.loadBlob(other.region, otherFrom, Nat64.toNat(size));
  };
};
