/// Assembles a manifest from its pieces in a region of its own: `from_candid` needs one blob, and the pieces should be
/// copied only once.
import Array "mo:core/Array";
import Nat "mo:core/Nat";
import Nat64 "mo:core/Nat64";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";

import Manifest "manifest";
import Store "store";
import Types "types";

module {
  /// Each piece takes 33 bytes of the release's header, and a reply of `headers` has many headers.
  let maxPieces = 1_000;

  /// The manifest as one blob, if its chunks are here and it begins like a manifest.
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
      return #err(#invalid("this is not an icfs manifest of version 1: its first " # Nat.toText(prefixBytes) # " bytes are others"));
    };
    #ok(Region.loadBlob(scratch, 0, size));
  };

  /// The manifest with these bytes, which begin like a manifest.
  public func decode(scratch : Region.Region, bytes : Blob) : ?Manifest.Manifest {
    Store.write(scratch, 0, bytes);
    from_candid (Region.loadBlob(scratch, Nat64.fromNat(Manifest.magicBytes), bytes.size() - Manifest.magicBytes));
  };

  /// Whether `bytes`, which decode to `tree`, have no number that is longer than necessary: Candid allows such numbers, and readers
  /// limit them. Motoko encodes the tree again. The result may differ from `bytes` only at the beginning, in the type table.
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
