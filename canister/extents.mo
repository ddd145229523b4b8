/// Reads a file's bytes from its extents, which are parts of chunks.
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Region "mo:core/Region";

import Store "store";

module {
  /// `length` bytes from `offset` on of a chunk.
  public type Extent = { chunk : Blob; offset : Nat; length : Nat };

  /// `wanted` bytes of a file of `count` extents, beginning with byte `from`. The file must have that many.
  public func read(store : Store.Store, scratch : Region.Region, count : Nat, extent : Nat -> Extent, from : Nat, wanted : Nat) : Blob {
    var start = 0;
    var done = 0;
    var number = 0;
    while (done < wanted and number < count) {
      let { chunk; offset; length } = extent number;
      let position = from + done;
      if (position < start + length) {
        let skipped : Nat = position - start;
        let size = Nat.min(wanted - done, length - skipped);
        let part = Store.part(store, chunk, offset + skipped, size);
        if (size == wanted) return part;
        Store.write(scratch, Nat64.fromNat(done), part);
        done += size;
      };
      start += length;
      number += 1;
    };
    if (wanted == 0) "" else Region.loadBlob(scratch, 0, wanted);
  };

  /// The hash of `wanted` bytes beginning with byte `from`, if they are exactly one chunk; otherwise null.
  public func wholeChunk(store : Store.Store, count : Nat, extent : Nat -> Extent, from : Nat, wanted : Nat) : ?Blob {
    var start = 0;
    var number = 0;
    while (start < from and number < count) {
      start += extent(number).length;
      number += 1;
    };
    if (start != from or number == count) return null;
    let { chunk; offset; length } = extent number;
    if (offset == 0 and length == wanted and Store.size(store, chunk) == ?Nat32.fromNat(wanted)) ?chunk else null;
  };
};
