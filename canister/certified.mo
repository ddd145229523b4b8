/// What the subnet certifies about this canister, and how a reader gets the proof (docs/PROTOCOL.md, "Certified head").
///
/// The tree is an IC hash tree (IC interface specification, "Certificate") with one leaf at `icfs` / `head`. It is
/// labelled so that more can be certified beside it later without a new scheme. The replies are CBOR (RFC 8949).
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Nat8 "mo:core/Nat8";

import Sha256 "sha256";

module {
  /// The tree's root hash, to be set as certified data. `head` is the newest header's hash, or empty before the first
  /// release.
  public func root(head : Blob) : Blob {
    labelled("icfs", labelled("head", Sha256.ofParts(["\10ic-hashtree-leaf", head])));
  };

  // The first byte of each domain separator is its length.
  func labelled(name : Blob, subtree : Blob) : Blob = Sha256.ofParts(["\13ic-hashtree-labeled", name, subtree]);

  /// The same tree in CBOR, as the specification encodes hash trees: 2 is a labelled node, 3 a leaf.
  func witness(head : Blob) : Blob {
    concat(["\83\02\44icfs\83\02\44head\82\03", byteString(head)]);
  };

  /// The reply of `release()`: the CBOR map { header, witness, certificate }, in this order.
  public func proof(header : Blob, head : Blob, certificate : Blob) : Blob {
    concat(["\a3\66header", byteString(header), "\67witness", byteString(witness(head)), "\6bcertificate", byteString(certificate)]);
  };

  /// The reply of `headers()`: a CBOR array of byte strings.
  public func page(headers : [Blob]) : Blob {
    concat(Array.concat([prefixed(4, headers.size())], Array.map(headers, byteString)));
  };

  func byteString(bytes : Blob) : Blob = concat([prefixed(2, bytes.size()), bytes]);

  /// A CBOR head: major type and argument, with the argument always in four bytes (valid, if not the shortest form).
  func prefixed(major : Nat8, argument : Nat) : Blob {
    let byte = func(shift : Nat) : Nat8 = Nat8.fromNat((argument / shift) % 256);
    Blob.fromArray([major * 32 + 26, byte(16_777_216), byte(65_536), byte(256), byte(1)]);
  };

  func concat(parts : [Blob]) : Blob = Blob.fromArray(Array.flatten(Array.map<Blob, [Nat8]>(parts, Blob.toArray)));
};
