/// Pages of trees, made out of those of the tree before in three ways, so that the results can be held against one another.
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat64 "mo:core/Nat64";
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
  /// What a tree has below /.icfs/at/, what it has at /, and the pages of its directories.
  var pinned = Nodes.none;
  var live = Nodes.none;
  var listings = Nodes.none;
  var number : Nat64 = 0;

  public func put(chunk : Blob) : async () { Store.add(store, holes, Sha256.ofBlob(chunk), chunk) };

  type Made = { root : Nodes.Node; listing : Nodes.Node };

  /// @param budget of each slice
  func make(isLive : Bool, old : Nodes.Node, oldListings : Nodes.Node, from : ?Index.Index, budget : Nat) : Made {
    let job = SiteBuild.begin(tools, number, isLive, index, old, oldListings, from);
    while (not SiteBuild.isDone(job)) ignore SiteBuild.run(tools, job, budget);
    SiteBuild.end(tools, job);
    { root = job.root; listing = job.listing };
  };

  func drop({ root; listing } : Made) {
    Nodes.drop(nodes, root);
    Nodes.drop(nodes, listing);
  };

  func hash(node : Nodes.Node) : Blob = if (node == Nodes.none) "" else Nodes.hash(nodes, node);

  func isSame(one : Made, other : Made) : Bool = hash(one.root) == hash(other.root) and hash(one.listing) == hash(other.listing);

  /// Makes the pages of the tree in a manifest, and tells in which ways they come out otherwise than when they are made from nothing.
  public func next(manifest : Blob, budget : Nat) : async [Text] {
    let ?tree = Assembly.decode(scratch, manifest) else Runtime.trap("this is no manifest");
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

  /// Forgets all pages, so that the next tree is the first again, and tells how many bytes are left.
  public func clear() : async Nat {
    forget();
    pinned := Nodes.none;
    live := Nodes.none;
    listings := Nodes.none;
    number := 0;
    nodes.bytes;
  };
};
