/// The rules for paths and symlinks (docs/PROTOCOL.md, "Paths"). Readers check them again: lib/tree/rules.ts
/// implements the same rules, and the tests run both on the same cases.
import Blob "mo:core/Blob";
import Iter "mo:core/Iter";
import List "mo:core/pure/List";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";
import VarArray "mo:core/VarArray";

module {
  public let maxPathBytes : Nat = 4096;
  public let maxComponentBytes : Nat32 = 255;
  /// The number of links that Linux follows before it answers ELOOP (MAXSYMLINKS).
  public let maxHops : Nat = 40;

  /// What is at a path, as far as following a symlink needs to know.
  public type Node = { #directory; #file; #symlink : Text };

  func bytes(text : Text) : Nat = Text.encodeUtf8(text).size();

  /// The components of a path; none for the root, whose path is empty. All in UTF-8.
  public func names(path : Blob) : [Blob] {
    if (path == "") return [];
    let ?text = Text.decodeUtf8(path) else Runtime.unreachable();
    List.toArray(List.map(components(text), Text.encodeUtf8));
  };

  /// The path of names.
  public func joined(names : [Blob]) : Blob {
    let texts = Iter.map<Blob, Text>(names.vals(), func name {
      let ?text = Text.decodeUtf8(name) else Runtime.unreachable();
      text;
    });
    Text.encodeUtf8(Text.join(texts, "/"));
  };

  /// What is wrong with `path`, or null. One pass over its bytes: a manifest may have 100,000 paths, with 30 MB.
  public func problem(path : Text) : ?Text {
    let utf8 = Text.encodeUtf8(path);
    var control = false;
    // The component that is being read: its length, and whether it consists of dots.
    var length : Nat32 = 0;
    var dots = true;
    var bad : ?Text = null;
    func end() {
      if (bad != null) return;
      if (length == 0) bad := ?"the path has an empty component" else if (dots and length <= 2) bad := ?"the path has a component . or .." else if (length > maxComponentBytes) bad := ?"the path has a component longer than 255 bytes";
    };
    var before : Nat8 = 0;
    for (byte in utf8.vals()) {
      if (isControl(before, byte)) control := true;
      if (byte == 0x2f) {
        end();
        length := 0;
        dots := true;
      } else {
        length +%= 1;
        if (byte != 0x2e) dots := false;
      };
      before := byte;
    };
    end();
    if (utf8.size() == 0) return ?"the path is empty";
    if (utf8.size() > maxPathBytes) return ?"the path is longer than 4096 bytes";
    if (control) return ?"the path has a control character";
    if (utf8[0] == 0x2f) return ?"the path is absolute";
    bad;
  };

  /// What is wrong with a path in a release, in addition to the above, or null.
  public func reservedProblem(path : Text) : ?Text {
    if (path == reservedName) ?"this name at the top of a tree is the canister's own: rename it, or leave it out" else null;
  };

  /// At the top of a tree, this name is reserved for the canister's own URLs, /.icfs/... (docs/PROTOCOL.md, "HTTP").
  public let reservedName = ".icfs";

  /// U+0000 to U+001F and U+007F to U+009F, from a byte of UTF-8 and the previous one: a terminal that shows a name must not obey it.
  func isControl(before : Nat8, byte : Nat8) : Bool = byte < 0x20 or byte == 0x7f or (before == 0xc2 and byte < 0xa0);

  func hasControl(text : Text) : Bool {
    var before : Nat8 = 0;
    for (byte in Text.encodeUtf8(text).vals()) {
      if (isControl(before, byte)) return true;
      before := byte;
    };
    false;
  };

  /// Where the last slash is; null when there is none.
  func lastSlash(utf8 : Blob) : ?Nat {
    var at = utf8.size();
    while (at > 0) {
      at -= 1;
      if (utf8[at] == 0x2f) return ?at;
    };
    null;
  };

  /// The directory that holds `path`; "" is the root.
  public func parent(path : Text) : Text {
    let utf8 = Text.encodeUtf8(path);
    let ?end = lastSlash(utf8) else return "";
    part(utf8, 0, end);
  };

  /// The text from byte `from` on, and before byte `to`, which must not lie within a character.
  func part(utf8 : Blob, from : Nat, to : Nat) : Text {
    let bytes = VarArray.repeat<Nat8>(0, to - from);
    var at = from;
    while (at < to) {
      bytes[at - from] := utf8[at];
      at += 1;
    };
    let ?text = Text.decodeUtf8(Blob.fromVarArray(bytes)) else Runtime.unreachable();
    text;
  };

  /// Whether the directory that holds `path` is `directory`. Entries of one directory are consecutive, and this is cheaper than
  /// parent().
  public func isIn(path : Text, directory : Text) : Bool {
    let inner = Text.encodeUtf8(path);
    let outer = Text.encodeUtf8(directory);
    let ?end = lastSlash(inner) else return outer.size() == 0;
    if (end != outer.size()) return false;
    var at = 0;
    for (byte in outer.vals()) {
      if (inner[at] != byte) return false;
      at += 1;
    };
    true;
  };

  /// What following a tree's links may cost: see `maxLinkWork`.
  public type Budget = { var left : Nat };

  public func budget() : Budget = { var left = maxLinkWork };

  /// The budget for following a tree's links: for each component 1,000 bytes and the path so far, and each target. Enough for
  /// 7,000 links of ten components each. Links that are made to be slow could cost a million times that.
  let maxLinkWork = 80_000_000;
  let stepBytes = 1_000;

  /// Charges for reading so many bytes; whether that much was left.
  func spend(budget : Budget, bytes : Nat) : Bool {
    if (bytes > budget.left) return false;
    budget.left -= bytes;
    true;
  };

  /// Concatenated texts are trees of their parts, and slow to compare.
  func flat(text : Text) : Text {
    let ?flat = Text.decodeUtf8(Text.encodeUtf8(text)) else Runtime.unreachable();
    flat;
  };

  /// The components between the slashes. Text.split() builds texts character by character, which takes ten times as long.
  func components(target : Text) : List.List<Text> {
    let utf8 = Text.encodeUtf8(target);
    var found = List.empty<Text>();
    var end = utf8.size();
    var at = end;
    while (at > 0) {
      at -= 1;
      if (utf8[at] == 0x2f) {
        found := List.pushFront(found, part(utf8, at + 1, end));
        end := at;
      };
    };
    List.pushFront(found, part(utf8, 0, end));
  };

  let tooSlow = #problem("the symlinks take too many steps to follow");

  /// Where the symlink at `path` that points to `target` leads, through so many links, including itself; or what is wrong
  /// with it. It is followed as the kernel does, component by component and through other links: a check of the text alone
  /// would accept `p/q/r/up/../outside` even if `up` points to `../../..`.
  public func follow(path : Text, target : Text, lookup : Text -> ?Node, budget : Budget) : { #at : (Text, Nat); #problem : Text } {
    if (target == "") return #problem("the symlink's target is empty");
    if (bytes(target) > maxPathBytes) return #problem("the symlink's target is longer than 4096 bytes");
    if (hasControl(target)) return #problem("the symlink's target has a control character");
    var hops = 1;
    var current = parent(path);
    if (Text.startsWith(target, #char '/')) return #problem("the symlink is absolute");
    if (not spend(budget, bytes(target))) return tooSlow;
    var pending = components(target);
    loop {
      switch (List.popFront(pending)) {
        case (null, _) return #at(current, hops);
        case (?component, rest) {
          pending := rest;
          if (not spend(budget, stepBytes + bytes(current))) return tooSlow;
          if (component == "..") {
            if (current == "") return #problem("the symlink leaves the tree");
            current := parent(current);
          } else if (component != "" and component != ".") {
            let next = if (current == "") component else flat(current # "/" # component);
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
                if (not spend(budget, bytes(through))) return tooSlow;
                pending := List.concat(components(through), pending);
              };
            };
          };
        };
      };
    };
  };
};
