/// Makes a release's certified tree of pages, in slices, out of the index of its tree (index.mo) and the certified tree of a release
/// before: what is as it was is shared, and not hashed again.
///
/// With what stands at / come the pages of its directories (listing.mo).
///
/// Directories are walked down, through symlinks to directories as well. A link to a directory that is being walked leads in a circle, and
/// is left out: a tree of hashes ends somewhere.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Nat8 "mo:core/Nat8";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";
import VarArray "mo:core/VarArray";

import ContentType "contenttype";
import Extents "extents";
import Index "index";
import Listing "listing";
import Nodes "nodes";
import Paths "paths";
import Responses "responses";
import Sha256 "sha256";
import Store "store";
import Trie "trie";
import Url "url";

module {
  type Node = Nodes.Node;

  /// What a slice is made with.
  public type Tools = { kit : Responses.Kit; nodes : Nodes.Nodes; store : Store.Store; scratch : Region.Region };

  /// A directory that is being walked.
  type Frame = {
    directory : Nat;
    /// Bytes of its path and the slash behind it.
    cut : Nat;
    to : Nat;
    var at : Nat;
    var isIndexDone : Bool;
    /// The same directory of the release before, and how far that has been walked.
    old : Node;
    walk : Trie.Walk;
    var oldNext : Node;
    /// All entries so far; of those, those that the release before has not; and names of those that only it has.
    entries : List.List<Node>;
    fresh : List.List<Node>;
    gone : List.List<Blob>;
    /// Directories in this one that have pages, each with its tree of them.
    listed : List.List<(Blob, Node)>;
    /// When all entries are there, its pages are made.
    var listing : ?Paging;
  };

  /// A directory's pages that are being made.
  type Paging = {
    /// Refers to both its trees.
    directory : Listing.Directory;
    cursor : Listing.Cursor;
    pages : List.List<Node>;
  };

  public type Job = {
    number : Nat64;
    /// Whether it is to stand at /, or below /.icfs/at/.
    live : Bool;
    index : Index.Index;
    old : Node;
    /// What each directory is: `unseen`, `open`, or the tree of its entries, to which the job refers.
    seen : [var Node];
    /// The pages of each directory where it is, those in it included; none when they are not made yet. The job refers to them.
    listings : [var Node];
    oldListings : Node;
    frames : List.List<Frame>;
    var root : Node;
    /// The pages of all directories; none but for what is to stand at /.
    var listing : Node;
    /// Whether a file's answer names the release's number.
    var sendsOn : Bool;
    /// Bytes of pieces that were hashed, since they are no chunks.
    var hashed : Nat;
  };

  let unseen : Node = 4_294_967_295;
  let open : Node = 4_294_967_294;

  /// A file of more pieces, or more extents, is not served: it is looked at in one message.
  let maxPieces : Nat = 65_536;
  /// Nor one of whose bytes more would have to be hashed, nor those of a release behind so many: chunks that end elsewhere than at multiples
  /// of 1 MiB would cost whoever pays for the canister 180 million instructions each, and a manifest can name one of them a million times.
  let maxFileHashed : Nat = 16_777_216;
  let maxHashed : Nat = 1_073_741_824;

  // What things cost, in instructions, about (bench/instructions.ts).
  let entryCost : Nat = 12_000;
  let extentCost : Nat = 4_000;
  let fileCost : Nat = 500_000;
  let forkCost : Nat = 30_000;
  let pieceCost : Nat = 180_000;
  let byteCost : Nat = 180;
  let pageCost : Nat = 300_000;
  let rowCost : Nat = 65_000;

  /// @param old the tree that a release before has in the same place, or none; and with it its directories' pages
  public func begin({ nodes } : Tools, number : Nat64, live : Bool, index : Index.Index, old : Node, oldListings : Node) : Job {
    let job : Job = {
      number;
      live;
      index;
      old = Nodes.retain(nodes, old);
      seen = VarArray.repeat<Node>(unseen, index.entries);
      listings = VarArray.repeat<Node>(Nodes.none, if live index.entries else 0);
      oldListings = Nodes.retain(nodes, oldListings);
      frames = List.empty();
      var root = Nodes.none;
      var listing = Nodes.none;
      var sendsOn = false;
      var hashed = 0;
    };
    List.add(job.frames, newFrame(nodes, Index.root, 0, 0, index.entries, old));
    job;
  };

  func newFrame(nodes : Nodes.Nodes, directory : Nat, cut : Nat, from : Nat, to : Nat, old : Node) : Frame {
    let walk = Trie.walk(old);
    {
      directory;
      cut;
      to;
      var at = from;
      var isIndexDone = false;
      old;
      walk;
      var oldNext = Trie.next(nodes, walk);
      entries = List.empty();
      fresh = List.empty();
      gone = List.empty();
      listed = List.empty();
      var listing = null;
    };
  };

  /// Gives up what has been made so far, but for the roots of a job that is done.
  public func end({ nodes } : Tools, job : Job) {
    for (node in job.seen.vals()) if (node != unseen and node != open) Nodes.drop(nodes, node);
    for (node in job.listings.vals()) Nodes.drop(nodes, node);
    for (frame in List.values(job.frames)) {
      for (entry in List.values(frame.entries)) Nodes.drop(nodes, entry);
      switch (frame.listing) {
        case (?{ directory; pages }) {
          Nodes.drop(nodes, directory.entries);
          Nodes.drop(nodes, directory.folders);
          for (page in List.values(pages)) Nodes.drop(nodes, page);
        };
        case null {};
      };
    };
    List.clear(job.frames);
    Nodes.drop(nodes, job.old);
    Nodes.drop(nodes, job.oldListings);
  };

  /// Goes on with a job for about so many instructions, and returns how many it took.
  public func run(tools : Tools, job : Job, budget : Nat) : Nat {
    var spent = 0;
    label going while (spent < budget) {
      let ?frame = List.last(job.frames) else break going;
      spent += step(tools, job, frame);
    };
    spent;
  };

  public func isDone({ frames } : Job) : Bool = List.isEmpty(frames);

  let indexName = "index.html";
  let exactly : Blob = "<$>";
  let below : Blob = "<*>";

  /// Does what comes next in a directory, and returns what it cost.
  func step(tools : Tools, job : Job, frame : Frame) : Nat {
    let { index } = job;
    switch (frame.listing) {
      case (?listing) return addPage(tools, job, frame, listing);
      case null {};
    };
    if (not frame.isIndexDone) {
      frame.isIndexDone := true;
      let path = Array.concat(Blob.toArray(directoryPath(index, frame)), Blob.toArray(Text.encodeUtf8(indexName)));
      return switch (Index.find(index, Blob.fromArray path)) {
        case (?number) {
          switch (fileAt(index, number)) {
            case (?file) addFile(tools, job, frame, "", file);
            case null entryCost;
          };
        };
        case null entryCost;
      };
    };
    if (frame.at >= frame.to) return close(tools, job, frame);
    let number = frame.at;
    let parent = Index.parent(index, number);
    if (parent != frame.directory) {
      // What is in a directory in this one: it is walked there.
      let #directory { to } = Index.kind(index, parent) else Runtime.unreachable();
      frame.at := to;
      return entryCost;
    };
    let name = Index.path(index, number, frame.cut);
    if (name == exactly or name == below or (frame.directory == Index.root and name == Text.encodeUtf8(Paths.reservedName))) {
      frame.at += 1;
      return entryCost;
    };
    let reached = switch (Index.kind(index, number)) {
      case (#symlink { target }) target;
      case _ number;
    };
    if (reached == Index.root) {
      frame.at += 1;
      return entryCost;
    };
    switch (Index.kind(index, reached)) {
      case (#directory { from; to }) addDirectory(tools, job, frame, name, reached, from, to);
      case _ {
        frame.at += 1;
        addFile(tools, job, frame, name, reached);
      };
    };
  };

  /// A directory's path with the slash behind it; empty for the root.
  func directoryPath(index : Index.Index, { directory; cut } : Frame) : Blob {
    if (cut == 0) return "";
    Blob.fromArray(Array.concat(Blob.toArray(Index.path(index, directory, 0)), [0x2f : Nat8]));
  };

  /// The file that an entry is or leads to.
  func fileAt(index : Index.Index, number : Nat) : ?Nat {
    let reached = switch (Index.kind(index, number)) {
      case (#symlink { target }) target;
      case _ number;
    };
    if (reached == Index.root) return null;
    switch (Index.kind(index, reached)) {
      case (#file _) ?reached;
      case _ null;
    };
  };

  /// The entry of this name that the release before has, or none.
  func oldEntry({ nodes } : Tools, frame : Frame, name : Blob) : Node {
    label passing while (frame.oldNext != Nodes.none) {
      let oldName = Nodes.name(nodes, frame.oldNext);
      switch (Blob.compare(oldName, name)) {
        case (#less) {
          List.add(frame.gone, oldName);
          frame.oldNext := Trie.next(nodes, frame.walk);
        };
        case (#equal) return frame.oldNext;
        case (#greater) break passing;
      };
    };
    Nodes.none;
  };

  /// Adds an entry that is as in the release before.
  func keepOld({ nodes } : Tools, frame : Frame) {
    List.add(frame.entries, Nodes.retain(nodes, frame.oldNext));
    frame.oldNext := Trie.next(nodes, frame.walk);
  };

  /// Adds a new entry; `old` is the one of its name that the release before has, or none.
  func addFresh({ nodes } : Tools, frame : Frame, old : Node, entry : Node) {
    List.add(frame.entries, entry);
    List.add(frame.fresh, entry);
    if (old != Nodes.none) frame.oldNext := Trie.next(nodes, frame.walk);
  };

  /// The outermost directory around this one, or itself, that has not been walked. A symlink may lead into a directory before that comes by
  /// itself. If only the inner one were walked then, a link from there back to the outer one would have that walked while the inner one is
  /// open, and it would lack the inner one for good.
  func outermostUnseen({ index; seen } : Job, directory : Nat) : Nat {
    var outermost = directory;
    var at = Index.parent(index, directory);
    while (at != Index.root) {
      if (seen[at] == unseen) outermost := at;
      at := Index.parent(index, at);
    };
    outermost;
  };

  func addDirectory(tools : Tools, job : Job, frame : Frame, name : Blob, directory : Nat, from : Nat, to : Nat) : Nat {
    let { nodes } = tools;
    let inside = job.seen[directory];
    let old = oldEntry(tools, frame, name);
    let isFolder = old != Nodes.none and Nodes.kind(nodes, old) == Nodes.folder;
    if (inside == unseen) {
      let first = outermostUnseen(job, directory);
      let (start, end) = if (first == directory) (from, to) else switch (Index.kind(job.index, first)) {
        case (#directory inner) (inner.from, inner.to);
        case _ Runtime.unreachable();
      };
      job.seen[first] := open;
      let oldInside = if (isFolder and first == directory) Nodes.inside(nodes, old) else Nodes.none;
      List.add(job.frames, newFrame(nodes, first, Index.pathBytes(job.index, first) + 1, start, end, oldInside));
      return entryCost;
    };
    let isItself = frame.at == directory;
    frame.at += 1;
    if (inside == open or inside == Nodes.none) return entryCost;
    if (job.live and isItself) List.add(frame.listed, (name, job.listings[directory]));
    if (isFolder and Nodes.inside(nodes, old) == inside) {
      keepOld(tools, frame);
      return entryCost;
    };
    addFresh(tools, frame, old, Nodes.newFolder(nodes, name, Nodes.retain(nodes, inside)));
    entryCost + forkCost;
  };

  func addFile(tools : Tools, job : Job, frame : Frame, name : Blob, number : Nat) : Nat {
    let { nodes; kit } = tools;
    let { index; live } = job;
    let #file { size; first; extents = count } = Index.kind(index, number) else Runtime.unreachable();
    let sha256 = Index.sha256(index, number);
    let sizeFlag = if (count > maxPieces or Responses.pieceCount(size) > maxPieces) Responses.unserved else if (size <= Responses.pieceBytes) Responses.whole else if live Responses.elsewhere else Responses.pieces;
    let isFound = sizeFlag == Responses.whole or sizeFlag == Responses.pieces;
    if (sizeFlag == Responses.elsewhere) job.sendsOn := true;
    let location = if (sizeFlag == Responses.elsewhere) pinned(job.number, Index.path(index, number, 0)) else "" : Blob;
    let extents : [Extents.Extent] = if isFound Array.tabulate<Extents.Extent>(count, func i = extentOf(index, first + i, first + count, size)) else [];
    let cost = entryCost + extents.size() * extentCost;

    let old = oldEntry(tools, frame, name);
    let isFile = old != Nodes.none and Nodes.kind(nodes, old) == Nodes.file;
    let isSame = isFile and Nodes.fileSize(nodes, old) == size and Nodes.fileHash(nodes, old) == sha256 and (sizeFlag == Nodes.flag(nodes, old) or (not live and Nodes.flag(nodes, old) == Responses.unserved)) and Nodes.location(nodes, old) == location;
    if (isSame and hasExtents(nodes, old, extents)) {
      keepOld(tools, frame);
      return cost;
    };
    let file : Responses.File = { live; mediaType = ContentType.of(name); sha256; size; location };
    var flag = sizeFlag;
    var pieces = Nodes.none;
    var more = fileCost;
    if (flag == Responses.pieces) {
      let (hashes, hashed) = pieceHashes(tools, job, extents, size);
      more := hashes.size() * pieceCost + hashed * byteCost;
      if (hashes.size() == 0) flag := Responses.unserved else pieces := Responses.newPieces(kit, nodes, file, hashes);
    };
    // Only where its bytes lie is new: a small file in another pack.
    let hash = if (isSame and flag == Responses.whole) Nodes.hash(nodes, old) else Responses.labelled(kit, name, Responses.fileContent(kit, nodes, file, flag, pieces));
    addFresh(tools, frame, old, Nodes.newFile(nodes, { name; flag; sha256; size; location; extents; pieces }, hash));
    cost + more;
  };

  func extentOf(index : Index.Index, number : Nat, end : Nat, size : Nat) : Extents.Extent {
    let { start; chunk; offset } = Index.extent(index, number);
    let next = if (number + 1 == end) size else Index.startOf(index, number + 1);
    { chunk; offset; length = next - start };
  };

  func hasExtents(nodes : Nodes.Nodes, node : Node, extents : [Extents.Extent]) : Bool {
    if (Nodes.extentCount(nodes, node) != extents.size()) return false;
    for (i in extents.keys()) if (Nodes.extent(nodes, node, i) != extents[i]) return false;
    true;
  };

  /// The hashes of a file's pieces, and how many bytes had to be hashed for that; no hashes when those would be too many.
  func pieceHashes({ store; scratch } : Tools, job : Job, extents : [Extents.Extent], size : Nat) : ([Blob], Nat) {
    let count = Responses.pieceCount(size);
    let hashes = List.empty<Blob>();
    var hashed = 0;
    var number = 0;
    var start = 0; // of that extent
    var piece = 0;
    while (piece < count) {
      let from = piece * Responses.pieceBytes;
      let length = Nat.min(Responses.pieceBytes, size - from);
      while (start + extents[number].length <= from) {
        start += extents[number].length;
        number += 1;
      };
      let { chunk; offset; length = here } = extents[number];
      if (start == from and offset == 0 and here == length and Store.size(store, chunk) == ?Nat32.fromNat(length)) {
        List.add(hashes, chunk);
      } else {
        hashed += length;
        if (hashed > maxFileHashed or job.hashed + length > maxHashed) return ([], hashed);
        job.hashed += length;
        let behind = number;
        let bytes = Extents.read(store, scratch, extents.size() - behind, func i = extents[behind + i], from - start, length);
        List.add(hashes, Sha256.ofBlob(bytes));
      };
      piece += 1;
    };
    (List.toArray(hashes), hashed);
  };

  /// The URL of a file of a release.
  func pinned(number : Nat64, path : Blob) : Blob = Text.encodeUtf8("/.icfs/at/" # Nat64.toText(number) # "/" # Url.encode(path));

  /// Makes the tree of a directory's entries, all of which are there.
  func close({ nodes } : Tools, job : Job, frame : Frame) : Nat {
    while (frame.oldNext != Nodes.none) {
      List.add(frame.gone, Nodes.name(nodes, frame.oldNext));
      frame.oldNext := Trie.next(nodes, frame.walk);
    };
    let { entries; fresh; gone; old } = frame;
    let changes = List.size(fresh) + List.size(gone);
    let count = List.size(entries);
    let isGrown = changes > 0 and (old == Nodes.none or changes * 8 >= count);
    let root = if isGrown grown(nodes, entries) else changed(nodes, old, fresh, gone);
    if (not isGrown) for (entry in List.values(entries)) Nodes.drop(nodes, entry);
    List.clear(entries);
    // Nothing is served below an empty directory, and nothing leads to it.
    if (job.live and (root != Nodes.none or frame.directory == Index.root)) list(nodes, job, frame, root) else leave(job, frame, root);
    entryCost + (if isGrown count else changes * 20) * forkCost;
  };

  func leave(job : Job, frame : Frame, root : Node) {
    ignore List.removeLast(job.frames);
    if (frame.directory == Index.root) job.root := root else job.seen[frame.directory] := root;
  };

  // --- pages of directories ---

  /// Begins a directory's pages, or keeps them. @param root of its entries, whose reference is taken over
  func list(nodes : Nodes.Nodes, job : Job, frame : Frame, root : Node) {
    // Where the directory is, and not where a symlink led to it.
    let path = if (frame.directory == Index.root) "" : Blob else Index.path(job.index, frame.directory, 0);
    let names = Paths.names(path);
    let old = Listing.inside(nodes, job.oldListings, names);
    if (old != Nodes.none and Listing.inside(nodes, job.old, names) == root and hasFolders(nodes, old, frame.listed)) {
      return leaveListed(job, frame, root, Nodes.retain(nodes, old));
    };
    let folders = Trie.growing();
    for ((name, pages) in List.values(frame.listed)) Trie.grow(nodes, folders, Nodes.newFolder(nodes, name, Nodes.retain(nodes, pages)));
    let directory : Listing.Directory = { path; entries = root; folders = Trie.grown(nodes, folders) };
    frame.listing := ?{ directory; cursor = Listing.begin(nodes, directory); pages = List.empty() };
  };

  /// Whether these are the directories with pages in a tree of them.
  func hasFolders(nodes : Nodes.Nodes, listing : Node, listed : List.List<(Blob, Node)>) : Bool {
    let walk = Trie.walk(listing);
    var found = 0;
    loop {
      let entry = Trie.next(nodes, walk);
      if (entry == Nodes.none) return found == List.size(listed);
      if (Nodes.kind(nodes, entry) == Nodes.folder) {
        if (found == List.size(listed)) return false;
        let (name, pages) = List.at(listed, found);
        if (Nodes.name(nodes, entry) != name or Nodes.inside(nodes, entry) != pages) return false;
        found += 1;
      };
    };
  };

  /// Makes a directory's next page, and puts them together with the last.
  func addPage({ nodes; kit } : Tools, job : Job, frame : Frame, { directory; cursor; pages } : Paging) : Nat {
    let number = List.size(pages) + 1;
    let page = Listing.page(nodes, directory, cursor, number);
    let answer = Responses.pageHash(kit, Responses.page(Listing.render(page)));
    let name = Text.encodeUtf8(Listing.pageName(nodes, directory, number));
    List.add(pages, Nodes.newListing(nodes, name, Nat32.fromNat(number), answer, Responses.answerContent(kit, answer)));
    if (cursor.next == Nodes.none) {
      var tree = directory.folders;
      for (page in List.values(pages)) {
        let more = Trie.insert(nodes, tree, page);
        if (tree != Nodes.none) Nodes.drop(nodes, tree);
        tree := more;
      };
      frame.listing := null;
      leaveListed(job, frame, directory.entries, tree);
    };
    pageCost + page.entries.size() * rowCost;
  };

  func leaveListed(job : Job, frame : Frame, root : Node, listing : Node) {
    if (frame.directory == Index.root) job.listing := listing else job.listings[frame.directory] := listing;
    leave(job, frame, root);
  };

  func grown(nodes : Nodes.Nodes, entries : List.List<Node>) : Node {
    let tree = Trie.growing();
    for (entry in List.values(entries)) Trie.grow(nodes, tree, entry);
    Trie.grown(nodes, tree);
  };

  func changed(nodes : Nodes.Nodes, old : Node, fresh : List.List<Node>, gone : List.List<Blob>) : Node {
    var root = Nodes.retain(nodes, old);
    func goOn(next : Node) {
      Nodes.drop(nodes, root);
      root := next;
    };
    for (name in List.values(gone)) goOn(Trie.remove(nodes, root, name));
    for (entry in List.values(fresh)) goOn(Trie.insert(nodes, root, Nodes.retain(nodes, entry)));
    root;
  };
};
