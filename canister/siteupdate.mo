/// Keeps what is served over HTTP (site.mo) up to date with the newest release, a slice at a time: what pages are made from, in
/// which order, when unfinished ones are given up, and what is removed.
///
/// The newest release's pages come first: those below /.icfs/at/, then those at /. Until they are ready, HTTP serves the previous
/// release. Then come missing pages of older releases that belong below /.icfs/at/, such as one that an owner has just marked to
/// keep.
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
  /// Approximate instructions per message for making pages: in a message that also publishes, and in one that does nothing else.
  let publishBudget = 2_500_000_000;
  let sliceBudget = 2_000_000_000;

  /// The state of the canister, and the progress of its pages. Only what the canister itself keeps outlives an upgrade.
  public type Update = {
    canister : Principal;
    site : Site.Site;
    tools : SiteBuild.Tools;
    history : History.History;
    retention : Retention.Retention;
    trees : Retention.Trees;
    /// The channels and their releases; and the releases alone.
    named : () -> [Channels.Named];
    namedReleases : () -> Set.Set<Nat64>;
    /// The channels for the page for people.
    channels : () -> [Channels.Shown];
    /// Why nothing is served, as a sentence; null when something is.
    whyOff : () -> ?Text;
    /// The index of the newest release's tree.
    var index : Index.Index;
    /// The index of the tree at /, if that is another one and was indexed since the last upgrade; or of an older tree whose pages are
    /// being made.
    var otherIndex : Index.Index;
    /// What the tree of everything served contains besides files.
    var places : Site.Places;
    /// How many releases had been dropped when the tree of everything served was last rebuilt.
    var droppedShown : Nat64;
    /// The pages that are being made.
    var job : ?SiteBuild.Job;
  };

  func newest({ history } : Update) : Nat64 = Nat64.fromNat(History.size(history));

  /// The SHA-256 of a release's manifest, which identifies its tree.
  func treeOf({ history } : Update, number : Nat64) : Blob = History.details(history, number).manifest.sha256;

  func isServed({ whyOff } : Update) : Bool = whyOff() == null;

  func isPinMade({ site } : Update, number : Nat64) : Bool = Map.containsKey(site.pins, Nat64.compare, number);

  // --- what there is ---

  /// Makes a tree the newest release's, before `start`.
  public func show(update : Update, tree : Blob, manifest : Manifest.Manifest) {
    giveUp(update);
    let { site } = update;
    let index = update.index;
    // The new pages are compared with those at /.
    if (site.release > 0 and index.tree == treeOf(update, site.release)) {
      update.index := update.otherIndex;
      update.otherIndex := index;
    };
    Index.build(update.index, tree, manifest);
  };

  /// Rebuilds the tree of everything served, which has to be certified afterwards.
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
    // Before the first pages are ready, the release they will belong to.
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
    { canister = update.canister; release; newest = last; isReady = site.release > 0; held; heldInAll = Map.size(retention.held); channels = update.channels() };
  };

  // --- what should be there ---

  /// Whether a release belongs below /.icfs/at/.
  func isPinned(update : Update, number : Nat64) : Bool {
    let { site; retention; namedReleases } = update;
    let isMarked = func(numbers : Set.Set<Nat64>) : Bool = Set.contains(numbers, Nat64.compare, number);
    number == site.release or number == newest update or (Retention.isHeld(retention, number) and (number + 1 == site.release or isMarked(retention.kept) or isMarked(namedReleases())));
  };

  /// Releases other than the newest that belong below /.icfs/at/.
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

  /// Removes what no longer belongs below /.icfs/at/, and returns whether there was any.
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

  /// Abandons pages that are being made. The results of a finished job do not belong to it, and stay.
  func giveUp(update : Update) {
    switch (update.job) {
      case (?unfinished) SiteBuild.end(update.tools, unfinished);
      case null {};
    };
    update.job := null;
    update.site.isUnfinished := false;
  };

  /// Starts with a release that has just been published; if its tree is new, after `show`. @param isLarge whether publishing
  /// alone takes enough of the message's instruction limit
  public func start(update : Update, isLarge : Bool) {
    giveUp update;
    if (isServed update) {
      share update;
      ignore unpin update;
      if (not isLarge) ignore goOn(update, publishBudget);
    };
    arrange update;
  };

  /// Reuses existing pages of the same tree for the newest release: after a rollback, or when a tree was published again.
  func share(update : Update) {
    let { site; trees } = update;
    let last = newest update;
    let tree = treeOf(update, last);
    // Newest first: their pages are more likely to be reused by later releases, too.
    label looking for ((number, files) in Map.reverseEntries(site.pins)) {
      if (Map.get(trees.of, Nat64.compare, number) == ?tree) {
        Site.pin(site, last, Nodes.retain(site.nodes, files));
        break looking;
      };
    };
    if (site.release > 0 and treeOf(update, site.release) == tree) Site.showSame(site, last);
  };

  /// Makes a slice of the missing pages, and returns whether there are more.
  public func slice(update : Update) : Bool {
    if (not hasMore update) return false;
    let more = goOn(update, sliceBudget);
    arrange update;
    more;
  };

  /// Makes pages for about so many instructions, and returns whether there are more to make. Finished pages are served after
  /// `arrange`.
  func goOn(update : Update, budget : Nat) : Bool {
    let { site; tools } = update;
    var isFirst = true;
    var spent = 0;
    loop {
      let current = switch (update.job) {
        case (?current) current;
        case null {
          // Indexing an older tree takes a message of its own.
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
      // The index of the tree at / may be at hand.
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

  // --- removing ---

  /// Removes what no longer belongs below /.icfs/at/, and rebuilds the tree of everything served if that or the page for people
  /// has changed.
  /// @return whether it has, so that it must be certified
  public func refresh(update : Update) : Bool {
    let isLess = unpin update;
    if (not isLess and update.retention.dropped == update.droppedShown) return false;
    arrange update;
    true;
  };

  /// Drops all pages if nothing is served any more, and rebuilds the tree: after an owner has changed who can read or what is
  /// served.
  public func reconsider(update : Update) {
    if (not isServed update) {
      giveUp update;
      Site.clear(update.site);
    };
    arrange update;
  };
};
