/// The rules a path and a symlink must keep (docs/PROTOCOL.md, "Paths"). Readers check them again: lib/tree/rules.ts
/// is this module's twin, and the tests run both over the same cases.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Char "mo:core/Char";
import List "mo:core/pure/List";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";

module {
  public let maxPathBytes : Nat = 4096;
  public let maxComponentBytes : Nat = 255;
  /// What Linux follows before it answers ELOOP (MAXSYMLINKS).
  public let maxHops : Nat = 40;

  /// What stands at a path, as far as following a symlink needs to know.
  public type Node = { #directory; #file; #symlink : Text };

  func bytes(text : Text) : Nat = Text.encodeUtf8(text).size();

  /// What is wrong with `path`, or null. One walk over its characters: a manifest may have 100,000 paths.
  public func problem(path : Text) : ?Text {
    var total = 0;
    var control = false;
    // The component that is being read: its bytes, and whether they are all dots.
    var length = 0;
    var dots = true;
    var bad : ?Text = null;
    func end() {
      if (bad != null) return;
      if (length == 0) bad := ?"the path has an empty component" else if (dots and length <= 2) bad := ?"the path has a component . or .." else if (length > maxComponentBytes) bad := ?"the path has a component longer than 255 bytes";
    };
    for (c in path.chars()) {
      let code = Char.toNat32(c);
      let size = utf8Bytes(code);
      total += size;
      if (isControl(code)) control := true;
      if (c == '/') {
        end();
        length := 0;
        dots := true;
      } else {
        length += size;
        if (c != '.') dots := false;
      };
    };
    end();
    if (total == 0) return ?"the path is empty";
    if (total > maxPathBytes) return ?"the path is longer than 4096 bytes";
    if (control) return ?"the path has a control character";
    if (Text.startsWith(path, #char '/')) return ?"the path is absolute";
    bad;
  };

  func utf8Bytes(code : Nat32) : Nat {
    if (code < 0x80) 1 else if (code < 0x800) 2 else if (code < 0x10000) 3 else 4;
  };

  /// U+0000 to U+001F and U+007F to U+009F: a terminal that shows a name must not obey it.
  func isControl(code : Nat32) : Bool = code < 0x20 or (code >= 0x7f and code < 0xa0);

  func hasControl(text : Text) : Bool {
    for (c in text.chars()) if (isControl(Char.toNat32(c))) return true;
    false;
  };

  /// The directory that holds `path`; "" is the root.
  public func parent(path : Text) : Text {
    let utf8 = Text.encodeUtf8(path);
    var end = utf8.size();
    label look while (end > 0) {
      end -= 1;
      if (utf8[end] == 0x2f) break look;
    };
    let ?text = Text.decodeUtf8(Blob.fromArray(Array.tabulate<Nat8>(end, func i = utf8[i]))) else Runtime.unreachable();
    text;
  };

  func components(target : Text) : List.List<Text> = List.fromIter(Text.split(target, #char '/'));

  /// Where the symlink at `path` that points to `target` leads, through so many links, itself included; or what is wrong
  /// with it. It is followed as the kernel does, component by component and through other links: a look at the text alone
  /// would let `p/q/r/up/../outside` pass where `up` points to `../../..`.
  public func follow(path : Text, target : Text, lookup : Text -> ?Node) : { #at : (Text, Nat); #problem : Text } {
    if (target == "") return #problem("the symlink's target is empty");
    if (bytes(target) > maxPathBytes) return #problem("the symlink's target is longer than 4096 bytes");
    if (hasControl(target)) return #problem("the symlink's target has a control character");
    var hops = 1;
    var current = parent(path);
    if (Text.startsWith(target, #char '/')) return #problem("the symlink is absolute");
    var pending = components(target);
    loop {
      switch (List.popFront(pending)) {
        case (null, _) return #at(current, hops);
        case (?component, rest) {
          pending := rest;
          if (component == "..") {
            if (current == "") return #problem("the symlink leaves the tree");
            current := parent(current);
          } else if (component != "" and component != ".") {
            let next = if (current == "") component else current # "/" # component;
            switch (lookup(next)) {
              case null return #problem("the symlink leads to " # next # ", which is not in the tree");
              case (?#directory) current := next;
              case (?#file) {
                if (not List.isEmpty(pending)) return #problem("the symlink goes through " # next # ", which is a file");
                current := next;
              };
              case (?#symlink through) {
                hops += 1;
                if (hops > maxHops) return #problem("the symlink takes more than 40 hops");
                if (Text.startsWith(through, #char '/')) return #problem("the symlink leads to an absolute one");
                pending := List.concat(components(through), pending);
              };
            };
          };
        };
      };
    };
  };
};
