/// Channels: names that point to releases, such as `stable`, and that promoters move (docs/PROTOCOL.md, "Channels").
///
/// A channel's last record says what it points to. Records never change: each change adds one, with the next serial and the hash of the
/// previous record. Deleting a channel adds a record without a release, so its name, serials and history stay.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Iter "mo:core/Iter";
import List "mo:core/List";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Principal "mo:core/Principal";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Set "mo:core/Set";
import Text "mo:core/Text";

import HashTree "hashtree";
import Sha256 "sha256";
import Store "store";

module {
  /// Readers refuse a reply that is much longer than one with the records of this many names.
  public let maxNames : Nat = 100;
  let maxNameChars : Nat = 64;

  public type Record = {
    /// The canister that has the channel.
    canister : Principal;
    name : Text;
    /// From 1, each one more than the previous record's.
    serial : Nat64;
    /// The release's number; 0 when the channel is deleted.
    number : Nat64;
    /// The SHA-256 of the release's header; empty when the channel is deleted.
    header : Blob;
    set_by : Principal;
    /// Nanoseconds since 1970.
    at : Nat64;
    note : Text;
    /// The SHA-256 of the previous record; null in the first.
    before : ?Blob;
  };

  /// A promoter's request.
  public type Change = {
    channel : Text;
    /// The release to point to; 0 deletes the channel. Null is refused: a number of another type is decoded as null, and must not delete
    /// anything.
    release : ?Nat64;
    /// The serial of its last record, as far as the caller knows; null when there is none.
    serial : ?Nat64;
    note : Text;
  };

  public type PromoteError = {
    /// `serial` is not that of the last record: somebody changed the channel in between.
    #conflict : { serial : ?Nat64 };
    /// What is wrong with the name, the release or the note.
    #invalid : Text;
  };

  /// The new record's serial.
  public type PromoteResult = { #ok : Nat64; #err : PromoteError };

  /// Where a record is in the region.
  type Place = { at : Nat64; size : Nat32 };

  /// The records of a name, with the last one's release and hash.
  type Channel = {
    /// The places of its records, that of serial n at index n - 1.
    places : List.List<Place>;
    var number : Nat64;
    var hash : Blob;
  };

  /// Records are unlimited, so they are in a region, with about 100 bytes of the heap for each.
  public type Channels = {
    region : Region.Region;
    /// How many bytes of it are in use.
    var end : Nat64;
    named : Map.Map<Text, Channel>;
  };

  public func empty() : Channels = { region = Region.new(); var end = 0; named = Map.empty() };

  func isDigit(c : Char) : Bool = c >= '0' and c <= '9';

  func isAlphanumeric(c : Char) : Bool = (c >= 'a' and c <= 'z') or isDigit c;

  func consists(text : Text, isRight : Char -> Bool) : Bool = not Text.contains(text, #predicate(func c = not isRight c));

  /// Why a name cannot be a channel's, or null. A number would name a release.
  func nameProblem(name : Text) : ?Text {
    let first = switch (name.chars().next()) {
      case (?first) first;
      case null ' ';
    };
    let isRight = name.size() <= maxNameChars and isAlphanumeric first and consists(name, func c = isAlphanumeric c or c == '-' or c == '.' or c == '_');
    if (isRight and not consists(name, isDigit)) return null;
    ?"a channel's name has 1 to 64 of a-z, 0-9, '-', '.' and '_', begins with a letter or a digit, and is not a number";
  };

  func serialOf(channels : Channels, name : Text) : ?Nat64 {
    switch (Map.get(channels.named, Text.compare, name)) {
      case (?{ places }) ?Nat64.fromNat(List.size(places));
      case null null;
    };
  };

  /// Why a change cannot be made, or null. The caller has to check that the release exists.
  public func refusal(channels : Channels, { channel; release; serial } : Change) : ?PromoteError {
    switch (nameProblem channel) {
      case (?problem) return ?#invalid problem;
      case null {};
    };
    if (release == null) return ?#invalid "no release was given as a nat64: give its number, or 0 to delete the channel";
    let last = serialOf(channels, channel);
    if (serial != last) return ?#conflict({ serial = last });
    if (last == null and Map.size(channels.named) >= maxNames) {
      return ?#invalid("there have been " # Nat.toText(maxNames) # " channels, deleted ones included: use one of their names");
    };
    if (release == ?0 and numberOf(channels, channel) == 0) return ?#invalid("there is no channel " # channel);
    null;
  };

  func numberOf(channels : Channels, name : Text) : Nat64 {
    switch (Map.get(channels.named, Text.compare, name)) {
      case (?channel) channel.number;
      case null 0;
    };
  };

  let magic : Blob = "ICFSCHN\01";

  /// Makes a change that was not refused, and returns the new record's serial.
  ///
  /// @param header the hash of the release's header; empty when the change deletes the channel
  public func add(channels : Channels, canister : Principal, { channel = name; release; note } : Change, header : Blob, set_by : Principal, at : Nat64) : Nat64 {
    let ?number = release else Runtime.unreachable();
    let (channel, before) = switch (Map.get(channels.named, Text.compare, name)) {
      case (?channel) (channel, ?channel.hash);
      case null {
        let channel : Channel = { places = List.empty(); var number; var hash = "" };
        Map.add(channels.named, Text.compare, name, channel);
        (channel, null);
      };
    };
    let serial = Nat64.fromNat(List.size(channel.places) + 1);
    let record : Record = { canister; name; serial; number; header; set_by; at; note; before };
    let bytes = HashTree.concat([magic, to_candid (record)]);
    Store.write(channels.region, channels.end, bytes);
    List.add(channel.places, { at = channels.end; size = Nat32.fromNat(bytes.size()) });
    channels.end += Nat64.fromNat(bytes.size());
    channel.number := number;
    channel.hash := Sha256.ofBlob(bytes);
    serial;
  };

  /// A channel's name, and the number of the release that it points to.
  public type Named = (Text, Nat64);

  /// What all existing channels point to, in the order of their names.
  public func all(channels : Channels) : [Named] {
    let numbers = Iter.map<(Text, Channel), Named>(Map.entries(channels.named), func((name, channel)) = (name, channel.number));
    Iter.toArray(Iter.filter<Named>(numbers, func((_, number)) = number > 0));
  };

  /// A channel on the page for people.
  public type Shown = {
    name : Text;
    number : Nat64;
    /// Nanoseconds since 1970.
    at : Nat64;
    /// Shortened if it is long.
    note : Text;
  };

  /// The most characters of a note that are shown: a page with the most channels possible is made in one message.
  let maxShownChars : Nat = 100;

  /// All existing channels, in the order of their names.
  public func shown(channels : Channels) : [Shown] {
    let all = Iter.filterMap<(Text, Channel), Shown>(
      Map.entries(channels.named),
      func((name, channel)) {
        let ?{ at; size } = List.last(channel.places) else return null;
        if (channel.number == 0) return null;
        let start = Nat64.fromNat(magic.size());
        let record : ?Record = from_candid (Region.loadBlob(channels.region, at + start, Nat32.toNat(size) - magic.size()));
        let ?{ at = setAt; note } = record else return null;
        ?{ name; number = channel.number; at = setAt; note = beginning note };
      },
    );
    Iter.toArray(all);
  };

  func beginning(text : Text) : Text {
    if (text.size() <= maxShownChars) return text;
    Text.fromIter(Iter.take(text.chars(), maxShownChars)) # "…";
  };

  /// The releases that channels point to.
  public func releases(named : [Named]) : Set.Set<Nat64> {
    Set.fromIter(Iter.map<Named, Nat64>(named.vals(), func((_, number)) = number), Nat64.compare);
  };

  // --- for readers ---

  func load({ region } : Channels, { at; size } : Place) : Blob = Region.loadBlob(region, at, Nat32.toNat(size));

  /// The last record of each name, or of the requested one.
  public func records(channels : Channels, name : ?Text) : [Blob] {
    let last = func(_ : Text, { places } : Channel) : ?Blob {
      switch (List.last(places)) {
        case (?place) ?load(channels, place);
        case null null;
      };
    };
    let all = Iter.filterMap<(Text, Channel), Blob>(Map.entries(channels.named), func((each, channel)) = if (name == null or name == ?each) last(each, channel) else null);
    Iter.toArray(all);
  };

  /// Records of a name from serial `from` (or the last, if that is less) downwards: at most `count`, and not much more than
  /// `mostBytes` in total.
  public func history(channels : Channels, name : Text, from : Nat, count : Nat, mostBytes : Nat) : [Blob] {
    let ?{ places } = Map.get(channels.named, Text.compare, name) else return [];
    let page = List.empty<Blob>();
    var bytes = 0;
    var serial = Nat.min(from, List.size(places));
    while (serial > 0 and List.size(page) < count and bytes < mostBytes) {
      let record = load(channels, List.at(places, serial - 1 : Nat));
      List.add(page, record);
      bytes += record.size();
      serial -= 1;
    };
    List.toArray(page);
  };

  // --- what is certified ---

  type Entry = (Text, Channel);

  func sorted(channels : Channels) : [Entry] = Iter.toArray(Map.entries(channels.named));

  /// The hash of the tree of all names, each with its last record's hash; null when there are none.
  public func hash(channels : Channels, desk : HashTree.Desk) : ?Blob {
    let named = sorted channels;
    if (named.size() == 0) null else ?hashOf(desk, named, 0, named.size());
  };

  func leaf(desk : HashTree.Desk, (name, channel) : Entry) : Blob {
    HashTree.labelled(desk, Text.encodeUtf8(name), Sha256.ofParts(["\10ic-hashtree-leaf", channel.hash]));
  };

  func hashOf(desk : HashTree.Desk, named : [Entry], from : Nat, to : Nat) : Blob {
    if (from + 1 == to) return leaf(desk, named[from]);
    let middle = (from + to) / 2;
    HashTree.fork(desk, hashOf(desk, named, from, middle), hashOf(desk, named, middle, to));
  };

  /// The witness of this tree, showing one name, or all of them if none is requested or if there is no such name.
  public func witness(channels : Channels, desk : HashTree.Desk, name : ?Text) : ?HashTree.Witness {
    let named = sorted channels;
    if (named.size() == 0) return null;
    let only = switch name {
      case (?name) if (Map.containsKey(channels.named, Text.compare, name)) ?name else null;
      case null null;
    };
    ?witnessOf(desk, named, 0, named.size(), only);
  };

  func witnessOf(desk : HashTree.Desk, named : [Entry], from : Nat, to : Nat, only : ?Text) : HashTree.Witness {
    let isShown = switch only {
      case (?name) Array.any<Entry>(Array.sliceToArray(named, from, to), func((each, _)) = each == name);
      case null true;
    };
    if (not isShown) return #pruned(hashOf(desk, named, from, to));
    if (from + 1 == to) {
      let (name, channel) = named[from];
      return #labelled(Text.encodeUtf8(name), #leaf(channel.hash));
    };
    let middle = (from + to) / 2;
    #fork(witnessOf(desk, named, from, middle, only), witnessOf(desk, named, middle, to, only));
  };
};
