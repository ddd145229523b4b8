/// Hashes on request, so that a test can compare the canister's SHA-256 with another implementation.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Nat32 "mo:core/Nat32";
import Sha256 "sha256";

persistent actor {
  /// The SHA-256 of `size` bytes, which are `bytes` repeated: so they may be more than a message can carry.
  public query func sha256(bytes : Blob, size : Nat32) : async Blob {
    let pattern = Blob.toArray(bytes);
    Sha256.ofBlob(Blob.fromArray(Array.tabulate<Nat8>(Nat32.toNat(size), func i = pattern[i % pattern.size()])));
  };
};
