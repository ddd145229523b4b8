/// Puts a manifest together from its pieces, in a region that is there for that: `from_candid` wants one blob, and what of the
/// pieces is copied should be copied once.
import Array "mo:core/Array";
import Nat "mo:core/Nat";
import Nat64 "mo:core/Nat64";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";

import Manifest "manifest";
import Store "store";
import Types "types";

module {
  /// 33 bytes each in every header, of which many go into one reply of `headers`.
  let maxPieces = 1_000;

  /// The manifest as one blob, if its chunks are here and it begins as a manifest does.
  public func assemble(store : Store.Store, scratch : Region.Region, pieces : [Types.Hash]) : { #ok : Blob; #err : Types.PublishError } {
    if (pieces.size() > maxPieces) return #err(#invalid("the manifest has more than " # Nat.toText(maxPieces) # " pieces"));
    let absent = Array.filter<Types.Hash>(pieces, func(hash) = Store.size(store, hash) == null);
    if (absent.size() > 0) return #err(#missing absent);
    var size : Nat = 0;
    for (hash in pieces.vals()) {
      let ?piece = Store.get(store, hash) else Runtime.unreachable();
      if (size + piece.size() > Manifest.maxBytes) return #err(#invalid("the manifest is larger than " # Nat.toText(Manifest.maxBytes / 1_048_576) # " MiB"));
      Store.write(scratch, Nat64.fromNat(size), piece);
      size += piece.size();
    };
    let prefixBytes = Manifest.prefix.size();
    if (size < prefixBytes or Region.loadBlob(scratch, 0, prefixBytes) != Manifest.prefix) {
      return #err(#invalid("this is no icfs manifest of version 1: its first " # Nat.toText(prefixBytes) # " bytes are others"));
    };
    #ok(Region.loadBlob(scratch, 0, size));
  };

  /// The manifest with these bytes, which begins as one does.
  public func decode(scratch : Region.Region, bytes : Blob) : ?Manifest.Manifest {
    Store.write(scratch, 0, bytes);
    from_candid (Region.loadBlob(scratch, Nat64.fromNat(Manifest.magicBytes), bytes.size() - Manifest.magicBytes));
  };

  /// Candid lets numbers be written longer than they need be, and readers take that only so far. What Motoko encodes again
  /// differs from `bytes` in front alone, where its type table stands.
  public func isShortest(scratch : Region.Region, tree : Manifest.Manifest, bytes : Blob) : Bool {
    let encoded = to_candid (tree);
    let length : Nat = bytes.size() - Manifest.prefix.size();
    if (encoded.size() < length) return false;
    Store.write(scratch, 0, encoded);
    let again = Region.loadBlob(scratch, Nat64.fromNat(encoded.size() - length), length);
    Store.write(scratch, 0, bytes);
    again == Region.loadBlob(scratch, Nat64.fromNat(Manifest.prefix.size()), length);
  };

  /// The tree of a release that is held.
  public func tree(store : Store.Store, scratch : Region.Region, pieces : [Types.Hash]) : Manifest.Manifest {
    let #ok bytes = assemble(store, scratch, pieces) else Runtime.unreachable();
    let ?tree = decode(scratch, bytes) else Runtime.unreachable();
    tree;
  };
};
