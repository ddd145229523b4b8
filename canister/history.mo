/// The headers of all releases, kept for ever: their bytes in a region, because they are unlimited and the heap is not;
/// the place and hash of each on the heap (about 150 bytes).
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";

import Sha256 "sha256";
import Store "store";
import Types "types";

module {
  type Place = { at : Nat64; size : Nat32; hash : Blob };

  public type History = {
    region : Region.Region;
    /// Release n's is at index n - 1.
    places : List.List<Place>;
  };

  public func empty() : History = { region = Region.new(); places = List.empty() };

  /// How many there are: the newest release's number.
  public func size({ places } : History) : Nat = List.size(places);

  public func add({ region; places } : History, header : Blob, hash : Blob) {
    let at : Nat64 = switch (List.last(places)) {
      case null 0;
      case (?{ at; size }) at + Nat64.fromNat32(size);
    };
    Store.write(region, at, header);
    List.add(places, { at; size = Nat32.fromNat(header.size()); hash });
  };

  /// The header of an existing release.
  public func header({ region; places } : History, number : Nat) : Blob {
    let { at; size } = List.at(places, number - 1 : Nat);
    Region.loadBlob(region, at, Nat32.toNat(size));
  };

  let magic : Blob = "ICFSHDR\01";

  /// Adds a release's header.
  public func append(history : History, details : Types.Header) {
    let header = Blob.fromArray(Array.concat(Blob.toArray(magic), Blob.toArray(to_candid (details))));
    add(history, header, Sha256.ofBlob(header));
  };

  /// The decoded header of an existing release.
  public func details(history : History, number : Nat64) : Types.Header {
    let bytes = header(history, Nat64.toNat(number));
    let candid = Blob.fromArray(Array.tabulate<Nat8>(bytes.size() - magic.size(), func i = bytes[magic.size() + i]));
    let ?details : ?Types.Header = from_candid candid else Runtime.unreachable();
    details;
  };

  /// The hash of an existing release's header.
  public func hash({ places } : History, number : Nat) : Blob = List.at(places, number - 1 : Nat).hash;

  /// The newest header's hash; null before the first.
  public func newest({ places } : History) : ?Blob {
    switch (List.last(places)) {
      case null null;
      case (?{ hash }) ?hash;
    };
  };
};
