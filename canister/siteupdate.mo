/// Brings what is served over HTTP (site.mo) up to the newest release, a slice at a time: what the pages are made of, which come next, when
/// they are given up, and what is let go.
///
/// The newest release's pages come first: those below /.icfs/at/, then those at /. Until they are ready HTTP goes on with the release
/// before. Then come those of older releases that are to be below /.icfs/at/ and are not, such as one that an owner has just marked to keep.
import Array "mo:core/Array";
import Iter "mo:core/Iter";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Nat64 "mo:core/Nat64";
import Principal "mo:core/Principal";
import Set "mo:core/Set";

import Assembly "assembly";
import Channels "channels";
import History "history";
import Index "index";
import Manifest "manifest";
import Nodes "nodes";
import Page "page";
import Responses "responses";
import Retention "retention";
import Site "site";
import SiteBuild "sitebuild";

module {
  /// Instructions, about, that a message makes pages for: one that publishes, and one that does nothing else.
  let publishBudget = 2_500_000_000;
  let sliceBudget = 2_000_000_000;

  /// What there is of the canister, and how far its pages are. Nothing of this outlives an upgrade but what the canister keeps itself.
  public type Update = {
    canister : Principal;
    site : Site.Site;
    tools : SiteBuild.Tools;
    history : History.History;
    retention : Retention.Retention;
    trees : Retention.Trees;
    /// What channels stand for, and these releases alone.
    named : () -> [Channels.Named];
    namedReleases : () -> Set.Set<Nat64>;
    /// Why nothing is served, in a sentence; null when it is.
    whyOff : () -> ?Text;
    /// Of the newest release's tree.
    var index : Index.Index;
    /// Of the tree at /, if that is another and was laid out since the last upgrade; or of an older one whose pages are made.
    var otherIndex : Index.Index;
    /// What the tree of all that is served names besides files.
    var places : Site.Places;
    /// How many releases had been let go of when all that is served was arranged.
    var droppedShown : Nat64;
    /// Pages that are being made.
    var job : ?SiteBuild.Job;
  };

  func newest({ history } : Update) : Nat64 = Nat64.fromNat(History.size(history));

  /// The SHA-256 of the manifest of a release's tree, which says which tree it is.
  func treeOf({ history } : Update, number : Nat64) : Blob = History.details(history, number).manifest.sha256;

  func isServed({ whyOff } : Update) : Bool = whyOff() == null;

  func isPinMade({ site } : Update, number : Nat64) : Bool = Map.containsKey(site.pins, Nat64.compare, number);

  // --- what there is ---

  /// Makes a tree the newest release's, before `start`.
  public func show(update : Update, tree : Blob, manifest : Manifest.Manifest) {
    giveUp(update);
    let { site } = update;
    let index = update.index;
    // What is at / is what the new pages are compared with.
    if (site.release > 0 and index.tree == treeOf(update, site.release)) {
      update.index := update.otherIndex;
      update.otherIndex := index;
    };
    Index.build(update.index, tree, manifest);
  };

  /// Arranges anew what is served. It has to be certified after that.
  public func arrange(update : Update) {
    let { site; tools; retention } = update;
    let mode : Site.Mode = switch (update.whyOff()) {
      case (?why) #off why;
      case null #on(shownPage update);
    };
    update.places := Site.arrange(site, tools.kit, mode, update.named());
    update.droppedShown := retention.dropped;
  };

  func shownPage(update : Update) : Page.Shown {
    let { site; history; retention } = update;
    let last = newest update;
    // Before the first pages are ready, what they will be of.
    let number = if (site.release == 0) last else site.release;
    let hash = func(number : Nat64) : Text = Responses.hex(History.hash(history, Nat64.toNat(number)));
    let release : ?Page.Release = if (number == 0) null else {
      let { published_at; publisher; note; totals } = History.details(history, number);
      ?{ number; hash = hash number; publishedAt = published_at; publisher; note; files = totals.files; bytes = totals.bytes };
    };
    let held = Array.map<(Nat64, Retention.Held), Page.Held>(
      Retention.newestHeld(retention, Page.maxHeld),
      func((number, { publishedAt })) = { number; publishedAt; hash = hash number; isServed = isPinMade(update, number) },
    );
    { canister = update.canister; release; newest = last; isReady = site.release > 0; held; heldInAll = Map.size(retention.held) };
  };

  // --- what is to be there ---

  /// Whether a release is to be below /.icfs/at/.
  func isPinned(update : Update, number : Nat64) : Bool {
    let { site; retention; namedReleases } = update;
    let isMarked = func(numbers : Set.Set<Nat64>) : Bool = Set.contains(numbers, Nat64.compare, number);
    number == site.release or number == newest update or (Retention.isHeld(retention, number) and (number + 1 == site.release or isMarked(retention.kept) or isMarked(namedReleases())));
  };

  /// Releases besides the newest that are to be below /.icfs/at/.
  func wanted(update : Update) : [Nat64] {
    let { site; retention } = update;
    let before : [Nat64] = if (site.release > 1 and isPinned(update, site.release - 1)) [site.release - 1] else [];
    let marked = Iter.concat(Set.values(retention.kept), Set.values(update.namedReleases()));
    Array.concat(before, Iter.toArray(Iter.filter(marked, func(number : Nat64) : Bool = isPinned(update, number))));
  };

  /// Whether there are pages to make.
  public func hasMore(update : Update) : Bool {
    let last = newest update;
    let isMade = func(number : Nat64) : Bool = isPinMade(update, number);
    isServed update and last > 0 and not (update.site.release == last and isMade last and Array.all<Nat64>(wanted update, isMade));
  };

  /// Takes away what is no longer to be below /.icfs/at/, and tells whether there was any.
  func unpin(update : Update) : Bool {
    let { site } = update;
    let gone = Iter.toArray(Iter.filter(Map.keys(site.pins), func(number : Nat64) : Bool = not isPinned(update, number)));
    for (number in gone.vals()) Site.unpin(site, number);
    switch (update.job) {
      case (?{ number }) if (not isPinned(update, number)) giveUp update;
      case null {};
    };
    gone.size() > 0;
  };

  // --- making it ---

  /// Gives up what is there of pages that are being made; what is done is nobody's to give up.
  func giveUp(update : Update) {
    switch (update.job) {
      case (?unfinished) SiteBuild.end(update.tools, unfinished);
      case null {};
    };
    update.job := null;
    update.site.isUnfinished := false;
  };

  /// Begins with a release that has just been published, after `show` where its tree was not there already. @param isLarge whether
  /// publishing it takes enough of its message's limit without pages
  public func start(update : Update, isLarge : Bool) {
    giveUp update;
    if (isServed update) {
      share update;
      ignore unpin update;
      if (not isLarge) ignore goOn(update, publishBudget);
    };
    arrange update;
  };

  /// Lets a newest release whose tree has pages already have them: after a rollback, or when a tree was published again.
  func share(update : Update) {
    let { site; trees } = update;
    let last = newest update;
    let tree = treeOf(update, last);
    // Newest first, since those are likelier to be the same in what comes later, too.
    label looking for ((number, files) in Map.reverseEntries(site.pins)) {
      if (Map.get(trees.of, Nat64.compare, number) == ?tree) {
        Site.pin(site, last, Nodes.retain(site.nodes, files));
        break looking;
      };
    };
    if (site.release > 0 and treeOf(update, site.release) == tree) Site.showSame(site, last);
  };

  /// Makes a slice of the pages that there are to make, and tells whether there are more.
  public func slice(update : Update) : Bool {
    if (not hasMore update) return false;
    let more = goOn(update, sliceBudget);
    arrange update;
    more;
  };

  /// Makes pages with about so many instructions, and tells whether there are more to make. What is ready is served once it is arranged.
  func goOn(update : Update, budget : Nat) : Bool {
    let { site; tools } = update;
    var isFirst = true;
    var spent = 0;
    loop {
      let current = switch (update.job) {
        case (?current) current;
        case null {
          // Laying out an older tree is a message's work of its own.
          if (not isFirst and site.release == newest update) return hasMore update;
          let ?next = nextJob update else return false;
          update.job := ?next;
          site.isUnfinished := true;
          next;
        };
      };
      isFirst := false;
      if (spent >= budget) return true;
      spent += SiteBuild.run(tools, current, budget - spent);
      if (not SiteBuild.isDone(current)) return true;
      giveUp update;
      let { number; live } = current;
      if live Site.show(site, number, { files = current.root; listings = current.listing; sendsOn = current.sendsOn }) else Site.pin(site, number, current.root);
      ignore unpin update;
    };
  };

  func nextJob(update : Update) : ?SiteBuild.Job {
    let { site; tools } = update;
    let index = update.index;
    let last = newest update;
    if (last == 0) return null;
    if (not isPinMade(update, last)) {
      // Of the tree at /, the index may be at hand.
      let (files, before) = switch (Map.get(site.pins, Nat64.compare, site.release)) {
        case (?files) (files, indexAtRoot update);
        case null (Site.nearest(site, last), null);
      };
      return ?SiteBuild.begin(tools, last, false, index, files, Nodes.none, before);
    };
    if (site.release != last) return ?SiteBuild.begin(tools, last, true, index, site.files, site.listings, indexAtRoot update);
    for (number in (wanted update).vals()) {
      if (not isPinMade(update, number)) {
        let otherIndex = update.otherIndex;
        let { sha256; chunks } = History.details(update.history, number).manifest;
        Index.build(otherIndex, sha256, Assembly.tree(tools.store, tools.scratch, chunks));
        return ?SiteBuild.begin(tools, number, false, otherIndex, Site.nearest(site, number), Nodes.none, null);
      };
    };
    null;
  };

  /// The index of the tree at /, if it is at hand.
  func indexAtRoot(update : Update) : ?Index.Index {
    if (update.site.release == 0) return null;
    let tree = treeOf(update, update.site.release);
    if (update.index.tree == tree) ?update.index else if (update.otherIndex.tree == tree) ?update.otherIndex else null;
  };

  // --- letting go ---

  /// Takes away what is no longer to be below /.icfs/at/, and arranges what is served anew if that or the page for people is old.
  /// @return whether it has, so that it has to be certified
  public func refresh(update : Update) : Bool {
    let isLess = unpin update;
    if (not isLess and update.retention.dropped == update.droppedShown) return false;
    arrange update;
    true;
  };

  /// Forgets all pages, if nothing is to be served, and arranges that: after an owner has changed who may read or what is served.
  public func reconsider(update : Update) {
    if (not isServed update) {
      giveUp update;
      Site.clear(update.site);
    };
    arrange update;
  };
};
