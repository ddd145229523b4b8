/// IC hash trees (IC interface specification, "Certificate"): the hashes of their nodes; and witnesses in CBOR (RFC 8949), which are trees
/// with everything pruned that is not to be proved.
///
/// A release's pages take about twenty of these hashes for each path. So the input is assembled in stable memory, on a "desk" that already
/// has the domain separators and the padding of FIPS 180-4. Byte by byte on the heap, this would take far more instructions.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat16 "mo:core/Nat16";
import Nat64 "mo:core/Nat64";
import Nat8 "mo:core/Nat8";
import Region "mo:core/Region";

import Sha256 "sha256";

module {
  public type Witness = {
    #fork : (Witness, Witness);
    #labelled : (Blob, Witness);
    #leaf : Blob;
    #pruned : Blob;
  };

  /// A region whose first `deskBytes` are for this module.
  public type Desk = Region.Region;

  public let deskBytes : Nat64 = 4_096;

  /// The hash of a leaf of no bytes.
  public let emptyLeaf : Blob = "\d0\01\f3\e7\b8\21\66\c6\d3\43\a1\ef\e7\76\e9\6a\c0\2a\23\a5\1e\08\98\bc\2c\4e\32\3f\ce\0e\62\2c";

  // The first byte of each domain separator is its length.
  let forkPrefix : Blob = "\10ic-hashtree-fork";
  let labelPrefix : Blob = "\13ic-hashtree-labeled";

  // The places on the desk for each kind of input: a fork; a label of 32 bytes, of none, and of three; two hashes; a hash in hexadecimal
  // and quotes; a label of any length. And the place for a digest.
  let forkAt : Nat64 = 0;
  let hashLabelAt : Nat64 = 128;
  let noLabelAt : Nat64 = 256;
  let shortLabelAt : Nat64 = 320;
  let pairAt : Nat64 = 384;
  let tagAt : Nat64 = 512;
  let digestAt : Nat64 = 704;
  let longLabelAt : Nat64 = 1_024;

  let zeros : Blob = "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00";

  /// Writes the parts of the desk that never change.
  public func prepare(desk : Desk) {
    frame(desk, forkAt, forkPrefix, 81);
    frame(desk, hashLabelAt, labelPrefix, 84);
    frame(desk, noLabelAt, labelPrefix, 52);
    frame(desk, shortLabelAt, labelPrefix, 55);
    frame(desk, pairAt, "", 64);
    frame(desk, tagAt, "\22", 66);
    Region.storeNat8(desk, tagAt + 65, 0x22);
    frame(desk, longLabelAt, labelPrefix, 20);
  };

  func frame(desk : Desk, at : Nat64, prefix : Blob, bytes : Nat64) {
    if (prefix.size() > 0) Region.storeBlob(desk, at, prefix);
    ignore pad(desk, at, bytes);
  };

  /// Writes the padding after so many bytes, and returns where it ends.
  func pad(desk : Desk, at : Nat64, bytes : Nat64) : Nat64 {
    Region.storeBlob(desk, at + bytes, zeros);
    Region.storeNat8(desk, at + bytes, 0x80);
    let end = (bytes + 9 + 63) / 64 * 64;
    // Numbers are little-endian in a region, and big-endian in the padding. Two bytes do for up to 8,191 bytes.
    let bits = Nat64.toNat16(bytes * 8);
    Region.storeNat16(desk, at + end - 2, (bits << 8) | (bits >> 8));
    end;
  };

  func hashed(desk : Desk, at : Nat64, bytes : Nat) : Blob {
    let state = Sha256.begin();
    Sha256.absorb(state, Region.loadBlob(desk, at, bytes));
    digest(desk, state);
  };

  /// Like Sha256.digest, but with less garbage.
  public func digest(desk : Desk, state : Sha256.State) : Blob {
    var at = digestAt;
    for (word in state.vals()) {
      // A digest is big-endian, and numbers in a region are little-endian.
      Region.storeNat32(desk, at, (word << 24) | ((word << 8) & 0xff_0000) | ((word >> 8) & 0xff00) | (word >> 24));
      at += 4;
    };
    Region.loadBlob(desk, digestAt, 32);
  };

  /// The hexadecimal digits, in ASCII.
  let digits : [Nat16] = [48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102];

  /// The SHA-256 of an ETag: of a hash in hexadecimal, in quotes.
  public func ofTag(desk : Desk, hash : Blob) : Blob {
    var at = tagAt + 1;
    for (byte in hash.vals()) {
      Region.storeNat16(desk, at, digits[Nat8.toNat(byte >> 4)] | (digits[Nat8.toNat(byte & 15)] << 8));
      at += 2;
    };
    hashed(desk, tagAt, 128);
  };

  /// The hash of a fork of two trees with these hashes.
  public func fork(desk : Desk, left : Blob, right : Blob) : Blob {
    Region.storeBlob(desk, forkAt + 17, left);
    Region.storeBlob(desk, forkAt + 49, right);
    hashed(desk, forkAt, 128);
  };

  /// The hash of a labelled tree.
  public func labelled(desk : Desk, name : Blob, subtree : Blob) : Blob {
    switch (name.size()) {
      case 0 {
        Region.storeBlob(desk, noLabelAt + 20, subtree);
        hashed(desk, noLabelAt, 64);
      };
      case 3 {
        Region.storeBlob(desk, shortLabelAt + 20, name);
        Region.storeBlob(desk, shortLabelAt + 23, subtree);
        hashed(desk, shortLabelAt, 64);
      };
      case 32 {
        Region.storeBlob(desk, hashLabelAt + 20, name);
        Region.storeBlob(desk, hashLabelAt + 52, subtree);
        hashed(desk, hashLabelAt, 128);
      };
      case size {
        let length = Nat64.fromNat(size);
        Region.storeBlob(desk, longLabelAt + 20, name);
        Region.storeBlob(desk, longLabelAt + 20 + length, subtree);
        hashed(desk, longLabelAt, Nat64.toNat(pad(desk, longLabelAt, 52 + length)));
      };
    };
  };

  /// The SHA-256 of two hashes one after the other.
  public func pair(desk : Desk, one : Blob, other : Blob) : Blob {
    Region.storeBlob(desk, pairAt, one);
    Region.storeBlob(desk, pairAt + 32, other);
    hashed(desk, pairAt, 128);
  };

  /// Two hashes one after the other: a block.
  public func block(desk : Desk, one : Blob, other : Blob) : Blob {
    Region.storeBlob(desk, pairAt, one);
    Region.storeBlob(desk, pairAt + 32, other);
    Region.loadBlob(desk, pairAt, 64);
  };

  // --- CBOR ---

  /// A witness in CBOR, in the specification's encoding: 1 is a fork, 2 a labelled tree, 3 a leaf, 4 a pruned tree.
  public func encode(witness : Witness) : Blob {
    let parts = List.empty<Blob>();
    func write(node : Witness) {
      switch node {
        case (#fork(left, right)) {
          List.add<Blob>(parts, "\83\01");
          write(left);
          write(right);
        };
        case (#labelled(name, subtree)) {
          List.add<Blob>(parts, "\83\02");
          List.add(parts, head(2, name.size()));
          List.add(parts, name);
          write(subtree);
        };
        case (#leaf value) {
          List.add<Blob>(parts, "\82\03");
          List.add(parts, head(2, value.size()));
          List.add(parts, value);
        };
        case (#pruned hash) {
          List.add<Blob>(parts, "\82\04\58\20");
          List.add(parts, hash);
        };
      };
    };
    write(witness);
    concat(List.toArray(parts));
  };

  /// A CBOR head: major type and argument, in the shortest form.
  public func head(major : Nat8, argument : Nat) : Blob {
    let kind = major * 32;
    if (argument < 24) return Blob.fromArray([kind + Nat8.fromNat(argument)]);
    if (argument < 256) return Blob.fromArray([kind + 24, Nat8.fromNat(argument)]);
    let byte = func(shift : Nat) : Nat8 = Nat8.fromNat((argument / shift) % 256);
    if (argument < 65_536) return Blob.fromArray([kind + 25, byte(256), byte(1)]);
    Blob.fromArray([kind + 26, byte(16_777_216), byte(65_536), byte(256), byte(1)]);
  };

  public func concat(parts : [Blob]) : Blob = Blob.fromArray(Array.flatten(Array.map<Blob, [Nat8]>(parts, Blob.toArray)));
};
