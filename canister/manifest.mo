/// The manifest: a release's tree (docs/PROTOCOL.md, "Manifest"). This module decodes and checks it; the publisher
/// builds it (lib/tree/manifest.ts).
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Text "mo:core/Text";

import Paths "paths";

module {
  public let maxBytes : Nat = 33_554_432; // 32 MiB
  public let maxEntries : Nat = 100_000;
  /// 1 TiB in chunks of 1 MiB, twice what a canister can hold.
  public let maxExtents : Nat = 1_000_000;

  /// Magic and version, then the Candid type table of {@link Manifest}, byte for byte: a reader's decoder knows only this
  /// one, so an equivalent one must not be published.
  public let prefix : Blob = "ICFSMAN\01DIDL\0a\6d\7b\6c\03\a7\b4\c3\88\04\79\93\af\fe\81\06\79\e6\a9\9e\f8\09\79\6d\01\6c\04\e7\c8\ea\e7\01\00\ca\cb\8d\b7\03\7e\c1\c1\ce\e2\04\78\c9\b6\f3\82\07\02\6b\03\ed\e4\93\82\01\7f\81\a9\cd\cd\01\71\fc\9c\ef\9d\04\03\6c\03\c9\b6\9f\b6\01\78\d4\c2\a7\b8\04\04\a5\cb\c7\d2\04\71\6d\05\6c\02\e7\c8\ea\e7\01\00\c1\c1\ce\e2\04\79\6d\07\6c\02\d0\da\fc\ca\07\06\e6\b2\ab\a5\0c\08\01\09";

  /// The length of magic and version, which are not Candid.
  public let magicBytes : Nat = 8;

  public type Extent = {
    /// Which chunk: 0 is the table's next one that no extent has named yet, n is the n-th last of those named so far.
    back : Nat32;
    offset : Nat32;
    length : Nat32;
  };

  public type Kind = {
    #directory;
    #symlink : Text;
    #file : { size : Nat64; sha256 : Blob; executable : Bool; extents : [Extent] };
  };

  public type Entry = { path : Text; kind : Kind; modified : Nat64 };

  public type Manifest = { chunks : [{ sha256 : Blob; size : Nat32 }]; entries : [Entry] };

  public type Totals = {
    files : Nat64;
    directories : Nat64;
    symlinks : Nat64;
    bytes : Nat64;
    chunks : Nat64;
    chunk_bytes : Nat64;
  };

  public type Checked = { #ok : Totals; #invalid : Text; #missing : [Blob] };

  /// What is wrong with an entry's path in itself, or null. Separate from `check`, since 30 MB of paths take a message of their own.
  public func pathProblem({ entries } : Manifest) : ?Text {
    for ({ path } in entries.vals()) {
      switch (Paths.problem(path)) {
        case (?problem) return ?(path # ": " # problem);
        case null {};
      };
      switch (Paths.reservedProblem(path)) {
        case (?problem) return ?(path # ": " # problem);
        case null {};
      };
    };
    null;
  };

  /// Checks everything else that a reader will check, and that the chunks are stored with the stated sizes.
  /// `stored` gives the size of a stored chunk.
  public func check(manifest : Manifest, stored : Blob -> ?Nat32, maxChunkBytes : Nat) : Checked {
    let { chunks; entries } = manifest;
    if (entries.size() > maxEntries) {
      return #invalid("the manifest has " # Nat.toText(entries.size()) # " entries, over the limit of " # Nat.toText(maxEntries));
    };
    let missing = List.empty<Blob>();
    switch (tableProblem(chunks, stored, maxChunkBytes, missing)) {
      case (?problem) return #invalid(problem);
      case null {};
    };
    var lastParent = ""; // exists: the entries of a directory are mostly consecutive
    let budget = Paths.budget();
    var named = 0; // chunks of the table that an extent has named so far
    var extentsSeen = 0;
    var files = 0;
    var directories = 0;
    var symlinks = 0;
    var bytes = 0;
    var i = 0;
    for ({ path; kind } in entries.vals()) {
      if (i > 0 and Text.compare(entries[i - 1].path, path) != #less) {
        return invalid(path, "the path is out of order or there twice");
      };
      let parent = if (Paths.isIn(path, lastParent)) lastParent else Paths.parent(path);
      if (parent != "" and parent != lastParent) {
        lastParent := parent;
        // Usually the previous entry, in trees of many directories.
        switch (if (i > 0 and entries[i - 1].path == parent) ?node(entries[i - 1]) else find(entries, parent)) {
          case (?#directory) {};
          case (?_) return invalid(path, parent # " is not a directory");
          case null return invalid(path, "its directory " # parent # " is not listed");
        };
      };
      switch kind {
        case (#directory) directories += 1;
        case (#symlink target) {
          symlinks += 1;
          switch (Paths.follow(path, target, func(at) = find(entries, at), budget)) {
            case (#problem problem) return invalid(path, problem);
            case (#at _) {};
          };
        };
        case (#file { size; sha256; extents }) {
          files += 1;
          bytes += Nat64.toNat(size);
          if (sha256.size() != 32) return invalid(path, "the file's SHA-256 has not 32 bytes");
          extentsSeen += extents.size();
          if (extentsSeen > maxExtents) return #invalid("the manifest has more than " # Nat.toText(maxExtents) # " extents");
          var covered = 0;
          for ({ back; offset; length } in extents.vals()) {
            let chunk = if (back == 0) {
              if (named == chunks.size()) return invalid(path, "the file names a chunk that is not in the table");
              named += 1;
              named - 1 : Nat;
            } else {
              if (Nat32.toNat(back) > named) return invalid(path, "the file names a chunk before the first");
              named - Nat32.toNat(back) : Nat;
            };
            if (length == 0) return invalid(path, "the file has an extent of no bytes");
            if (Nat32.toNat(offset) + Nat32.toNat(length) > Nat32.toNat(chunks[chunk].size)) {
              return invalid(path, "the file runs past the end of a chunk");
            };
            covered += Nat32.toNat(length);
          };
          if (covered != Nat64.toNat(size)) return invalid(path, "the file's size is not the sum of its extents");
        };
      };
      i += 1;
    };
    if (named < chunks.size()) return #invalid("the manifest lists a chunk that no file uses");
    if (List.size(missing) > 0) return #missing(List.toArray(missing));
    var chunkBytes = 0;
    for ({ size } in chunks.vals()) chunkBytes += Nat32.toNat(size);
    #ok({
      files = Nat64.fromNat(files);
      directories = Nat64.fromNat(directories);
      symlinks = Nat64.fromNat(symlinks);
      bytes = Nat64.fromNat(bytes);
      chunks = Nat64.fromNat(chunks.size());
      chunk_bytes = Nat64.fromNat(chunkBytes);
    });
  };

  func invalid(path : Text, problem : Text) : Checked = #invalid(path # ": " # problem);

  /// What is wrong with the table, or null. Missing chunks are added to `missing`.
  func tableProblem(chunks : [{ sha256 : Blob; size : Nat32 }], stored : Blob -> ?Nat32, maxChunkBytes : Nat, missing : List.List<Blob>) : ?Text {
    var i = 0;
    func problem(what : Text) : ?Text = ?("chunk " # Nat.toText(i) # " of the table has " # what);
    for ({ sha256; size } in chunks.vals()) {
      if (sha256.size() != 32) return problem("a SHA-256 of not 32 bytes");
      if (size == 0 or Nat32.toNat(size) > maxChunkBytes) return problem("a size outside 1 to " # Nat.toText(maxChunkBytes));
      switch (stored(sha256)) {
        case (?actual) if (actual != size) return problem("another size than stated");
        case null List.add(missing, sha256);
      };
      i += 1;
    };
    null;
  };

  /// What is at `path`.
  public func find(entries : [Entry], path : Text) : ?Paths.Node {
    let ?at = position(entries, path) else return null;
    ?node(entries[at]);
  };

  func node({ kind } : Entry) : Paths.Node {
    switch kind {
      case (#directory) #directory;
      case (#file _) #file;
      case (#symlink target) #symlink target;
    };
  };

  /// The entry at `path`, by binary search, since they are sorted. (If they are not, a wrong result does no
  /// harm: the check fails because of that.)
  public func position(entries : [Entry], path : Text) : ?Nat {
    var low = 0;
    var high = entries.size();
    while (low < high) {
      let middle = (low + high) / 2;
      switch (Text.compare(entries[middle].path, path)) {
        case (#less) low := middle + 1;
        case (#greater) high := middle;
        case (#equal) return ?middle;
      };
    };
    null;
  };
};
