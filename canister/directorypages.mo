/// Makes the pages that list a directory (listing.mo) for its tree of pages (sitebuild.mo), one after the other. Unchanged pages of the
/// previous release are kept, and those of its subdirectories are shared.
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat32 "mo:core/Nat32";
import Text "mo:core/Text";

import Listing "listing";
import Nodes "nodes";
import Responses "responses";
import Trie "trie";

module {
  type Node = Nodes.Node;

  /// Subdirectories of a directory that is walked, each with its tree of pages; none for an entry that has no pages.
  public type Listed = List.List<(Blob, Node)>;

  public type Paging = {
    /// The paging refers to both of its trees.
    directory : Listing.Directory;
    cursor : Listing.Cursor;
    /// The same directory in the previous release, to whose trees the job refers. Its cursor moves along with the other.
    before : Listing.Directory;
    beforeCursor : Listing.Cursor;
    pages : List.List<Node>;
  };

  // Approximate costs, in instructions (bench/instructions.ts).
  let pageCost : Nat = 300_000;
  let rowCost : Nat = 65_000;
  let keptRowCost : Nat = 5_000;

  /// A tree of the directories with pages.
  public func grownFolders(nodes : Nodes.Nodes, { listed } : { listed : Listed }) : Node {
    let folders = Trie.growing();
    for ((name, pages) in List.values(listed)) if (pages != Nodes.none) Trie.grow(nodes, folders, Nodes.newFolder(nodes, name, Nodes.retain(nodes, pages)));
    Trie.grown(nodes, folders);
  };

  /// A tree like `old`, which has a directory's pages and its subdirectories with pages in the release before: the same pages, with the
  /// subdirectories of this release.
  public func changedFolders(nodes : Nodes.Nodes, old : Node, { listed; gone } : { listed : Listed; gone : List.List<Blob> }) : Node {
    var folders = Nodes.retain(nodes, old);
    func has(name : Blob, pages : Node) {
      let entry = Trie.find(nodes, folders, name);
      let isFolder = entry != Nodes.none and Nodes.kind(nodes, entry) == Nodes.folder;
      let next = if (pages == Nodes.none) {
        if (not isFolder) return;
        Trie.remove(nodes, folders, name);
      } else {
        if (isFolder and Nodes.inside(nodes, entry) == pages) return;
        Trie.insert(nodes, folders, Nodes.newFolder(nodes, name, Nodes.retain(nodes, pages)));
      };
      Nodes.drop(nodes, folders);
      folders := next;
    };
    for (name in List.values(gone)) has(name, Nodes.none);
    for ((name, pages) in List.values(listed)) has(name, pages);
    folders;
  };

  /// Whether the subdirectories in a directory's tree of pages, `listing`, are exactly these.
  public func hasFolders(nodes : Nodes.Nodes, listing : Node, { listed } : { listed : Listed }) : Bool {
    let walk = Trie.walk(listing);
    let expected = List.filter<(Blob, Node)>(listed, func((_, pages)) = pages != Nodes.none);
    var found = 0;
    loop {
      let entry = Trie.next(nodes, walk);
      if (entry == Nodes.none) return found == List.size(expected);
      if (Nodes.kind(nodes, entry) == Nodes.folder) {
        if (found == List.size(expected)) return false;
        let (name, pages) = List.at(expected, found);
        if (Nodes.name(nodes, entry) != name or Nodes.inside(nodes, entry) != pages) return false;
        found += 1;
      };
    };
  };

  /// Begins a directory's pages. @param directory refers to both of its trees; the references are taken over
  public func begin(nodes : Nodes.Nodes, directory : Listing.Directory, before : Listing.Directory) : Paging {
    { directory; cursor = Listing.begin(nodes, directory); before; beforeCursor = Listing.begin(nodes, before); pages = List.empty() };
  };

  /// Releases everything that a paging refers to: for one that is given up before `tree`.
  public func drop(nodes : Nodes.Nodes, { directory; pages } : Paging) {
    Nodes.drop(nodes, directory.entries);
    Nodes.drop(nodes, directory.folders);
    for (page in List.values(pages)) Nodes.drop(nodes, page);
  };

  /// Makes the next page, or keeps it. @return the approximate cost in instructions
  public func add(nodes : Nodes.Nodes, kit : Responses.Kit, { directory; cursor; before; beforeCursor; pages } : Paging) : Nat {
    let number = List.size(pages) + 1;
    let name = Text.encodeUtf8(Listing.pageName(nodes, directory, number));
    let start = Listing.copy(cursor);
    let old = Trie.find(nodes, before.folders, name);
    let { entries; isSame } = Listing.passSame(nodes, directory, cursor, before, beforeCursor, number);
    let isKept = isSame and old != Nodes.none and Nodes.kind(nodes, old) == Nodes.listing;
    if isKept List.add(pages, Nodes.retain(nodes, old)) else {
      let answer = Responses.pageHash(kit, Responses.page(Listing.render(Listing.page(nodes, directory, start, number))));
      List.add(pages, Nodes.newListing(nodes, name, Nat32.fromNat(number), answer, Responses.answerContent(kit, answer)));
    };
    if isKept entries * keptRowCost else pageCost + entries * rowCost;
  };

  /// Whether all pages are there.
  public func isDone({ cursor; pages } : Paging) : Bool = not List.isEmpty(pages) and cursor.next == Nodes.none;

  /// The tree of a directory's pages, and of those of the directories in it, when all are there. It takes over the references to both.
  public func tree(nodes : Nodes.Nodes, { directory; before; pages } : Paging) : Node {
    var root = directory.folders;
    func goOn(next : Node) {
      Nodes.drop(nodes, root);
      root := next;
    };
    // Pages of the release before may be in the tree. There may have been more of them, or they may have had other names.
    func isPage(name : Blob) : Bool {
      let entry = Trie.find(nodes, root, name);
      entry != Nodes.none and Nodes.kind(nodes, entry) == Nodes.listing;
    };
    let names = List.map<Node, Blob>(pages, func page = Nodes.name(nodes, page));
    var number = 1;
    label removing loop {
      let name = Text.encodeUtf8(Listing.pageName(nodes, before, number));
      let old = Trie.find(nodes, before.folders, name);
      if (old == Nodes.none or Nodes.kind(nodes, old) != Nodes.listing) break removing;
      if (isPage name and not List.any<Blob>(names, func kept = kept == name)) goOn(Trie.remove(nodes, root, name));
      number += 1;
    };
    for (i in List.keys(pages)) {
      let page = List.at(pages, i);
      if (Trie.find(nodes, root, List.at(names, i)) == page) Nodes.drop(nodes, page) else goOn(Trie.insert(nodes, root, page));
    };
    root;
  };
};
