/// HTML for people: a document, and text in one.
import Char "mo:core/Char";
import Nat32 "mo:core/Nat32";
import Text "mo:core/Text";

module {
  /// A document. @param title as text @param body as HTML
  public func document(title : Text, body : Text) : Text {
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">" #
    "<meta name=\"color-scheme\" content=\"light dark\"><link rel=\"stylesheet\" href=\"/.icfs/style.css\"><title>" # titled(title) # "</title>\n<main>\n" # body # "</main>\n";
  };

  /// Text between tags: nothing in it is interpreted as HTML, and characters that are invisible, or that change how others look, appear as
  /// their numbers. Not for attributes, which only get URLs (url.mo) and numbers.
  public func escape(text : Text) : Text = written(text, func number = "<mark>" # number # "</mark>");

  /// The same, keeping line breaks.
  public func lines(text : Text) : Text = written(text, func number = if (number == "U+000A") "\n" else "<mark>" # number # "</mark>");

  /// A title has no tags in it.
  func titled(text : Text) : Text = written(text, func number = number);

  func written(text : Text, hidden : Text -> Text) : Text {
    var html = "";
    for (char in text.chars()) {
      html #= switch char {
        case '&' "&amp;";
        case '<' "&lt;";
        case '>' "&gt;";
        case '\"' "&quot;";
        case '\'' "&#39;";
        case other if (isHidden(Char.toNat32(other))) hidden(number(Char.toNat32(other))) else Text.fromChar(other);
      };
    };
    html;
  };

  /// A character's number, such as U+202E.
  func number(char : Nat32) : Text {
    var digits = "";
    var left = char;
    while (left > 0 or digits.size() < 4) {
      let digit = left % 16;
      digits := Text.fromChar(Char.fromNat32(digit + (if (digit < 10) 0x30 else 0x37))) # digits;
      left /= 16;
    };
    "U+" # digits;
  };

  /// Control characters, those that change the direction of text, and those that are as wide as a space, or have no width: Unicode's
  /// Cc, Cf, Zl, Zp, Default_Ignorable_Code_Point, and Zs other than the space itself.
  func isHidden(char : Nat32) : Bool {
    if (char < 0x7f) return char < 0x20;
    let within = func(from : Nat32, to : Nat32) : Bool = char >= from and char <= to;
    if (char < 0x600) return char <= 0xa0 or char == 0xad or char == 0x34f;
    if (char < 0x2000) return within(0x600, 0x605) or char == 0x61c or char == 0x6dd or char == 0x70f or char == 0x890 or char == 0x891 or char == 0x8e2 or within(0x115f, 0x1160) or char == 0x1680 or within(0x17b4, 0x17b5) or within(0x180b, 0x180f);
    within(0x2000, 0x200f) or within(0x2028, 0x202f) or within(0x205f, 0x206f) or char == 0x2800 or char == 0x3000 or char == 0x3164 or within(0xfe00, 0xfe0f) or char == 0xfeff or char == 0xffa0 or within(0xfff0, 0xfffb) or char == 0x110bd or char == 0x110cd or within(0x13430, 0x1343f) or within(0x1bca0, 0x1bca3) or within(0x1d173, 0x1d17a) or within(0xe0000, 0xe0fff);
  };
};
