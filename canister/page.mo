/// The page for people, at /.icfs/ and, where a tree has no index.html, at /. It is certified whole, so it is made anew with each change
/// of what it says.
import Nat "mo:core/Nat";
import Nat64 "mo:core/Nat64";
import Text "mo:core/Text";

module {
  public type File = { path : Text; size : Nat; sha256 : Blob };

  public type Release = {
    number : Nat64;
    /// The header's hash, in hexadecimal.
    hash : Text;
    /// Nanoseconds since 1970.
    publishedAt : Nat64;
    publisher : Principal;
    note : Text;
    files : Nat64;
    bytes : Nat64;
  };

  public type Shown = {
    canister : Principal;
    /// The newest release whose pages are ready; null before the first.
    release : ?Release;
    /// Numbers of releases that are below /.icfs/at/.
    pinned : [Nat64];
    /// The first files of the tree in the order of their names, and whether there are more.
    files : [File];
    hasMore : Bool;
  };

  /// So many files are wanted in `Shown`.
  public let maxFiles : Nat = 100;

  /// The page in HTML. @param hex writes a hash, @param url writes a path as the URL of the newest release's file
  public func render({ canister; release; pinned; files; hasMore } : Shown, hex : Blob -> Text, url : Text -> Text) : Text {
    let id = debug_show canister;
    var html = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>icfs " # id # "</title></head><body>\n<h1>" # id # "</h1>\n";
    switch release {
      case null html #= "<p>Nothing has been published here yet.</p>\n";
      case (?{ number; hash; publishedAt; publisher; note; files = count; bytes }) {
        html #= "<p>Release " # Nat64.toText(number) # ", " # time(publishedAt) # ", by " # debug_show publisher # "</p>\n<p>" # escape(note) # "</p>\n<p><code>" # hash # "</code></p>\n<p>" # Nat64.toText(count) # " files, " # Nat64.toText(bytes) # " bytes</p>\n";
      };
    };
    if (pinned.size() > 0) {
      html #= "<p>Held:";
      for (number in pinned.vals()) html #= " " # Nat64.toText(number);
      html #= "</p>\n";
    };
    html #= "<table>\n";
    for ({ path; size; sha256 } in files.vals()) {
      html #= "<tr><td><a href=\"" # url(path) # "\">" # escape(path) # "</a></td><td>" # Nat.toText(size) # "</td><td><code>" # hex(sha256) # "</code></td></tr>\n";
    };
    html #= "</table>\n";
    if hasMore html #= "<p>There are more.</p>\n";
    html # "</body></html>\n";
  };

  /// So that nothing in a text is taken for HTML, between tags or between quotes.
  public func escape(text : Text) : Text {
    var escaped = "";
    for (char in text.chars()) {
      escaped #= switch char {
        case '&' "&amp;";
        case '<' "&lt;";
        case '>' "&gt;";
        case '\"' "&quot;";
        case '\'' "&#39;";
        case other Text.fromChar(other);
      };
    };
    escaped;
  };

  /// Such as 2026-11-29 12:34:56 UTC.
  func time(nanoseconds : Nat64) : Text {
    let seconds = Nat64.toNat(nanoseconds / 1_000_000_000);
    // Days since 0000-03-01, in eras of 400 years.
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day = days % 146_097;
    let year : Nat = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let ofYear : Nat = day - (365 * year + year / 4 - year / 100);
    let month = (5 * ofYear + 2) / 153;
    let ofMonth = ofYear - (153 * month + 2) / 5 + 1 : Nat;
    let civil = if (month < 10) month + 3 else month - 9 : Nat;
    let years = year + era * 400 + (if (civil <= 2) 1 else 0);
    let rest = seconds % 86_400;
    Nat.toText(years) # "-" # two(civil) # "-" # two(ofMonth) # " " # two(rest / 3_600) # ":" # two(rest / 60 % 60) # ":" # two(rest % 60) # " UTC";
  };

  func two(number : Nat) : Text = if (number < 10) "0" # Nat.toText(number) else Nat.toText(number);
};
