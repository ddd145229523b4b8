/// The icfs canister: chunks by hash, an append-only chain of releases, and a certified hash of the newest one.
/// docs/PROTOCOL.md describes the interface and the formats.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import CertifiedData "mo:core/CertifiedData";
import Int "mo:core/Int";
import List "mo:core/List";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Principal "mo:core/Principal";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";
import Time "mo:core/Time";

import Certified "certified";
import Manifest "manifest";
import Sha256 "sha256";
import Store "store";

shared ({ caller = installer }) persistent actor class Icfs(init : ?{ owner : ?Principal }) {
  public type Hash = Blob;

  public type Header = {
    number : Nat64;
    parent : ?Hash;
    manifest : { sha256 : Hash; size : Nat64; chunks : [Hash] };
    published_at : Nat64;
    publisher : Principal;
    note : Text;
    totals : Manifest.Totals;
  };

  public type PublishError = {
    /// `parent` is not the newest release's header hash: somebody published in between.
    #conflict : { number : Nat64; newest : ?Hash };
    /// These chunks are not here.
    #missing : [Hash];
    /// What is wrong with the manifest or the note.
    #invalid : Text;
  };

  transient let headerMagic : Blob = "ICFSHDR\01";
  /// Readers refuse a note that is longer.
  transient let maxNoteBytes = 1_024;
  /// `missing` takes so many hashes at once: 330 KB of arguments, far below the instruction limit of a query.
  transient let maxHashesAsked = 10_000;
  /// The manifest's pieces. 33 bytes each in every header, of which many go into one reply of `headers`.
  transient let maxManifestChunks = 1_000;
  /// A reply of `headers` stops after so many bytes, well below the IC's limit of 3 MiB for a query's reply.
  transient let maxPageBytes = 1_000_000;

  /// Who may publish. Chosen at the first installation; an upgrade does not change it.
  let owner = switch init {
    case (?{ owner = ?chosen }) chosen;
    case _ installer;
  };
  if (Principal.isAnonymous(owner)) Runtime.trap("the owner must not be the anonymous principal");

  let store = Store.empty();
  /// Where a manifest's chunks are put together, so that it can be read as one blob.
  let scratch = Region.new();
  /// Release n stands at index n - 1.
  let releases = List.empty<{ header : Blob; hash : Hash }>();

  func certify() {
    CertifiedData.set(
      Certified.root(
        switch (List.last(releases)) {
          case null "";
          case (?{ hash }) hash;
        }
      )
    );
  };
  certify(); // after an upgrade as well

  func authorise(caller : Principal) {
    if (caller != owner) Runtime.trap("not authorised: only the owner " # Principal.toText(owner) # " may publish");
  };

  /// Default-deny, query methods included: anyone may send a query as an update, which costs the canister cycles.
  /// Each method checks its caller again, because calls from canisters do not come through here.
  system func inspect({
    caller : Principal;
    msg : {
      #chunk : () -> Hash;
      #headers : () -> (Nat64, Nat32);
      #missing : () -> [Hash];
      #publish : () -> { manifest : [Hash]; parent : ?Hash; note : Text };
      #put : () -> [Blob];
      #release : () -> ();
    };
  }) : Bool {
    switch msg {
      case (#put _ or #publish _) caller == owner;
      case _ false;
    };
  };

  /// The newest release: the CBOR map { header, witness, certificate }. Before the first release the header is empty
  /// and so is the certified leaf. Traps when called as an update: only a query has a certificate.
  public query func release() : async Blob {
    let ?certificate = CertifiedData.getCertificate() else Runtime.trap("call release as a query: an update has no certificate");
    switch (List.last(releases)) {
      case null Certified.proof("", "", certificate);
      case (?{ header; hash }) Certified.proof(header, hash, certificate);
    };
  };

  /// Headers from release `from` down, at most `count`, at most so many as fit a reply: a CBOR array of byte strings.
  public query func headers(from : Nat64, count : Nat32) : async Blob {
    let page = List.empty<Blob>();
    var bytes = 0;
    var number = Nat.min(Nat64.toNat(from), List.size(releases));
    while (number > 0 and List.size(page) < Nat32.toNat(count) and bytes < maxPageBytes) {
      let { header } = List.at(releases, number - 1 : Nat);
      List.add(page, header);
      bytes += header.size();
      number -= 1;
    };
    Certified.page(List.toArray(page));
  };

  /// A chunk's bytes; empty when it is not here.
  public query func chunk(hash : Hash) : async Blob {
    switch (Store.get(store, hash)) {
      case null "";
      case (?bytes) bytes;
    };
  };

  /// Which of these chunks are not here, by index. A hint: `publish` checks again.
  public query func missing(hashes : [Hash]) : async [Nat32] {
    if (hashes.size() > maxHashesAsked) Runtime.trap("missing: ask for at most " # Nat.toText(maxHashesAsked) # " chunks at once");
    let absent = List.empty<Nat32>();
    for (i in hashes.keys()) {
      if (Store.size(store, hashes[i]) == null) List.add(absent, Nat32.fromNat(i));
    };
    List.toArray(absent);
  };

  /// Stores chunks and returns their hashes, in order. Storing one again changes nothing.
  public shared ({ caller }) func put(chunks : [Blob]) : async [Hash] {
    authorise(caller);
    Array.map<Blob, Hash>(chunks, func(chunk) = Store.put(store, chunk));
  };

  /// Makes the tree in `manifest` (the hashes of its pieces) the newest release, whole or not at all, and returns its
  /// number. Traps when the manifest is no Candid.
  public shared ({ caller }) func publish({ manifest; parent; note } : { manifest : [Hash]; parent : ?Hash; note : Text }) : async {
    #ok : Nat64;
    #err : PublishError;
  } {
    authorise(caller);
    let newest = switch (List.last(releases)) {
      case null null;
      case (?{ hash }) ?hash;
    };
    if (parent != newest) return #err(#conflict({ number = Nat64.fromNat(List.size(releases)); newest }));
    if (Text.encodeUtf8(note).size() > maxNoteBytes) return #err(#invalid("the note is longer than 1024 bytes"));
    let bytes = switch (assemble(manifest)) {
      case (#ok bytes) bytes;
      case (#err error) return #err(error);
    };
    let decoded : ?Manifest.Manifest = from_candid (Region.loadBlob(scratch, Nat64.fromNat(Manifest.magicBytes), bytes.size() - Manifest.magicBytes));
    let ?tree = decoded else return #err(#invalid("the manifest is of another Candid type"));
    let totals = switch (Manifest.check(tree, func(hash) = Store.size(store, hash), Store.maxChunkBytes)) {
      case (#ok totals) totals;
      case (#invalid problem) return #err(#invalid problem);
      case (#missing hashes) return #err(#missing hashes);
    };
    let number = Nat64.fromNat(List.size(releases) + 1);
    let details : Header = {
      number;
      parent;
      manifest = { sha256 = Sha256.ofBlob(bytes); size = Nat64.fromNat(bytes.size()); chunks = manifest };
      published_at = Nat64.fromNat(Int.abs(Time.now()));
      publisher = caller;
      note;
      totals;
    };
    let header = Blob.fromArray(Array.concat(Blob.toArray(headerMagic), Blob.toArray(to_candid (details))));
    List.add(releases, { header; hash = Sha256.ofBlob(header) });
    certify();
    #ok number;
  };

  /// The manifest as one blob, if its chunks are here and it begins as a manifest does.
  func assemble(pieces : [Hash]) : { #ok : Blob; #err : PublishError } {
    if (pieces.size() > maxManifestChunks) return #err(#invalid("the manifest has more than 1000 pieces"));
    let absent = Array.filter<Hash>(pieces, func(hash) = Store.size(store, hash) == null);
    if (absent.size() > 0) return #err(#missing absent);
    var size : Nat = 0;
    for (hash in pieces.vals()) {
      let ?piece = Store.get(store, hash) else Runtime.unreachable();
      if (size + piece.size() > Manifest.maxBytes) return #err(#invalid("the manifest is larger than 32 MiB"));
      Store.append(scratch, Nat64.fromNat(size), piece);
      size += piece.size();
    };
    let prefixBytes = Manifest.prefix.size();
    if (size < prefixBytes or Region.loadBlob(scratch, 0, prefixBytes) != Manifest.prefix) {
      return #err(#invalid("this is no icfs manifest of version 1: its first " # Nat.toText(prefixBytes) # " bytes are others"));
    };
    #ok(Region.loadBlob(scratch, 0, size));
  };

};
