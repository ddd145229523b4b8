/// A canister that certifies any header it is given, and serves any chunks: for tests of readers, which do not trust canisters.
import Blob "mo:core/Blob";
import CertifiedData "mo:core/CertifiedData";
import Map "mo:core/Map";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";

import Certified "certified";
import HashTree "hashtree";
import Sha256 "sha256";

persistent actor Liar {
  var header : Blob = "";
  var older : [Blob] = [];
  let chunks = Map.empty<Blob, Blob>();
  let desk = Region.new();
  ignore Region.grow(desk, 1);
  HashTree.prepare desk;

  /// Replaces what a canister serves over HTTP.
  func pages() : Blob = Certified.pagesPart(desk, Sha256.ofBlob "no pages");

  func head() : Blob = if (header == "") "" else Sha256.ofBlob(header);

  /// Sets the newest header, and the answer of `headers` to any request.
  public func tell(newest : Blob, page : [Blob]) : async () {
    header := newest;
    older := page;
    CertifiedData.set(HashTree.fork(desk, pages(), Certified.headPart(desk, head(), null)));
  };

  /// Serves a chunk under a hash that need not be its own.
  public func serve(hash : Blob, bytes : Blob) : async () {
    Map.add(chunks, Blob.compare, hash, bytes);
  };

  public query func release() : async Blob {
    let ?certificate = CertifiedData.getCertificate() else Runtime.trap("no certificate");
    Certified.proof({ header; head = head(); pages = pages(); channels = null; certificate });
  };

  public query func headers(_from : Nat64, _count : Nat32) : async Blob {
    Certified.page(older);
  };

  public query func chunk(hash : Blob) : async Blob {
    switch (Map.get(chunks, Blob.compare, hash)) {
      case null "";
      case (?bytes) bytes;
    };
  };
};
