/// Hashes on request, so that the canister's SHA-256 can be held against another one's.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Nat32 "mo:core/Nat32";
import Sha256 "sha256";

persistent actor {
  /// SHA-256 of the first `size` bytes of `bytes`, repeated as often as needed: more than fits a message.
  public query func sha256(bytes : Blob, size : Nat32) : async Blob {
    let pattern = Blob.toArray(bytes);
    Sha256.ofBlob(Blob.fromArray(Array.tabulate<Nat8>(Nat32.toNat(size), func i = pattern[i % pattern.size()])));
  };
};
