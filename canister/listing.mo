/// The pages for people at /.icfs/files/, which list the directories of the release at /, with a fixed number of entries per page. A
/// directory has pages only at its own path, and a symlink to it has none, so links do not multiply the pages.
///
/// Only a page's hash is kept. It is made with the release's other pages, or shared with the previous release if the page is the same.
/// The HTML is written for each request: it depends only on the directory's path, its entries, and which of them have pages.
import List "mo:core/List";
import Nat "mo:core/Nat";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";

import Html "html";
import Nodes "nodes";
import Paths "paths";
import Responses "responses";
import Trie "trie";
import Url "url";

module {
  type Node = Nodes.Node;

  /// Entries per page: about 40 KB of HTML.
  public let maxEntries : Nat = 200;

  public type Entry = {
    /// In UTF-8.
    name : Blob;
    what : {
      /// Whether it has pages: a symlink to a directory has none.
      #directory : Bool;
      #file : { size : Nat; sha256 : Blob };
    };
  };

  public type Page = {
    /// The directory's path in UTF-8, empty for the root.
    path : Blob;
    entries : [Entry];
    /// The names of the previous and the next page.
    before : ?Text;
    behind : ?Text;
  };

  // --- HTML ---

  func decoded(utf8 : Blob) : Text {
    let ?text = Text.decodeUtf8(utf8) else Runtime.unreachable();
    text;
  };

  /// The beginning of the URLs of a directory's entries: a slash, and the directory's path with a slash at its end.
  func behindSlash(path : Blob) : Text = if (path == "") "/" else "/" # Url.encode(path) # "/";

  public func render({ path; entries; before; behind } : Page) : Text {
    let at = "/.icfs/files" # behindSlash(path);
    let heading = if (path == "") "Files" else Html.escape(decoded(path)) # "/";
    var html = "<nav><a href=\"/.icfs/\">Canister</a>" # way(path) # "</nav>\n<h1>" # heading # "</h1>\n";
    html #= if (entries.size() == 0) "<p>There are no files here.</p>\n" else table(path, entries);
    if (before != null or behind != null) {
      html #= "<p class=\"turn\">";
      for ((name, text) in [(before, "← Before"), (behind, "More →")].vals()) {
        switch name {
          case (?name) html #= "<a href=\"" # at # name # "\">" # text # "</a>";
          case null {};
        };
      };
      html #= "</p>\n";
    };
    Html.document(if (path == "") "Files" else decoded(path) # "/", html);
  };

  /// The directories above one, each with a link.
  func way(path : Blob) : Text {
    if (path == "") return "";
    var html = " / <a href=\"/.icfs/files/\">Files</a>";
    let names = Paths.names(path);
    var url = "/.icfs/files/";
    for (i in names.keys()) {
      url #= Url.encode(names[i]) # "/";
      if (i + 1 < names.size()) html #= " / <a href=\"" # url # "\">" # Html.escape(decoded(names[i])) # "</a>";
    };
    html;
  };

  /// The entries of a directory. @param path of the directory, in UTF-8
  public func table(path : Blob, entries : [Entry]) : Text {
    let to = "<tr><td><a href=\"" # behindSlash(path);
    let toPages = "<tr><td><a href=\"/.icfs/files" # behindSlash(path);
    var html = "<div class=\"scroll\"><table class=\"files\">\n<tr><th>Name<th>Bytes<th>SHA-256\n";
    for ({ name; what } in entries.vals()) {
      let isPlain = Url.isPlain(name);
      let text = decoded(name);
      let url = if isPlain text else Url.encode(name);
      let shown = if isPlain text else Html.escape(text);
      html #= switch what {
        case (#file { size; sha256 }) to # url # "\">" # shown # "</a><td>" # grouped(size) # "<td><code>" # Responses.hex(sha256) # "</code>\n";
        case (#directory true) toPages # url # "/\">" # shown # "/</a><td><td>\n";
        case (#directory false) "<tr><td>" # shown # "/<td><td class=\"quiet\">a symlink\n";
      };
    };
    html # "</table></div>\n";
  };

  /// A number with thousands separators.
  public func grouped(number : Nat) : Text {
    if (number < 1_000) return Nat.toText(number);
    let rest = number % 1_000;
    grouped(number / 1_000) # "," # (if (rest < 10) "00" else if (rest < 100) "0" else "") # Nat.toText(rest);
  };

  /// Sample pages with everything that a page can have. A version of this module with different HTML has a different sample.
  public func sample() : Text {
    let sha256 : Blob = "\00\01\fe\ff";
    let entries : [Entry] = [
      { name = "a b"; what = #directory true },
      { name = "<&>"; what = #directory false },
      { name = "plain"; what = #file { size = 1_234_567; sha256 } },
    ];
    render({ path = "x y/z"; entries; before = ?""; behind = ?"3" }) # render({ path = ""; entries = []; before = null; behind = null }) # Nat.toText(maxEntries);
  };

  // --- where the pages come from ---

  /// A directory in the trees of nodes. @param entries what is served of it; @param folders its entries that have pages
  public type Directory = { path : Blob; entries : Node; folders : Node };

  /// The position in a directory's entries.
  public type Cursor = { walk : Trie.Walk; var next : Node };

  public func begin(nodes : Nodes.Nodes, { entries } : Directory) : Cursor {
    let walk = Trie.walk(entries);
    let cursor = { walk; var next = Trie.next(nodes, walk) };
    // The entry without a name is index.html again, which is listed by its name.
    if (cursor.next != Nodes.none and Nodes.name(nodes, cursor.next) == "") cursor.next := Trie.next(nodes, walk);
    cursor;
  };

  public func copy(cursor : Cursor) : Cursor = { walk = List.clone(cursor.walk); var next = cursor.next };

  /// Moves both cursors past page `number`. @return how many entries it has, and whether the earlier directory has the same page
  public func passSame(nodes : Nodes.Nodes, directory : Directory, cursor : Cursor, before : Directory, beforeCursor : Cursor, number : Nat) : { entries : Nat; isSame : Bool } {
    let hasSameFolders = directory.folders == before.folders;
    var isSame = hasSameFolders or (pageName(nodes, directory, number - 1 : Nat) == pageName(nodes, before, number - 1 : Nat) and pageName(nodes, directory, number + 1) == pageName(nodes, before, number + 1));
    var passed = 0;
    while (cursor.next != Nodes.none and passed < maxEntries) {
      let entry = cursor.next;
      let old = beforeCursor.next;
      if (old == Nodes.none) isSame := false else {
        isSame := isSame and (
          if (Nodes.kind(nodes, entry) != Nodes.folder) entry == old else {
            let name = Nodes.name(nodes, entry);
            Nodes.kind(nodes, old) == Nodes.folder and Nodes.name(nodes, old) == name and (hasSameFolders or hasPages(nodes, directory, name) == hasPages(nodes, before, name));
          }
        );
        beforeCursor.next := Trie.next(nodes, beforeCursor.walk);
      };
      cursor.next := Trie.next(nodes, cursor.walk);
      passed += 1;
    };
    { entries = passed; isSame = isSame and (cursor.next == Nodes.none) == (beforeCursor.next == Nodes.none) };
  };

  /// Page `number`, whose entries begin at the cursor. The first page has number 1. The cursor is moved past them; at the last page's end
  /// its `next` is none.
  public func page(nodes : Nodes.Nodes, directory : Directory, cursor : Cursor, number : Nat) : Page {
    let found = List.empty<Entry>();
    while (cursor.next != Nodes.none and List.size(found) < maxEntries) {
      let entry = cursor.next;
      let name = Nodes.name(nodes, entry);
      let what = if (Nodes.kind(nodes, entry) == Nodes.folder) #directory(hasPages(nodes, directory, name)) else #file {
        size = Nodes.fileSize(nodes, entry);
        sha256 = Nodes.fileHash(nodes, entry);
      };
      List.add(found, { name; what });
      cursor.next := Trie.next(nodes, cursor.walk);
    };
    {
      path = directory.path;
      entries = List.toArray(found);
      before = if (number > 1) ?pageName(nodes, directory, number - 1) else null;
      behind = if (cursor.next != Nodes.none) ?pageName(nodes, directory, number + 1) else null;
    };
  };

  /// Page `number` of a directory, which must have that many.
  public func pageAt(nodes : Nodes.Nodes, directory : Directory, number : Nat) : Page {
    let cursor = begin(nodes, directory);
    var skipped = (number - 1 : Nat) * maxEntries;
    while (skipped > 0) {
      cursor.next := Trie.next(nodes, cursor.walk);
      skipped -= 1;
    };
    page(nodes, directory, cursor, number);
  };

  func hasPages(nodes : Nodes.Nodes, { folders } : Directory, name : Blob) : Bool {
    let entry = Trie.find(nodes, folders, name);
    entry != Nodes.none and Nodes.kind(nodes, entry) == Nodes.folder;
  };

  /// A page's name after the directory's URL: none for the first, and the page's number for others, with hyphens before it if a directory
  /// has that name.
  public func pageName(nodes : Nodes.Nodes, directory : Directory, number : Nat) : Text {
    if (number == 1) return "";
    var name = Nat.toText(number);
    while (hasPages(nodes, directory, Text.encodeUtf8(name))) name := "-" # name;
    name;
  };

  /// The entries of a directory below a root; none when there is no such directory. @param names on the way to it
  public func inside(nodes : Nodes.Nodes, root : Node, names : [Blob]) : Node {
    var at = root;
    for (name in names.vals()) {
      let entry = Trie.find(nodes, at, name);
      if (entry == Nodes.none or Nodes.kind(nodes, entry) != Nodes.folder) return Nodes.none;
      at := Nodes.inside(nodes, entry);
    };
    at;
  };
};
