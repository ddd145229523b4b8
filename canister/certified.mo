/// What the subnet certifies about this canister, and how a reader gets the proof (docs/PROTOCOL.md, "Certified head").
///
/// The tree is an IC hash tree (IC interface specification, "Certificate"): below `http_expr` all that is served over HTTP (site.mo), and
/// at `icfs` / `head` the newest header's hash. The replies are CBOR (RFC 8949).
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Nat8 "mo:core/Nat8";

import HashTree "hashtree";
import Sha256 "sha256";

module {
  /// The hash of the part at `icfs`. `head` is the newest header's hash, or empty before the first release.
  public func headPart(desk : HashTree.Desk, head : Blob) : Blob {
    HashTree.labelled(desk, "icfs", HashTree.labelled(desk, "head", Sha256.ofParts(["\10ic-hashtree-leaf", head])));
  };

  /// The hash of the part at `http_expr`, by that of what is below.
  public func pagesPart(desk : HashTree.Desk, pages : Blob) : Blob = HashTree.labelled(desk, "http_expr", pages);

  /// The reply of `release()`: the CBOR map { header, witness, certificate }, in this order. @param pages the hash of the part at `http_expr`
  public func proof(header : Blob, head : Blob, pages : Blob, certificate : Blob) : Blob {
    let witness = HashTree.encode(#fork(#pruned pages, #labelled("icfs", #labelled("head", #leaf head))));
    concat(["\a3\66header", byteString(header), "\67witness", byteString(witness), "\6bcertificate", byteString(certificate)]);
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
