/// The certified tree of everything that is served over HTTP (docs/PROTOCOL.md, "HTTP"): at /, the newest release whose pages are ready;
/// below /.icfs/at/, that one, the previous one, those that an owner keeps, and those to which channels point.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Iter "mo:core/Iter";
import List "mo:core/List";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Text "mo:core/Text";

import Channels "channels";
import Listing "listing";
import Nodes "nodes";
import Page "page";
import Paths "paths";
import Responses "responses";
import Style "style";
import Trie "trie";

module {
  type Node = Nodes.Node;

  /// What an upgrade keeps.
  public type Site = {
    nodes : Nodes.Nodes;
    /// The release at /; 0 before its pages are ready.
    var release : Nat64;
    /// The entries of the release at /.
    var files : Node;
    /// These entries together with everything else that is served.
    var root : Node;
    /// The pages of the release's directories.
    var listings : Node;
    /// Whether what is at / names the release's number anywhere.
    var sendsOn : Bool;
    /// The releases below /.icfs/at/.
    pins : Map.Map<Nat64, Node>;
    /// Responses.fingerprint of the version that made the nodes.
    var fingerprint : Blob;
    /// Whether pages are being made: an upgrade loses the unfinished ones.
    var isUnfinished : Bool;
  };

  public func empty() : Site = {
    nodes = Nodes.empty();
    var release = 0;
    var files = Nodes.none;
    var root = Nodes.none;
    var listings = Nodes.none;
    var sendsOn = true;
    pins = Map.empty();
    var fingerprint = "";
    var isUnfinished = false;
  };

  /// Prepares a site after an installation or an upgrade. It starts over if the previous version had different answers, or if
  /// pages were being made, since their nodes are unknown then.
  /// @param canister its id
  public func prepare(site : Site, canister : Text) : Responses.Kit {
    Nodes.prepare(site.nodes);
    let kit = Responses.prepare(site.nodes.region, canister);
    let fingerprint = Responses.fingerprint(kit, site.nodes, Listing.sample());
    if (site.fingerprint != fingerprint or site.isUnfinished) {
      site.isUnfinished := false;
      Nodes.clear(site.nodes);
      site.release := 0;
      site.files := Nodes.none;
      site.root := Nodes.none;
      site.listings := Nodes.none;
      Map.clear(site.pins);
      site.fingerprint := fingerprint;
    };
    kit;
  };

  /// Forgets all pages.
  public func clear(site : Site) {
    for (pin in Map.values(site.pins)) Nodes.drop(site.nodes, pin);
    Map.clear(site.pins);
    show(site, 0, { files = Nodes.none; listings = Nodes.none; sendsOn = true });
  };

  /// What a release has at /.
  public type Live = { files : Node; listings : Node; sendsOn : Bool };

  /// Puts a release at /, with its entries and its directories' pages, whose references are taken over.
  public func show(site : Site, release : Nat64, { files; listings; sendsOn } : Live) {
    Nodes.drop(site.nodes, site.files);
    Nodes.drop(site.nodes, site.listings);
    site.files := files;
    site.listings := listings;
    site.sendsOn := sendsOn;
    site.release := release;
  };

  /// Puts a release below /.icfs/at/, with its entries, whose reference is taken over.
  public func pin(site : Site, release : Nat64, files : Node) {
    unpin(site, release);
    Map.add(site.pins, Nat64.compare, release, files);
  };

  /// Puts a release at / that has the same tree as the one there, unless the pages there name their release.
  public func showSame(site : Site, release : Nat64) {
    if (not site.sendsOn) site.release := release;
  };

  public func unpin(site : Site, release : Nat64) {
    switch (Map.take(site.pins, Nat64.compare, release)) {
      case (?files) Nodes.drop(site.nodes, files);
      case null {};
    };
  };

  /// The pinned tree that is likely to have most in common with a release's tree.
  public func nearest(site : Site, release : Nat64) : Node {
    switch (Map.reverseEntriesFrom(site.pins, Nat64.compare, release).next()) {
      case (?(_, files)) files;
      case null switch (Map.minEntry(site.pins)) {
        case (?(_, files)) files;
        case null Nodes.none;
      };
    };
  };

  // --- what is served besides files ---

  /// By the number in an opaque node.
  public type Places = List.List<Responses.Place>;

  public type Mode = {
    #on : Page.Shown;
    /// In a sentence.
    #off : Text;
  };

  /// Rebuilds the tree of everything that is served, and returns its places. @param named what channels point to
  public func arrange(site : Site, kit : Responses.Kit, mode : Mode, named : [Channels.Named]) : Places {
    let { nodes } = site;
    let places = List.empty<Responses.Place>();
    func node(name : Text, scope : { #exactly; #below; #rest }, kind : { #fixed : Responses.Response; #uncertified }) : Node {
      let place : Responses.Place = { scope; kind };
      List.add(places, place);
      Nodes.newOpaque(nodes, Text.encodeUtf8(name), Nat32.fromNat(List.size(places) - 1), Responses.placeContent(kit, place));
    };
    /// Whether there is a file of this name at the top, or a link of this name to a file.
    func found(name : Text) : Bool {
      let entry = Trie.find(nodes, site.files, Text.encodeUtf8(name));
      entry != Nodes.none and Nodes.kind(nodes, entry) == Nodes.file;
    };
    let root = switch mode {
      case (#off why) node("<*>", #rest, #fixed(Responses.forbidden(why)));
      case (#on shown) {
        let directory : Listing.Directory = { path = ""; entries = site.files; folders = site.listings };
        let html = Page.render(shown, Listing.pageAt(nodes, directory, 1), { script = found "boot.ipxe"; image = found "boot.efi" });
        let page = node("", #exactly, #fixed(Responses.page html));
        let own = Trie.growing();
        Trie.grow(nodes, own, Nodes.retain(nodes, page));
        // A tree may have no files.
        let held = pinned(site);
        if (held != Nodes.none) Trie.grow(nodes, own, Nodes.newFolder(nodes, "at", held));
        let scripts = Trie.growing();
        for ((name, release) in bootable(site, named).vals()) Trie.grow(nodes, scripts, node(name, #exactly, #fixed(script release)));
        let ofChannels = Trie.grown(nodes, scripts);
        if (ofChannels != Nodes.none) Trie.grow(nodes, own, Nodes.newFolder(nodes, "boot", ofChannels));
        if (found "boot.ipxe") Trie.grow(nodes, own, node("boot.ipxe", #exactly, #fixed(script(site.release))));
        Trie.grow(nodes, own, node("channel", #below, #uncertified));
        Trie.grow(nodes, own, node("chunk", #below, #uncertified));
        if (site.listings != Nodes.none) Trie.grow(nodes, own, Nodes.newFolder(nodes, "files", Nodes.retain(nodes, site.listings)));
        Trie.grow(nodes, own, node("headers", #below, #uncertified));
        Trie.grow(nodes, own, node("release", #exactly, #uncertified));
        Trie.grow(nodes, own, node("style.css", #exactly, #fixed(Responses.style(Style.css))));
        let isReady = site.release > 0 or shown.release == null;
        let rest = node("<*>", #rest, #fixed(if isReady Responses.notFound() else Responses.notReady()));
        var all = joined(nodes, Nodes.retain(nodes, site.files), Nodes.newFolder(nodes, ".icfs", Trie.grown(nodes, own)));
        for ((name, _) in named.vals()) {
          let at = "@" # name;
          if (not found at) all := joined(nodes, all, node(at, #below, #uncertified));
        };
        all := joined(nodes, all, rest);
        if (isReady and not found "") joined(nodes, all, page) else {
          Nodes.drop(nodes, page);
          all;
        };
      };
    };
    Nodes.drop(nodes, site.root);
    site.root := root;
    places;
  };

  /// The tree with an entry added: both references are taken over.
  func joined(nodes : Nodes.Nodes, root : Node, entry : Node) : Node {
    let more = Trie.insert(nodes, root, entry);
    if (root != Nodes.none) Nodes.drop(nodes, root);
    more;
  };

  func pinned({ nodes; pins } : Site) : Node {
    let tree = Trie.growing();
    let names = Array.map<Nat64, Text>(Iter.toArray(Map.keys(pins)), Nat64.toText);
    for (name in Array.sort(names, Text.compare).vals()) {
      let number = switch (Nat.fromText(name)) {
        case (?number) Nat64.fromNat(number);
        case null 0 : Nat64;
      };
      switch (Map.get(pins, Nat64.compare, number)) {
        case (?files) if (files != Nodes.none) Trie.grow(nodes, tree, Nodes.newFolder(nodes, Text.encodeUtf8(name), Nodes.retain(nodes, files)));
        case null {};
      };
    };
    Trie.grown(nodes, tree);
  };

  /// The names of the scripts for channels whose release has a file boot.ipxe and is below /.icfs/at/; in their order.
  func bootable({ nodes; pins } : Site, named : [Channels.Named]) : [Channels.Named] {
    let has = Array.filter<Channels.Named>(
      named,
      func((_, release)) = switch (Map.get(pins, Nat64.compare, release)) {
        case (?files) Trie.find(nodes, files, "boot.ipxe") != Nodes.none;
        case null false;
      },
    );
    let names = Array.map<Channels.Named, Channels.Named>(has, func((name, release)) = (name # ".ipxe", release));
    Array.sort<Channels.Named>(names, func((one, _), (other, _)) = Text.compare(one, other));
  };

  func script(release : Nat64) : Responses.Response {
    {
      status = 200;
      headers = [("cache-control", "public, max-age=10"), ("content-type", "text/plain; charset=utf-8")];
      body = Text.encodeUtf8("#!ipxe\nchain /.icfs/at/" # Nat64.toText(release) # "/boot.ipxe\n");
    };
  };

  /// Page `number` of a directory of the release at /, which has that many pages. @param names on the way to the directory
  public func listing(site : Site, names : [Blob], number : Nat) : Responses.Response {
    let { nodes } = site;
    let directory : Listing.Directory = {
      path = Paths.joined(names);
      entries = Listing.inside(nodes, site.files, names);
      folders = Listing.inside(nodes, site.listings, names);
    };
    Responses.page(Listing.render(Listing.pageAt(nodes, directory, number)));
  };
};
