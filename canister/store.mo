/// Chunks by their SHA-256: the bytes in a stable region, and their locations in a stable map.
import Blob "mo:core/Blob";
import Map "mo:core/Map";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";

import Space "space";

module {
  /// 1 MiB: a `put` (ingress limit 2 MiB) and a `chunk` reply (query limit 3 MiB) fit with room to spare.
  public let maxChunkBytes : Nat = 1_048_576;

  let pageBytes : Nat64 = 65_536;

  public type Slot = { offset : Nat64; size : Nat32 };

  public type Store = {
    region : Region.Region;
    /// The end of the region's used part.
    var end : Nat64;
    slots : Map.Map<Blob, Slot>;
  };

  public func empty() : Store = { region = Region.new(); var end = 0; slots = Map.empty() };

  /// Stores a chunk under its hash, in a hole if one fits. Traps when stable memory is full.
  public func add(store : Store, holes : Space.Space, hash : Blob, chunk : Blob) {
    let size = Nat64.fromNat(chunk.size());
    let offset = switch (Space.take(holes, size)) {
      case (?hole) hole;
      case null {
        let end = store.end;
        store.end += size;
        end;
      };
    };
    write(store.region, offset, chunk);
    Map.add(store.slots, Blob.compare, hash, { offset; size = Nat32.fromNat(chunk.size()) });
  };

  /// Removes a chunk; its bytes become a hole. Does nothing when it is not here.
  public func remove(store : Store, holes : Space.Space, hash : Blob) {
    switch (Map.take(store.slots, Blob.compare, hash)) {
      case (?{ offset; size }) {
        Space.give(holes, offset, Nat64.fromNat32(size));
        store.end := Space.trim(holes, store.end);
      };
      case null {};
    };
  };

  /// The chunk's bytes, or null when it is not here.
  public func get(store : Store, hash : Blob) : ?Blob {
    switch (Map.get(store.slots, Blob.compare, hash)) {
      case null null;
      case (?slot) ?Region.loadBlob(store.region, slot.offset, Nat32.toNat(slot.size));
    };
  };

  /// Returns `bytes` bytes from `offset` on of a chunk that is here.
  public func part(store : Store, hash : Blob, offset : Nat, bytes : Nat) : Blob {
    let ?slot = Map.get(store.slots, Blob.compare, hash) else Runtime.unreachable();
    Region.loadBlob(store.region, slot.offset + Nat64.fromNat(offset), bytes);
  };

  /// The chunk's size in bytes, or null when it is not here.
  public func size(store : Store, hash : Blob) : ?Nat32 {
    switch (Map.get(store.slots, Blob.compare, hash)) {
      case null null;
      case (?slot) ?slot.size;
    };
  };

  /// Writes `bytes` at `offset`, growing the region as needed.
  public func write(region : Region.Region, offset : Nat64, bytes : Blob) {
    reserve(region, offset + Nat64.fromNat(bytes.size()));
    // Nothing, not even zero bytes, can be written to a region without pages.
    if (bytes.size() > 0) Region.storeBlob(region, offset, bytes);
  };

  /// Grows a region to at least so many bytes. Traps when stable memory is full.
  public func reserve(region : Region.Region, bytes : Nat64) {
    let pages = (bytes + pageBytes - 1) / pageBytes;
    let present = Region.size(region);
    if (pages > present and Region.grow(region, pages - present) == 0xffff_ffff_ffff_ffff) {
      Runtime.trap("stable memory is full");
    };
  };
};
