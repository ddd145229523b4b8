/// Splits and encodes the paths of URLs in the same way as gateways do before they look for a proof (the IC's HTTP gateway
/// specification).
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat8 "mo:core/Nat8";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";

module {
  /// The segments of a URL's path, which is first decoded and then split at its slashes. Empty segments are dropped, except for
  /// one at the end, which marks a directory. A % without two hexadecimal digits is taken literally. Null when the decoded path
  /// is not UTF-8.
  public func segments(url : Text) : ?[Blob] {
    let utf8 = Text.encodeUtf8(url);
    let path = List.empty<Nat8>();
    var at = 0;
    label reading while (at < utf8.size()) {
      let byte = utf8[at];
      if (byte == 0x3f or byte == 0x23) break reading;
      at += 1;
      let encoded = if (byte == 0x25 and at + 1 < utf8.size()) hexByte(utf8[at], utf8[at + 1]) else null;
      switch encoded {
        case (?decoded) {
          List.add(path, decoded);
          at += 2;
        };
        case null List.add(path, byte);
      };
    };
    if (Text.decodeUtf8(Blob.fromArray(List.toArray(path))) == null) return null;
    let found = List.empty<Blob>();
    var segment = List.empty<Nat8>();
    func end() {
      if (not List.isEmpty(segment)) List.add(found, Blob.fromArray(List.toArray(segment)));
      segment := List.empty();
    };
    for (byte in List.values(path)) if (byte == 0x2f) end() else List.add(segment, byte);
    let isDirectory = List.isEmpty(segment);
    end();
    if isDirectory List.add<Blob>(found, "");
    ?List.toArray(found);
  };

  /// A URL's query with its `?`; "" if there is none, or if it has characters that a header cannot have.
  public func queryOf(url : Text) : Text {
    let found = queryIn url;
    for (byte in Text.encodeUtf8(found).vals()) if (byte <= 0x20 or byte >= 0x7f) return "";
    found;
  };

  /// Whether a URL's query has a parameter of this name.
  public func hasParameter(url : Text, name : Text) : Bool {
    // Any further ? belongs to the query.
    for (part in Text.split(queryIn url, #char '?')) for (parameter in Text.split(part, #char '&')) {
      if (Text.startsWith(parameter, #text(name # "="))) return true;
    };
    false;
  };

  /// The query with its `?`, or "".
  func queryIn(url : Text) : Text {
    let ?whole = Text.split(url, #char '#').next() else return "";
    let ?path = Text.split(whole, #char '?').next() else return "";
    let ?found = Text.stripStart(whole, #text path) else return "";
    found;
  };

  /// The byte that two hexadecimal digits represent, or null.
  public func hexByte(high : Nat8, low : Nat8) : ?Nat8 {
    let ?first = digit(high) else return null;
    let ?second = digit(low) else return null;
    ?(first * 16 + second);
  };

  func digit(byte : Nat8) : ?Nat8 {
    if (byte >= 0x30 and byte <= 0x39) return ?(byte - 0x30);
    if (byte >= 0x61 and byte <= 0x66) return ?(byte - 0x57);
    if (byte >= 0x41 and byte <= 0x46) return ?(byte - 0x37);
    null;
  };

  /// A path in UTF-8, percent-encoded, without the URL's first slash.
  public func encode(path : Blob) : Text {
    let url = List.empty<Nat8>();
    for (byte in path.vals()) {
      if (isPlainByte byte) List.add(url, byte) else {
        List.add<Nat8>(url, 0x25);
        List.add(url, toDigit(byte / 16));
        List.add(url, toDigit(byte % 16));
      };
    };
    let ?text = Text.decodeUtf8(Blob.fromArray(List.toArray(url))) else Runtime.unreachable();
    text;
  };

  func toDigit(value : Nat8) : Nat8 = if (value < 10) value + 0x30 else value + 0x37;

  /// Whether a path needs no encoding in a URL, nor in HTML.
  public func isPlain(path : Blob) : Bool {
    for (byte in path.vals()) if (not isPlainByte byte) return false;
    true;
  };

  /// Letters, digits and - . _ ~ /
  func isPlainByte(byte : Nat8) : Bool {
    (byte >= 0x61 and byte <= 0x7a) or (byte >= 0x41 and byte <= 0x5a) or (byte >= 0x2d and byte <= 0x39) or byte == 0x5f or byte == 0x7e;
  };
};
