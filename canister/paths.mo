/// The rules a path and a symlink must keep (docs/PROTOCOL.md, "Paths"). Readers check them again: lib/tree/rules.ts
/// is this module's twin, and the tests run both over the same cases.
import Char "mo:core/Char";
import List "mo:core/pure/List";
import Text "mo:core/Text";

module {
  public let maxPathBytes : Nat = 4096;
  public let maxComponentBytes : Nat = 255;
  /// What Linux follows before it answers ELOOP (MAXSYMLINKS).
  public let maxHops : Nat = 40;

  /// What stands at a path, as far as following a symlink needs to know.
  public type Node = { #directory; #file; #symlink : Text };

  func bytes(text : Text) : Nat = Text.encodeUtf8(text).size();

  /// What is wrong with `path`, or null.
  public func problem(path : Text) : ?Text {
    if (path == "") return ?"the path is empty";
    if (bytes(path) > maxPathBytes) return ?"the path is longer than 4096 bytes";
    if (hasControl(path)) return ?"the path has a control character";
    if (Text.startsWith(path, #char '/')) return ?"the path is absolute";
    for (component in Text.split(path, #char '/')) {
      if (component == "") return ?"the path has an empty component";
      if (component == "." or component == "..") return ?"the path has a component . or ..";
      if (bytes(component) > maxComponentBytes) return ?"the path has a component longer than 255 bytes";
    };
    null;
  };

  /// U+0000 to U+001F and U+007F to U+009F: a terminal that shows a name must not obey it.
  func hasControl(text : Text) : Bool {
    for (c in text.chars()) {
      let code = Char.toNat32(c);
      if (code < 0x20 or (code >= 0x7f and code < 0xa0)) return true;
    };
    false;
  };

  /// The directory that holds `path`; "" is the root.
  public func parent(path : Text) : Text {
    var result = "";
    var component = "";
    for (next in Text.split(path, #char '/')) {
      if (component != "") result := if (result == "") component else result # "/" # component;
      component := next;
    };
    result;
  };

  func components(target : Text) : List.List<Text> = List.fromIter(Text.split(target, #char '/'));

  /// What is wrong with the symlink at `path` that points to `target`, or null. It is followed as the kernel does,
  /// component by component and through other links: a look at the text alone would let `p/q/r/up/../outside` pass
  /// where `up` points to `../../..`.
  public func linkProblem(path : Text, target : Text, lookup : Text -> ?Node) : ?Text {
    if (target == "") return ?"the symlink's target is empty";
    if (bytes(target) > maxPathBytes) return ?"the symlink's target is longer than 4096 bytes";
    if (hasControl(target)) return ?"the symlink's target has a control character";
    var hops = 1;
    var current = parent(path);
    if (Text.startsWith(target, #char '/')) return ?"the symlink is absolute";
    var pending = components(target);
    loop {
      switch (List.popFront(pending)) {
        case (null, _) return null;
        case (?component, rest) {
          pending := rest;
          if (component == "..") {
            if (current == "") return ?"the symlink leaves the tree";
            current := parent(current);
          } else if (component != "" and component != ".") {
            let next = if (current == "") component else current # "/" # component;
            switch (lookup(next)) {
              case null return ?("the symlink leads to " # next # ", which is not in the tree");
              case (?#directory) current := next;
              case (?#file) {
                if (not List.isEmpty(pending)) return ?("the symlink goes through " # next # ", which is a file");
              };
              case (?#symlink through) {
                hops += 1;
                if (hops > maxHops) return ?"the symlink takes more than 40 hops";
                if (Text.startsWith(through, #char '/')) return ?"the symlink leads to an absolute one";
                pending := List.concat(components(through), pending);
              };
            };
          };
        };
      };
    };
  };
};
