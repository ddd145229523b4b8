/// Reads the header Range (RFC 9110, 14.1 and 14.2).
import List "mo:core/List";
import Nat "mo:core/Nat";
import Text "mo:core/Text";

module {
  /// A longer header is not parsed: it requests more than one piece can answer, or has numbers that would take many instructions to parse.
  let mostCharacters = 200;

  /// The part after `bytes=`; empty, which no range satisfies, when the header is too long; null when it has another unit, and is to be
  /// ignored.
  ///
  /// @param range the header's value
  public func ofBytes(range : Text) : ?Text {
    if (range.size() > mostCharacters) return ?"";
    let parts = Text.split(range, #char '=');
    let ?unit = parts.next() else return null;
    if (Text.toLower(Text.trim(unit, #predicate isSpace)) != "bytes") return null;
    // A second = makes it an invalid range; it is kept here.
    ?Text.join(parts, "=");
  };

  /// The first byte of the first of the ranges that has any; null when none has, or one of them is not a range.
  ///
  /// @param ranges as `ofBytes` gives them
  /// @param size bytes of the file
  public func first(ranges : Text, size : Nat) : ?Nat {
    var found : ?Nat = null;
    for (part in Text.split(ranges, #char ',')) {
      let range = Text.trim(part, #predicate isSpace);
      // Lists may have empty elements.
      if (range != "") {
        let ?begin = firstOf(range, size) else return null;
        if (found == null and begin < size) found := ?begin;
      };
    };
    found;
  };

  /// The first byte of a range, at or past the file's end when it has no byte in the file; null when it is not a range.
  func firstOf(range : Text, size : Nat) : ?Nat {
    let parts = List.fromIter(Text.split(range, #char '-'));
    if (List.size(parts) != 2) return null;
    let (begin, end) = (List.at(parts, 0), List.at(parts, 1));
    if (begin == "") {
      let ?count = Nat.fromText(end) else return null;
      return ?(size - Nat.min(count, size));
    };
    let ?from = Nat.fromText(begin) else return null;
    if (end == "") return ?from;
    let ?to = Nat.fromText(end) else return null;
    if (to < from) null else ?from;
  };

  func isSpace(c : Char) : Bool = c == ' ' or c == '\t';
};
