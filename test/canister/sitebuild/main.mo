/// Makes the pages of trees from those of the tree before in three ways, so that a test can compare the results.
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat "mo:core/Nat";
import Nat64 "mo:core/Nat64";
import Nat8 "mo:core/Nat8";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";

import Assembly "assembly";
import Index "index";
import Nodes "nodes";
import Responses "responses";
import Sha256 "sha256";
import SiteBuild "sitebuild";
import Space "space";
import Store "store";

persistent actor {
  let nodes = Nodes.empty();
  Nodes.prepare(nodes);
  let store = Store.empty();
  let holes = Space.empty();
  let scratch = Region.new();
  let one = Index.kept();
  let other = Index.kept();
  transient let tools : SiteBuild.Tools = { kit = Responses.prepare(nodes.region, "aaaaa-aa"); nodes; store; scratch };
  transient var index = Index.within(one);
  transient var before = Index.within(other);
  /// A tree's pages below /.icfs/at/, its pages at /, and the pages of its directories.
  var pinned = Nodes.none;
  var live = Nodes.none;
  var listings = Nodes.none;
  var number : Nat64 = 0;

  public func put(chunk : Blob) : async () { Store.add(store, holes, Sha256.ofBlob(chunk), chunk) };

  type Made = { root : Nodes.Node; listing : Nodes.Node; sendsOn : Bool };

  /// @param budget of each slice
  func make(isLive : Bool, old : Nodes.Node, oldListings : Nodes.Node, from : ?Index.Index, budget : Nat) : Made {
    let job = SiteBuild.begin(tools, number, isLive, index, old, oldListings, from);
    while (not SiteBuild.isDone(job)) ignore SiteBuild.run(tools, job, budget);
    SiteBuild.end(tools, job);
    { root = job.root; listing = job.listing; sendsOn = job.sendsOn };
  };

  func drop({ root; listing } : Made) {
    Nodes.drop(nodes, root);
    Nodes.drop(nodes, listing);
  };

  func isSame(one : Made, other : Made) : Bool = one.sendsOn == other.sendsOn and isSameTree(one.root, other.root) and isSameTree(one.listing, other.listing);

  /// Whether two trees have the same hashes, and the same places of files' bytes.
  func isSameTree(one : Nodes.Node, other : Nodes.Node) : Bool {
    if (one == other) return true;
    if (one == Nodes.none or other == Nodes.none) return false;
    let kind = Nodes.kind(nodes, one);
    if (Nodes.kind(nodes, other) != kind or Nodes.hash(nodes, one) != Nodes.hash(nodes, other)) return false;
    if (kind == Nodes.fork) return isSameTree(Nodes.left(nodes, one), Nodes.left(nodes, other)) and isSameTree(Nodes.right(nodes, one), Nodes.right(nodes, other));
    if (Nodes.name(nodes, one) != Nodes.name(nodes, other)) return false;
    if (kind == Nodes.listing) return Nodes.inside(nodes, one) == Nodes.inside(nodes, other) and Nodes.content(nodes, one) == Nodes.content(nodes, other);
    if (kind == Nodes.file and not isSameFile(one, other)) return false;
    (kind != Nodes.folder and kind != Nodes.file) or isSameTree(Nodes.inside(nodes, one), Nodes.inside(nodes, other));
  };

  func isSameFile(one : Nodes.Node, other : Nodes.Node) : Bool {
    let count = Nodes.extentCount(nodes, one);
    if (Nodes.extentCount(nodes, other) != count) return false;
    for (i in Nat.range(0, count)) if (Nodes.extent(nodes, one, i) != Nodes.extent(nodes, other, i)) return false;
    let same = func<T>(of : (Nodes.Nodes, Nodes.Node) -> T, equal : (T, T) -> Bool) : Bool = equal(of(nodes, one), of(nodes, other));
    same(Nodes.flag, Nat8.equal) and same(Nodes.fileSize, Nat.equal) and same(Nodes.fileHash, Blob.equal) and same(Nodes.location, Blob.equal);
  };

  /// Makes the pages of a manifest's tree in each way, and returns the ways whose pages differ from those made from nothing.
  public func next(manifest : Blob, budget : Nat) : async [Text] {
    let ?tree = Assembly.decode(scratch, manifest) else Runtime.trap("this is not a manifest");
    number += 1;
    let last = index;
    index := before;
    before := last;
    Index.build(index, Sha256.ofBlob(manifest), tree);
    let wrong = List.empty<Text>();
    func compare(what : Text, isLive : Bool, old : Nodes.Node, oldListings : Nodes.Node) : Made {
      let fresh = make(isLive, Nodes.none, Nodes.none, null, budget);
      let compared = make(isLive, old, oldListings, null, budget);
      if (not isSame(fresh, compared)) List.add(wrong, what # ", compared with the tree before");
      drop compared;
      let changed = make(isLive, old, oldListings, if (number == 1) null else ?before, budget);
      if (not isSame(fresh, changed)) List.add(wrong, what # ", by what differs from the tree before");
      drop fresh;
      changed;
    };
    let nextPinned = compare("pinned", false, pinned, Nodes.none);
    let nextLive = compare("live", true, live, listings);
    forget();
    pinned := nextPinned.root;
    live := nextLive.root;
    listings := nextLive.listing;
    List.toArray(wrong);
  };

  func forget() {
    Nodes.drop(nodes, pinned);
    Nodes.drop(nodes, live);
    Nodes.drop(nodes, listings);
  };

  /// Forgets all pages, so that the next tree is the first again, and returns how many bytes are left.
  public func clear() : async Nat {
    forget();
    pinned := Nodes.none;
    live := Nodes.none;
    listings := Nodes.none;
    number := 0;
    nodes.bytes;
  };
};
