/// What the subnet certifies about this canister, and how a reader gets the proof (docs/PROTOCOL.md, "Certified head").
///
/// The tree is an IC hash tree (IC interface specification, "Certificate"). Below `http_expr` is everything that is served over HTTP
/// (site.mo); at `icfs` / `head`, the newest header's hash; at `icfs` / `channel` / NAME, the hash of a channel's last record
/// (channels.mo). The replies are CBOR (RFC 8949).
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Nat8 "mo:core/Nat8";

import HashTree "hashtree";
import Sha256 "sha256";

module {
  /// The hash of the part at `icfs`.
  ///
  /// @param head the newest header's hash, or empty before the first release
  /// @param channels the hash of the tree of channels; null while there are none
  public func headPart(desk : HashTree.Desk, head : Blob, channels : ?Blob) : Blob {
    let release = HashTree.labelled(desk, "head", Sha256.ofParts(["\10ic-hashtree-leaf", head]));
    let all = switch channels {
      case (?channels) HashTree.fork(desk, HashTree.labelled(desk, "channel", channels), release);
      case null release;
    };
    HashTree.labelled(desk, "icfs", all);
  };

  /// The hash of the part at `http_expr`, from the hash of what is below it.
  public func pagesPart(desk : HashTree.Desk, pages : Blob) : Blob = HashTree.labelled(desk, "http_expr", pages);

  /// What proves a reply.
  public type Proved = {
    /// The newest header; empty before the first release.
    header : Blob;
    /// Its hash; empty before the first release.
    head : Blob;
    /// The hash of the part at `http_expr`.
    pages : Blob;
    /// The part of the tree of channels to show; null while there are none.
    channels : ?HashTree.Witness;
    certificate : Blob;
  };

  func witness({ head; pages; channels } : Proved) : Blob {
    let release : HashTree.Witness = #labelled("head", #leaf head);
    let all : HashTree.Witness = switch channels {
      case (?channels) #fork(#labelled("channel", channels), release);
      case null release;
    };
    HashTree.encode(#fork(#pruned pages, #labelled("icfs", all)));
  };

  /// The reply of `release()`: the CBOR map { header, witness, certificate }, in this order.
  public func proof(proved : Proved) : Blob {
    concat(["\a3\66header", byteString(proved.header), "\67witness", byteString(witness proved), "\6bcertificate", byteString(proved.certificate)]);
  };

  /// The reply of `channels()`: the CBOR map { header, records, witness, certificate }, in this order.
  public func channelsProof(proved : Proved, records : [Blob]) : Blob {
    concat(["\a4\66header", byteString(proved.header), "\67records", page records, "\67witness", byteString(witness proved), "\6bcertificate", byteString(proved.certificate)]);
  };

  /// The reply of `headers()` and `channel_history()`: a CBOR array of byte strings.
  public func page(items : [Blob]) : Blob {
    concat(Array.concat([prefixed(4, items.size())], Array.map(items, byteString)));
  };

  func byteString(bytes : Blob) : Blob = concat([prefixed(2, bytes.size()), bytes]);

  /// A CBOR head: major type and argument, with the argument always in four bytes (valid, if not the shortest form).
  func prefixed(major : Nat8, argument : Nat) : Blob {
    let byte = func(shift : Nat) : Nat8 = Nat8.fromNat((argument / shift) % 256);
    Blob.fromArray([major * 32 + 26, byte(16_777_216), byte(65_536), byte(256), byte(1)]);
  };

  func concat(parts : [Blob]) : Blob = Blob.fromArray(Array.flatten(Array.map<Blob, [Nat8]>(parts, Blob.toArray)));
};
