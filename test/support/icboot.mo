/// A twin of the canister that icfs replaces, which is on mainnet as oeagv-5qaaa-aaaah-aar4q-cai: its interface, and its quirks.
/// It stores sectors of 512 bytes by name, and separately lengths by name.
///
/// Sectors are in pages of 64 KiB, so that a tree of about 40 MB is uploaded in seconds; this is not visible from outside.
import Blob "mo:core/Blob";
import Debug "mo:core/Debug";
import Iter "mo:core/Iter";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Order "mo:core/Order";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";
import VarArray "mo:core/VarArray";

import Store "store";

persistent actor Icboot {
  transient let sectorBytes : Nat = 512;
  transient let pageBytes : Nat = 65_536;
  /// The IC's limit for the reply of a query.
  transient let maxReplyBytes : Nat = 3_145_728;

  // Nothing here is stable: an upgrade loses everything.
  transient let region = Region.new();
  /// Where data are put together for reading or writing.
  transient let scratch = Region.new();
  transient var pages : Nat64 = 0;
  /// Numbers of pages in `region`, by name and by their index in the file. Pages that were never written are zeros.
  transient let files = Map.empty<Text, Map.Map<Nat, Nat64>>();
  transient let lengths = Map.empty<Text, Nat>();

  /// Orders keys as a hash map does: in no order that a reader may rely on.
  func byHash(a : Text, b : Text) : Order.Order {
    switch (Nat32.compare(Blob.hash(Text.encodeUtf8(a)), Blob.hash(Text.encodeUtf8(b)))) {
      case (#equal) Text.compare(a, b);
      case unequal unequal;
    };
  };

  func zeros(count : Nat) : Blob = Blob.fromVarArray(VarArray.repeat<Nat8>(0, count));

  /// Calls `part` for each piece of `length` bytes from `offset` on that lies in one page: with the page's number, the piece's
  /// offset in the page and in the whole, and its length.
  func inPages(offset : Nat, length : Nat, part : (page : Nat, within : Nat, at : Nat, size : Nat) -> ()) {
    var at = 0;
    while (at < length) {
      let within = (offset + at) % pageBytes;
      let size = Nat.min(length - at, pageBytes - within);
      part((offset + at) / pageBytes, within, at, size);
      at += size;
    };
  };

  public query func print() : async () {
    for ((name, length) in Map.entries(lengths)) Debug.print(name # " " # Nat.toText(length));
  };

  /// `sector_no`, despite its name, is the byte offset of the sector in which `data_vec` begins. After data that fill their last
  /// sector, a whole sector of zeros follows.
  public func put({ filename; sector_no; data_vec } : { filename : Text; sector_no : Nat; data_vec : Blob }) : async () {
    let offset = sector_no / sectorBytes * sectorBytes;
    let padded = (data_vec.size() / sectorBytes + 1) * sectorBytes;
    Store.write(scratch, 0, data_vec);
    Store.write(scratch, Nat64.fromNat(data_vec.size()), zeros(padded - data_vec.size()));
    let file = switch (Map.get(files, byHash, filename)) {
      case (?known) known;
      case null {
        let new = Map.empty<Nat, Nat64>();
        Map.add(files, byHash, filename, new);
        new;
      };
    };
    inPages(
      offset,
      padded,
      func(page, within, at, size) {
        let number = switch (Map.get(file, Nat.compare, page)) {
          case (?known) known;
          case null {
            let new = pages;
            pages += 1;
            Map.add(file, Nat.compare, page, new);
            new;
          };
        };
        let bytes = Region.loadBlob(scratch, Nat64.fromNat(at), size);
        Store.write(region, number * Nat64.fromNat(pageBytes) + Nat64.fromNat(within), bytes);
      },
    );
  };

  public func setlen({ filename; len } : { filename : Text; len : Nat }) : async () {
    Map.add(lengths, byHash, filename, len);
  };

  public query func get({ filename; sector_no; count } : { filename : Text; sector_no : Nat; count : Nat }) : async Blob {
    let ?length = Map.get(lengths, byHash, filename) else return "";
    let offset = sector_no * sectorBytes;
    if (offset >= length) return "";
    let wanted = Nat.min(count * sectorBytes, length - offset);
    if (wanted == 0) return "";
    if (wanted > maxReplyBytes) Runtime.trap("the reply is too large");
    let file = switch (Map.get(files, byHash, filename)) {
      case (?known) known;
      case null Map.empty<Nat, Nat64>();
    };
    inPages(
      offset,
      wanted,
      func(page, within, at, size) {
        let bytes = switch (Map.get(file, Nat.compare, page)) {
          case (?number) Region.loadBlob(region, number * Nat64.fromNat(pageBytes) + Nat64.fromNat(within), size);
          case null zeros(size);
        };
        Store.write(scratch, Nat64.fromNat(at), bytes);
      },
    );
    Region.loadBlob(scratch, 0, wanted);
  };

  public query func listing() : async [(Text, Nat)] {
    Iter.toArray(Map.entries(lengths));
  };
};
