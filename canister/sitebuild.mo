/// Makes a release's certified tree of pages, in slices, from the index of its tree (index.mo) and the certified tree of an
/// earlier release. Unchanged parts are shared with that release, and not hashed again. Where that release's index is at hand,
/// unchanged entries are not even visited (difference.mo).
///
/// For the release at /, the pages that list its directories are made as well (listing.mo).
///
/// Directories are walked from the top, also through symlinks to directories. A link to a directory that is being walked would
/// form a cycle and is left out, because a tree of hashes must be finite. Which links are left out depends on the order of the
/// walk. So all links are followed each time, in the same order: the earlier release must not affect the resulting tree.
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
import Difference "difference";
import DirectoryPages "directorypages";
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

  /// The parts of the canister that making pages needs.
  public type Tools = { kit : Responses.Kit; nodes : Nodes.Nodes; store : Store.Store; scratch : Region.Region };

  /// A directory that is being walked.
  type Frame = {
    directory : Nat;
    /// The length of its path in bytes, including a slash at the end.
    cut : Nat;
    to : Nat;
    var at : Nat;
    var isIndexDone : Bool;
    /// The entries of this directory in the earlier release.
    old : Node;
    /// Whether only marked entries are visited, and `old` is changed where they differ. If not, all entries are visited, beside
    /// those of `old`.
    isSparse : Bool;
    walk : Trie.Walk;
    var oldNext : Node;
    /// The entries so far, each with a reference held by the frame; if it is sparse, only the new ones.
    entries : List.List<Node>;
    /// The entries among these that differ from the earlier release.
    fresh : List.List<Node>;
    /// The names of entries that only the earlier release has.
    gone : List.List<Blob>;
    /// The directories in this one, each with its tree of pages. If it is sparse, all visited entries, with none for those
    /// without pages.
    listed : DirectoryPages.Listed;
    /// The directory's own pages, which are made once all entries are there.
    var listing : ?DirectoryPages.Paging;
  };

  public type Job = {
    number : Nat64;
    /// Whether the pages are for /. If not, they are for /.icfs/at/.
    live : Bool;
    index : Index.Index;
    /// The tree of an earlier release, and the differences from it; null when its index is not at hand.
    old : Node;
    difference : ?Difference.Difference;
    var isStarted : Bool;
    /// For each directory: `unseen`; `open`, while it is walked; or the tree of its entries, with a reference held by the job.
    seen : [var Node];
    /// For each directory, the tree of its pages and those of its subdirectories, with a reference held by the job; none before
    /// they are made.
    listings : [var Node];
    oldListings : Node;
    frames : List.List<Frame>;
    var root : Node;
    /// The pages of all directories, if the job is for /.
    var listing : Node;
    /// Whether any file's answer names the release's number.
    var sendsOn : Bool;
    /// Bytes hashed so far for pieces of files that are not chunks.
    var hashed : Nat;
  };

  let unseen : Node = 4_294_967_295;
  let open : Node = 4_294_967_294;

  /// A file is handled in one message, so one with more pieces or extents than this is not served.
  let maxPieces : Nat = 65_536;
  /// Pieces that are not chunks must be hashed. These are the limits on the bytes that are hashed for one file, and for one release; a
  /// file beyond them is not served. Hashing a piece takes 180 million instructions, and a manifest can name such a piece a million
  /// times.
  let maxFileHashed : Nat = 16_777_216;
  let maxHashed : Nat = 1_073_741_824;

  // Approximate costs in instructions (bench/instructions.ts).
  let entryCost : Nat = 12_000;
  let enterCost : Nat = 140_000;
  let extentCost : Nat = 4_000;
  let fileCost : Nat = 500_000;
  let forkCost : Nat = 30_000;
  let pieceCost : Nat = 180_000;
  let byteCost : Nat = 180;

  /// Starts to make a release's pages. The job must be ended with `end`, whether it is done or not.
  ///
  /// @param live see Job
  /// @param old the tree of an earlier release, made with the same `live`, or none; and the pages of its directories
  /// @param before the index of that release, if it is at hand
  public func begin({ nodes } : Tools, number : Nat64, live : Bool, index : Index.Index, old : Node, oldListings : Node, before : ?Index.Index) : Job {
    // At /, a file of more than 1 MiB is a redirect to a URL with the release's number, so its answer differs in each release.
    func isDependent(entry : Nat) : Bool = if live Index.isLinkOrLonger(index, entry, Responses.pieceBytes) else Index.isLink(index, entry);
    {
      number;
      live;
      index;
      old = Nodes.retain(nodes, old);
      difference = switch before {
        case (?before) ?Difference.begin(index, before, isDependent);
        case null null;
      };
      var isStarted = false;
      seen = VarArray.repeat<Node>(unseen, index.entries);
      listings = VarArray.repeat<Node>(Nodes.none, if live index.entries else 0);
      oldListings = Nodes.retain(nodes, oldListings);
      frames = List.empty();
      var root = Nodes.none;
      var listing = Nodes.none;
      var sendsOn = false;
      var hashed = 0;
    };
  };

  /// Starts to walk a directory. @param from the number of the first entry below it; @param to the number after the last one
  func enter({ nodes } : Tools, job : Job, directory : Nat, from : Nat, to : Nat) {
    let { index; frames; difference } = job;
    let (path, cut) = if (directory == Index.root) ("" : Blob, 0) else (Index.path(index, directory, 0), Index.pathBytes(index, directory) + 1);
    let old = Listing.inside(nodes, job.old, Paths.names(path));
    // If many entries change, growing a new tree is cheaper than changing the old one for each. And if the earlier release had a
    // link here, `old` belongs to another directory.
    let isSparse = old != Nodes.none and (
      switch difference {
        case (?difference) Difference.isFew(difference, directory, from, to, (to - from : Nat) / 8 + 1) and Difference.wasDirectory(difference, path);
        case null false;
      }
    );
    let walk = Trie.walk(if isSparse Nodes.none else old);
    let frame : Frame = {
      directory;
      cut;
      to;
      var at = from;
      var isIndexDone = false;
      old;
      isSparse;
      walk;
      var oldNext = Trie.next(nodes, walk);
      entries = List.empty();
      fresh = List.empty();
      gone = List.empty();
      listed = List.empty();
      var listing = null;
    };
    List.add(frames, frame);
  };

  /// Releases the job's references, except for its results: the roots of a finished job belong to the caller.
  public func end({ nodes } : Tools, job : Job) {
    for (node in job.seen.vals()) if (node != unseen and node != open) Nodes.drop(nodes, node);
    for (node in job.listings.vals()) Nodes.drop(nodes, node);
    for (frame in List.values(job.frames)) {
      for (entry in List.values(frame.entries)) Nodes.drop(nodes, entry);
      switch (frame.listing) {
        case (?paging) DirectoryPages.drop(nodes, paging);
        case null {};
      };
    };
    List.clear(job.frames);
    Nodes.drop(nodes, job.old);
    Nodes.drop(nodes, job.oldListings);
  };

  /// Continues a job for about so many instructions. @return about how many it took
  public func run(tools : Tools, job : Job, budget : Nat) : Nat {
    var spent = 0;
    switch (job.difference) {
      case (?difference) while (spent < budget and not Difference.isDone(difference)) spent += Difference.step(difference);
      case null {};
    };
    if (spent < budget and not job.isStarted) {
      job.isStarted := true;
      enter(tools, job, Index.root, 0, job.index.entries);
    };
    label going while (spent < budget) {
      let ?frame = List.last(job.frames) else break going;
      spent += step(tools, job, frame);
    };
    spent;
  };

  public func isDone(job : Job) : Bool = job.isStarted and List.isEmpty(job.frames);

  let indexName = "index.html";
  let exactly : Blob = "<$>";
  let below : Blob = "<*>";

  /// Does one step in a directory. @return its approximate cost in instructions
  func step(tools : Tools, job : Job, frame : Frame) : Nat {
    let { index } = job;
    switch (frame.listing) {
      case (?paging) {
        let cost = DirectoryPages.add(tools.nodes, tools.kit, paging);
        if (DirectoryPages.isDone paging) {
          frame.listing := null;
          leaveListed(job, frame, paging.directory.entries, DirectoryPages.tree(tools.nodes, paging));
        };
        return cost;
      };
      case null {};
    };
    if (not frame.isIndexDone) {
      frame.isIndexDone := true;
      let path = Array.concat(Blob.toArray(directoryPath(index, frame)), Blob.toArray(Text.encodeUtf8(indexName)));
      return switch (Index.find(index, Blob.fromArray path)) {
        case (?number) {
          switch (fileAt(index, number)) {
            case (?file) addFile(tools, job, frame, "", file);
            case null {
              leaveOut(tools, frame, "");
              entryCost;
            };
          };
        };
        case null {
          leaveOut(tools, frame, "");
          entryCost;
        };
      };
    };
    if (frame.isSparse) switch (job.difference) {
      case (?difference) frame.at := Difference.next(difference, frame.at, frame.to);
      case null Runtime.unreachable();
    };
    if (frame.at >= frame.to) return close(tools, job, frame);
    let number = frame.at;
    let parent = Index.parent(index, number);
    if (parent != frame.directory) {
      // This entry is inside a subdirectory, and is handled there.
      let #directory { to } = Index.kind(index, parent) else Runtime.unreachable();
      frame.at := to;
      return entryCost;
    };
    let name = Index.path(index, number, frame.cut);
    if (isTerminator name or (frame.directory == Index.root and name == Text.encodeUtf8(Paths.reservedName))) {
      frame.at += 1;
      return entryCost;
    };
    let reached = switch (Index.kind(index, number)) {
      case (#symlink { target }) target;
      case _ number;
    };
    if (reached == Index.root) {
      frame.at += 1;
      leaveOut(tools, frame, name);
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

  /// Whether a name has a special meaning in response verification. No file of such a name, or below it, is served.
  func isTerminator(name : Blob) : Bool = name == exactly or name == below;

  /// A directory's path with a slash at the end; empty for the root.
  func directoryPath(index : Index.Index, { directory; cut } : Frame) : Blob {
    if (cut == 0) return "";
    Blob.fromArray(Array.concat(Blob.toArray(Index.path(index, directory, 0)), [0x2f : Nat8]));
  };

  /// The file that an entry is or, as a link, leads to; null when that is not a file.
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

  /// The entry of this name in the earlier release, or none.
  func oldEntry({ nodes } : Tools, frame : Frame, name : Blob) : Node {
    if (frame.isSparse) return Trie.find(nodes, frame.old, name);
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

  /// Adds an entry unchanged from the earlier release. @param old the result of `oldEntry`
  func keepOld({ nodes } : Tools, frame : Frame, old : Node) {
    if (frame.isSparse) return;
    List.add(frame.entries, Nodes.retain(nodes, old));
    frame.oldNext := Trie.next(nodes, frame.walk);
  };

  /// Adds a new entry. @param old the result of `oldEntry`
  func addFresh({ nodes } : Tools, frame : Frame, old : Node, entry : Node) {
    List.add(frame.entries, entry);
    List.add(frame.fresh, entry);
    if (not frame.isSparse and old != Nodes.none) frame.oldNext := Trie.next(nodes, frame.walk);
  };

  /// Makes sure that there is no entry of this name.
  func leaveOut({ nodes } : Tools, frame : Frame, name : Blob) {
    // If the frame is not sparse, the walk of the earlier release finds missing names.
    if (frame.isSparse and Trie.find(nodes, frame.old, name) != Nodes.none) List.add(frame.gone, name);
  };

  /// Records the pages of an entry. Only directories have any.
  func note({ live } : Job, frame : Frame, name : Blob, pages : Node) {
    if (live and (frame.isSparse or pages != Nodes.none)) List.add(frame.listed, (name, pages));
  };

  /// The outermost directory that has not been walked, among this one and those around it.
  ///
  /// A symlink may lead into a directory before the walk reaches it. If only the inner directory were walked then, a link in it
  /// back to the outer one would have that walked while the inner one is open, and the outer one would lack the inner one for
  /// good.
  func outermostUnseen({ index; seen } : Job, directory : Nat) : Nat {
    var outermost = directory;
    var at = Index.parent(index, directory);
    while (at != Index.root) {
      if (seen[at] == unseen) outermost := at;
      at := Index.parent(index, at);
    };
    outermost;
  };

  /// Takes over a directory with everything below it from the earlier release, unless something is marked in `outermost`, the outermost
  /// unwalked directory around it. If nothing is marked there, it contains no links, so it need not be walked. If something is marked,
  /// the caller walks `outermost` now, as it would without an earlier release. If it were walked later, another directory would be open,
  /// and other links would be left out.
  ///
  /// @return whether the directory was taken over
  func keepDirectory({ nodes } : Tools, job : Job, directory : Nat, outermost : Nat) : Bool {
    let ?difference = job.difference else return false;
    if (Difference.isMarked(difference, outermost)) return false;
    let names = Paths.names(Index.path(job.index, directory, 0));
    // The earlier release has no tree below these names, unless a link leads there.
    if (names[0] == Text.encodeUtf8(Paths.reservedName) or Array.any(names, isTerminator)) return false;
    job.seen[directory] := Nodes.retain(nodes, Listing.inside(nodes, job.old, names));
    if (job.live) job.listings[directory] := Nodes.retain(nodes, Listing.inside(nodes, job.oldListings, names));
    true;
  };

  func addDirectory(tools : Tools, job : Job, frame : Frame, name : Blob, directory : Nat, from : Nat, to : Nat) : Nat {
    let { nodes } = tools;
    if (job.seen[directory] == unseen) {
      let first = outermostUnseen(job, directory);
      if (not keepDirectory(tools, job, directory, first)) {
        let (start, end) = if (first == directory) (from, to) else switch (Index.kind(job.index, first)) {
          case (#directory inner) (inner.from, inner.to);
          case _ Runtime.unreachable();
        };
        job.seen[first] := open;
        enter(tools, job, first, start, end);
        return enterCost;
      };
    };
    let inside = job.seen[directory];
    let isItself = frame.at == directory;
    frame.at += 1;
    if (inside == open or inside == Nodes.none) {
      leaveOut(tools, frame, name);
      return entryCost;
    };
    note(job, frame, name, if (job.live and isItself) job.listings[directory] else Nodes.none);
    let old = oldEntry(tools, frame, name);
    if (old != Nodes.none and Nodes.kind(nodes, old) == Nodes.folder and Nodes.inside(nodes, old) == inside) {
      keepOld(tools, frame, old);
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
    note(job, frame, name, Nodes.none);

    let old = oldEntry(tools, frame, name);
    let isFile = old != Nodes.none and Nodes.kind(nodes, old) == Nodes.file;
    let isSame = isFile and Nodes.fileSize(nodes, old) == size and Nodes.fileHash(nodes, old) == sha256 and (sizeFlag == Nodes.flag(nodes, old) or (not live and Nodes.flag(nodes, old) == Responses.unserved)) and Nodes.location(nodes, old) == location;
    if (isSame and hasExtents(nodes, old, extents)) {
      keepOld(tools, frame, old);
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
    // A small file has the same answer even if it is in another chunk now.
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

  /// The hashes of a file's pieces, and how many bytes were hashed for them. No hashes if too many bytes would have to be hashed.
  func pieceHashes({ store; scratch } : Tools, job : Job, extents : [Extents.Extent], size : Nat) : ([Blob], Nat) {
    let count = Responses.pieceCount(size);
    let hashes = List.empty<Blob>();
    var hashed = 0;
    var number = 0;
    var start = 0; // within that extent
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

  /// Makes the tree of a directory's entries when all of them are there.
  func close(tools : Tools, job : Job, frame : Frame) : Nat {
    let { nodes } = tools;
    while (frame.oldNext != Nodes.none) {
      List.add(frame.gone, Nodes.name(nodes, frame.oldNext));
      frame.oldNext := Trie.next(nodes, frame.walk);
    };
    let { entries; fresh; gone; old; isSparse } = frame;
    if (isSparse) switch (job.difference) {
      case (?difference) for (name in List.values(Difference.gone(difference, frame.directory))) leaveOut(tools, frame, name);
      case null {};
    };
    let changes = List.size(fresh) + List.size(gone);
    let count = List.size(entries);
    let isGrown = not isSparse and changes > 0 and (old == Nodes.none or changes * 8 >= count);
    let root = if isGrown grown(nodes, entries) else changed(nodes, old, fresh, gone);
    if (not isGrown) for (entry in List.values(entries)) Nodes.drop(nodes, entry);
    List.clear(entries);
    // An empty directory is not served, and has no page.
    if (job.live and (root != Nodes.none or frame.directory == Index.root)) list(nodes, job, frame, root) else leave(job, frame, root);
    entryCost + (if isGrown count else changes * 20) * forkCost;
  };

  func leave(job : Job, frame : Frame, root : Node) {
    ignore List.removeLast(job.frames);
    if (frame.directory == Index.root) job.root := root else job.seen[frame.directory] := root;
  };

  // --- pages of directories ---

  /// Begins a directory's pages, or keeps the old ones. @param root of its entries, whose reference is taken over
  func list(nodes : Nodes.Nodes, job : Job, frame : Frame, root : Node) {
    // The directory's own path, even when a symlink led to it.
    let path = if (frame.directory == Index.root) "" : Blob else Index.path(job.index, frame.directory, 0);
    let old = Listing.inside(nodes, job.oldListings, Paths.names(path));
    let isChanged = frame.isSparse and old != Nodes.none;
    let folders = if isChanged DirectoryPages.changedFolders(nodes, old, frame) else DirectoryPages.grownFolders(nodes, frame);
    if (old != Nodes.none and frame.old == root and (if isChanged folders == old else DirectoryPages.hasFolders(nodes, old, frame))) {
      Nodes.drop(nodes, folders);
      return leaveListed(job, frame, root, Nodes.retain(nodes, old));
    };
    let directory : Listing.Directory = { path; entries = root; folders };
    let before : Listing.Directory = { path; entries = frame.old; folders = old };
    frame.listing := ?DirectoryPages.begin(nodes, directory, before);
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
