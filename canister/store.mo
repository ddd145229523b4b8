/// Chunks by their SHA-256: the bytes in a stable region, one after the other; where each one lies in a stable map.
import Blob "mo:core/Blob";
import Map "mo:core/Map";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";

import Sha256 "sha256";

module {
  /// 1 MiB: a `put` (ingress limit 2 MiB) and a `chunk` reply (query limit 3 MiB) fit with room to spare.
  public let maxChunkBytes : Nat = 1_048_576;

  let pageBytes : Nat64 = 65_536;

  public type Slot = { offset : Nat64; size : Nat32 };

  public type Store = {
    region : Region.Region;
    /// Bytes of the region in use; the next chunk goes here.
    var end : Nat64;
    slots : Map.Map<Blob, Slot>;
  };

  public func empty() : Store = { region = Region.new(); var end = 0; slots = Map.empty() };

  /// Stores a chunk and returns its hash; one that is there already costs only the hashing.
  /// Traps when it is empty, too large, or stable memory is full.
  public func put(store : Store, chunk : Blob) : Blob {
    if (chunk.size() == 0) Runtime.trap("put: a chunk is empty");
    if (chunk.size() > maxChunkBytes) {
      Runtime.trap("put: a chunk of " # debug_show (chunk.size()) # " bytes is over the limit of " # debug_show maxChunkBytes);
    };
    let hash = Sha256.ofBlob(chunk);
    if (not Map.containsKey(store.slots, Blob.compare, hash)) {
      append(store.region, store.end, chunk);
      Map.add(store.slots, Blob.compare, hash, { offset = store.end; size = Nat32.fromNat(chunk.size()) });
      store.end += Nat64.fromNat(chunk.size());
    };
    hash;
  };

  /// The chunk's bytes, or null when it is not here.
  public func get(store : Store, hash : Blob) : ?Blob {
    switch (Map.get(store.slots, Blob.compare, hash)) {
      case null null;
      case (?slot) ?Region.loadBlob(store.region, slot.offset, Nat32.toNat(slot.size));
    };
  };

  /// The chunk's size in bytes, or null when it is not here.
  public func size(store : Store, hash : Blob) : ?Nat32 {
    switch (Map.get(store.slots, Blob.compare, hash)) {
      case null null;
      case (?slot) ?slot.size;
    };
  };

  /// Writes `bytes` at `offset`, growing the region as needed.
  public func append(region : Region.Region, offset : Nat64, bytes : Blob) {
    let end = offset + Nat64.fromNat(bytes.size());
    let pages = (end + pageBytes - 1) / pageBytes;
    let present = Region.size(region);
    if (pages > present and Region.grow(region, pages - present) == 0xffff_ffff_ffff_ffff) {
      Runtime.trap("stable memory is full");
    };
    Region.storeBlob(region, offset, bytes);
  };
};
