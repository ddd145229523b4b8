/// The icfs canister: chunks by hash, an append-only chain of releases, channels that point to some of them, and certified hashes of the
/// newest release and of the channels.
/// docs/PROTOCOL.md describes the interface and the formats.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import CertifiedData "mo:core/CertifiedData";
import Cycles "mo:core/Cycles";
import Int "mo:core/Int";
import Iter "mo:core/Iter";
import List "mo:core/List";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Principal "mo:core/Principal";
import Queue "mo:core/Queue";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Set "mo:core/Set";
import Text "mo:core/Text";
import Time "mo:core/Time";
import Timer "mo:core/Timer";
import Prim "mo:prim";

import Assembly "assembly";
import Certified "certified";
import Channels "channels";
import Chunks "chunks";
import Files "files";
import Garbage "garbage";
import HashTree "hashtree";
import History "history";
import Http "http";
import Index "index";
import Manifest "manifest";
import Nodes "nodes";
import Retention "retention";
import Roles "roles";
import Sha256 "sha256";
import Site "site";
import SiteUpdate "siteupdate";
import Space "space";
import Store "store";
import Types "types";
// Made when it is compiled (compile.ts): the version in package.json.
import Version "version";

shared ({ caller = installer }) persistent actor class Icfs(init : ?{ owner : ?Principal }) = self {
  public type Hash = Types.Hash;
  public type Header = Types.Header;
  public type PublishError = Types.PublishError;
  public type PublishResult = Types.PublishResult;
  public type Status = Types.Status;
  public type Settings = Types.Settings;

  /// Readers refuse a note that is longer.
  transient let maxNoteBytes = 1_024;
  /// The most hashes for `missing`: 330 KB of arguments, far below the instruction limit of a query.
  transient let maxHashesAsked = 10_000;
  /// A reply of `headers` stops after this many bytes, well below the IC's limit of 3 MiB for a query's reply.
  transient let maxPageBytes = 1_000_000;
  /// One slice of work: this many chunks of dropped trees, and as many unpublished ones. Far below the
  /// limit, even if all of them are freed (bench/RESULTS.md, "Instructions").
  transient let sliceChunks = 10_000;
  /// A larger manifest is checked in several messages, and only one at a time: it takes hundreds of megabytes of heap.
  transient let largeBytes = 4_194_304;
  /// A check that has not finished after this long has failed.
  transient let busyNanoseconds : Nat64 = 120_000_000_000;
  /// The most releases that one slice of work drops.
  transient let sliceReleases = 1_000;
  /// How often to look for chunks and releases that are due. They are kept for a day, or a week, so minutes do not matter.
  transient let lookSeconds = 600;
  /// Bytes by which stable memory grows.
  transient let regionPage : Nat64 = 65_536;
  /// Roles are few, and each is one entry of a reply.
  transient let maxRoles = 1_000;
  /// A reply of `channel_history` stops after this many bytes.
  transient let maxHistoryBytes = 100_000;

  /// The owner, besides the controllers. Chosen at the first installation; an upgrade does not change it.
  let owner = switch init {
    case (?{ owner = ?chosen }) chosen;
    case _ installer;
  };
  if (Principal.isAnonymous(owner)) Runtime.trap("the owner must not be the anonymous principal");

  let store = Store.empty();
  /// Where a manifest's chunks are assembled, so that it can be read as one blob.
  let scratch = Region.new();
  let history = History.empty();
  /// Where older versions had the headers that are in `history` now: empty since the upgrade.
  let releases = List.empty<{ header : Blob; hash : Hash }>();

  let holes = Space.empty();
  let references = Map.empty<Hash, Nat32>();
  let loose = Map.empty<Hash, Chunks.Loose>();
  let looseBytes = Map.empty<Principal, Nat64>();
  let looseCounts = Map.empty<Principal, Nat>();
  let looseSpans = Map.empty<Nat64, Nat>();
  let retention = Retention.empty();
  let trees = Retention.noTrees();
  let roles = Roles.empty();
  let promoters : Roles.Promoters = Set.empty();
  let promoted = Channels.empty();
  /// Indexes of the newest release's tree and an earlier one, in either order.
  let index = Index.kept();
  let olderIndex = Index.kept();
  /// What is served over HTTP, and whether an owner allows it.
  let site = Site.empty();
  var servesHttp = true;
  var settings : Settings = {
    quota = 107_374_182_400; // 100 GiB, a fifth of what a canister can hold
    loose_quota = 34_359_738_368; // 32 GiB: a large tree that is published for the first time
    hold_newest = Retention.standard.newest;
    hold_nanoseconds = Retention.standard.nanoseconds;
  };
  transient let chunks : Chunks.Chunks = { store; holes; references; loose; looseBytes; looseCounts; looseSpans };
  transient let collector : Garbage.Collector = actor (Principal.toText(Principal.fromActor(self)));
  transient let myself : actor { work : shared () -> () } = actor (Principal.toText(Principal.fromActor(self)));
  transient let collected = { var since = 0 };
  transient let looseCursor : Chunks.Cursor = { var after = null };
  /// Whether a slice of work is scheduled.
  transient var isWorkDue = false;
  /// What channels point to.
  transient var named = Channels.all(promoted);
  transient var namedReleases = Channels.releases(named);
  transient var shownChannels = Channels.shown(promoted);
  /// Until when no other large manifest is checked.
  transient var busyUntil : Nat64 = 0;

  for ({ header; hash } in List.values(releases)) History.add(history, header, hash);
  List.clear(releases);

  transient let kit = Site.prepare(site, Principal.toText(Principal.fromActor(self)));
  transient let update : SiteUpdate.Update = {
    canister = Principal.fromActor(self);
    site;
    tools = { kit; nodes = site.nodes; store; scratch };
    history;
    retention;
    trees;
    named = func() = named;
    namedReleases = func() = namedReleases;
    channels = func() = shownChannels;
    whyOff = func() : ?Text = if (roles.isPrivate) ?"This canister is private: it serves nothing over HTTP. Mount it, with an identity that may read it." else if (not servesHttp) ?"This canister's owner has it serve nothing over HTTP: mount it." else null;
    var index = Index.within(index);
    var otherIndex = Index.within(olderIndex);
    var places = List.empty();
    var droppedShown = 0;
    var job = null;
  };

  func newestHead() : Blob {
    switch (History.newest(history)) {
      case null "";
      case (?hash) hash;
    };
  };

  /// The hash of the tree of channels, which changes only with them.
  transient var channelsHash = Channels.hash(promoted, kit.desk);

  func headPart() : Blob = Certified.headPart(kit.desk, newestHead(), channelsHash);

  func pagesPart() : Blob = Certified.pagesPart(kit.desk, Nodes.hash(site.nodes, site.root));

  func certify() = CertifiedData.set(HashTree.fork(kit.desk, pagesPart(), headPart()));

  func now() : Nat64 = Nat64.fromNat(Int.abs(Time.now()));

  func newestNumber() : Nat64 = Nat64.fromNat(History.size(history));

  func newestHash() : ?Hash = History.newest(history);

  func authoriseOwner(caller : Principal) {
    if (not Roles.isOwner(owner, caller)) Runtime.trap("not authorised: only an owner may do that, and " # Principal.toText(caller) # " is none");
  };

  func authorisePublisher(caller : Principal) {
    if (not Roles.mayPublish(roles, owner, caller)) Runtime.trap("not authorised: " # Principal.toText(caller) # " is not a publisher");
  };

  func authorisePromoter(caller : Principal) {
    if (not Roles.mayPromote(promoters, owner, caller)) Runtime.trap("not authorised: " # Principal.toText(caller) # " is not a promoter");
  };

  func authoriseReader(caller : Principal) {
    if (not Roles.mayRead(roles, promoters, owner, caller)) Runtime.trap("not authorised: this canister is private, and " # Principal.toText(caller) # " is not a reader");
  };

  /// Default-deny, including query methods: anyone can send a query as an update, which costs the canister cycles.
  /// Each method checks its caller again, because calls from canisters do not come through here.
  system func inspect({
    caller : Principal;
    msg : {
      #channel_history : () -> (Text, Nat64, Nat32);
      #channels : () -> ?Text;
      #chunk : () -> Hash;
      #configure : () -> Settings;
      #get : () -> { filename : Text; sector_no : Nat; count : Nat };
      #grant : () -> (Principal, Roles.Grant);
      #headers : () -> (Nat64, Nat32);
      #http_request : () -> Http.Request;
      #keep : () -> (Nat64, Bool);
      #listing : () -> ();
      #missing : () -> [Hash];
      #promote : () -> Channels.Change;
      #promoters_granted : () -> ();
      #publish : () -> { manifest : [Hash]; parent : ?Hash; note : Text };
      #put : () -> [Blob];
      #release : () -> ();
      #restrict : () -> Bool;
      #revoke : () -> Principal;
      #roles_granted : () -> ();
      #serve_http : () -> Bool;
      #rollback : () -> { to : Nat64; parent : ?Hash; note : Text };
      #status : () -> ();
      #work : () -> ();
    };
  }) : Bool {
    switch msg {
      case (#put _ or #publish _ or #rollback _) Roles.mayPublish(roles, owner, caller);
      case (#promote _) Roles.mayPromote(promoters, owner, caller);
      // An owner who is about to change some settings needs the others from more than one node.
      case (#grant _ or #revoke _ or #restrict _ or #serve_http _ or #keep _ or #configure _ or #status _) Roles.isOwner(owner, caller);
      case _ false;
    };
  };

  // --- reading ---

  /// The newest release: the CBOR map { header, witness, certificate }. Before the first release the header is empty
  /// and so is the certified leaf. Traps when called as an update: only a query has a certificate.
  public shared query ({ caller }) func release() : async Blob {
    authoriseReader(caller);
    let ?certificate = CertifiedData.getCertificate() else Runtime.trap("call release as a query: an update has no certificate");
    proof(certificate);
  };

  func proof(certificate : Blob) : Blob {
    let shown : ?HashTree.Witness = switch channelsHash {
      case (?hash) ?#pruned hash;
      case null null;
    };
    Certified.proof(proved(certificate, shown));
  };

  func proved(certificate : Blob, shown : ?HashTree.Witness) : Certified.Proved {
    let newest = History.size(history);
    let header = if (newest == 0) "" : Blob else History.header(history, newest);
    { header; head = newestHead(); pages = pagesPart(); channels = shown; certificate };
  };

  /// The newest release, and the last record of one channel, or of all: the CBOR map { header, records, witness, certificate }. If there is
  /// no such channel, the witness shows the names of all. Traps when called as an update.
  public shared query ({ caller }) func channels(name : ?Text) : async Blob {
    authoriseReader(caller);
    let ?certificate = CertifiedData.getCertificate() else Runtime.trap("call channels as a query: an update has no certificate");
    channelsProof(name, certificate);
  };

  func channelsProof(name : ?Text, certificate : Blob) : Blob {
    Certified.channelsProof(proved(certificate, Channels.witness(promoted, kit.desk, name)), Channels.records(promoted, name));
  };

  /// A channel's records from serial `from` down, at most `count`, and at most as many as fit a reply: a CBOR array of byte strings.
  public shared query ({ caller }) func channel_history(name : Text, from : Nat64, count : Nat32) : async Blob {
    authoriseReader(caller);
    Certified.page(Channels.history(promoted, name, Nat64.toNat(from), Nat32.toNat(count), maxHistoryBytes));
  };

  /// Headers from release `from` down, at most `count`, and at most as many as fit a reply: a CBOR array of byte strings.
  public shared query ({ caller }) func headers(from : Nat64, count : Nat32) : async Blob {
    authoriseReader(caller);
    headersFrom(Nat64.toNat(from), Nat32.toNat(count));
  };

  func headersFrom(from : Nat, count : Nat) : Blob {
    let page = List.empty<Blob>();
    var bytes = 0;
    var number = Nat.min(from, History.size(history));
    while (number > 0 and List.size(page) < count and bytes < maxPageBytes) {
      let header = History.header(history, number);
      List.add(page, header);
      bytes += header.size();
      number -= 1;
    };
    Certified.page(List.toArray(page));
  };

  /// A chunk's bytes; empty when the canister does not have it.
  public shared query ({ caller }) func chunk(hash : Hash) : async Blob {
    authoriseReader(caller);
    switch (Store.get(store, hash)) {
      case null "";
      case (?bytes) bytes;
    };
  };

  /// A GET or HEAD, as gateways pass it on, with the proof of its answer. Traps when called as an update.
  public query func http_request(request : Http.Request) : async Http.Response {
    let ?certificate = CertifiedData.getCertificate() else Runtime.trap("call http_request as a query: an update has no certificate");
    let newest = History.size(history);
    Http.answer({ site; kit; places = update.places; store; scratch; certificate; head = headPart(); proof = func() = proof(certificate); channel = func name = channelsProof(?name, certificate); named; newest; headersFrom }, request);
  };

  // --- reading, as from an icboot canister ---

  /// The paths and sizes of the newest release's files, including those behind symlinks. Traps when they do not fit a reply.
  public shared query ({ caller }) func listing() : async [(Text, Nat)] {
    authoriseReader(caller);
    Files.listing(update.index);
  };

  /// Up to `count` sectors of 512 bytes of a file of the newest release, from sector `sector_no` on: fewer at the file's end, nothing
  /// past it, and nothing when there is no such file. Traps when they do not fit a reply.
  public shared query ({ caller }) func get({ filename; sector_no; count } : { filename : Text; sector_no : Nat; count : Nat }) : async Blob {
    authoriseReader(caller);
    Files.get(update.index, store, scratch, filename, sector_no, count);
  };

  // --- publishing ---

  /// Which of these chunks are missing, by index. A hint: `publish` checks again.
  public shared query ({ caller }) func missing(hashes : [Hash]) : async [Nat32] {
    authoriseReader(caller);
    if (hashes.size() > maxHashesAsked) Runtime.trap("missing: ask for at most " # Nat.toText(maxHashesAsked) # " chunks at once");
    let absent = List.empty<Nat32>();
    for (i in hashes.keys()) {
      if (Store.size(store, hashes[i]) == null) List.add(absent, Nat32.fromNat(i));
    };
    List.toArray(absent);
  };

  /// Stores chunks and returns their hashes, in order. Storing one again changes nothing, except that an unpublished chunk is kept for
  /// another day.
  public shared ({ caller }) func put(bytes : [Blob]) : async [Hash] {
    authorisePublisher(caller);
    if (bytes.size() > Chunks.maxPut) Runtime.trap("put: send at most " # Nat.toText(Chunks.maxPut) # " chunks at once");
    await* collect();
    let limits = { quota = settings.quota; looseQuota = settings.loose_quota };
    let size = Array.foldLeft<Blob, Nat>(bytes, 0, func(sum, chunk) = sum + chunk.size());
    // Expired chunks must not cause a refusal: a slice of them is freed at once, if nothing has to be counted first.
    if (not Chunks.hasRoom(chunks, caller, bytes.size(), size, limits) and not Retention.count(trees, chunks, sliceChunks)) {
      ignore Retention.expire(retention, chunks, now(), looseCursor, sliceChunks);
    };
    Array.map<Blob, Hash>(bytes, func(chunk) = Chunks.put(chunks, chunk, caller, now(), limits));
  };

  /// Starts a garbage collection when it is time, and does not wait for it.
  func collect() : async* () {
    if (Garbage.isDue(collected)) collector.__motoko_gc_trigger();
  };

  /// Makes the tree in `manifest` (the hashes of its pieces) the newest release, whole or not at all, and returns its
  /// number. Traps when the manifest is not Candid.
  public shared ({ caller }) func publish({ manifest; parent; note } : { manifest : [Hash]; parent : ?Hash; note : Text }) : async PublishResult {
    authorisePublisher(caller);
    await* collect();
    switch (refusal(parent, note)) {
      case (?error) return #err(error);
      case null {};
    };
    let bytes = switch (Assembly.assemble(store, scratch, manifest)) {
      case (#ok bytes) bytes;
      case (#err error) return #err(error);
    };
    let isLarge = bytes.size() > largeBytes;
    if (isLarge) {
      if (now() < busyUntil) return #err(#invalid("another large release is being checked: publish again in a minute"));
      busyUntil := now() + busyNanoseconds;
    };
    let reference = { sha256 = Sha256.ofBlob(bytes); size = Nat64.fromNat(bytes.size()); chunks = manifest };
    let checked = await* check(bytes, isLarge);
    if (isLarge) busyUntil := 0;
    let (tree, totals) = switch checked {
      case (#ok good) good;
      case (#err error) return #err(error);
    };
    let hashes = hashesOf(tree, manifest);
    if (isLarge) {
      // Meanwhile others may have published, chunks may have been freed, and the caller may have lost its role.
      authorisePublisher(caller);
      let absent = Array.filter<Hash>(hashes, func hash = Store.size(store, hash) == null);
      if (absent.size() > 0) return #err(#missing absent);
      switch (refusal(parent, note)) {
        case (?error) return #err(error);
        case null {};
      };
    };
    switch (Retention.refusal(retention, trees, reference.sha256, hashes.size())) {
      case (?problem) return #err(#invalid problem);
      case null {};
    };
    let number = append(reference, totals, parent, note, caller);
    hold(number, reference.sha256, hashes, now());
    SiteUpdate.show(update, reference.sha256, tree);
    serveNewest(isLarge);
    await* tidy();
    #ok number;
  };

  /// The tree in a manifest, if it passes all checks. For a large manifest, each part of the work is a separate message, because each
  /// message has its own limit.
  func check(bytes : Blob, isLarge : Bool) : async* { #ok : (Manifest.Manifest, Manifest.Totals); #err : PublishError } {
    if (isLarge) await async {};
    let ?tree = Assembly.decode(scratch, bytes) else return #err(#invalid("the manifest is of another Candid type"));
    if (not Assembly.isShortest(scratch, tree, bytes)) return #err(#invalid("the manifest is not in Candid's shortest form"));
    if (isLarge) await async {};
    switch (Manifest.pathProblem(tree)) {
      case (?problem) return #err(#invalid problem);
      case null {};
    };
    if (isLarge) await async {};
    let totals = switch (Manifest.check(tree, func(hash) = Store.size(store, hash), Store.maxChunkBytes)) {
      case (#ok totals) totals;
      case (#invalid problem) return #err(#invalid problem);
      case (#missing hashes) return #err(#missing hashes);
    };
    if (isLarge) await async {};
    #ok(tree, totals);
  };

  /// Makes the tree of release `to`, which must still be held, the newest one's.
  public shared ({ caller }) func rollback({ to; parent; note } : { to : Nat64; parent : ?Hash; note : Text }) : async PublishResult {
    authorisePublisher(caller);
    await* collect();
    switch (refusal(parent, note)) {
      case (?error) return #err(error);
      case null {};
    };
    let ?{ hashes } = Map.get(retention.held, Nat64.compare, to) else return #err(notHeld(to));
    let old = History.details(history, to);
    let { sha256 } = old.manifest;
    // A large one is decoded and indexed in separate messages, as when it is published.
    let isLarge = update.index.tree != sha256 and Nat64.toNat(old.manifest.size) > largeBytes;
    if (isLarge) {
      if (now() < busyUntil) return #err(#invalid("another large release is being checked: roll back again in a minute"));
      busyUntil := now() + busyNanoseconds;
    };
    let tree = if (update.index.tree == sha256) null else ?treeOf(old.manifest.chunks);
    if (isLarge) {
      await async {};
      busyUntil := 0;
      // Meanwhile others may have published, the release may have been dropped, and the caller may have lost its role.
      authorisePublisher(caller);
      if (not Retention.isHeld(retention, to)) return #err(notHeld(to));
      switch (refusal(parent, note)) {
        case (?error) return #err(error);
        case null {};
      };
    };
    switch (Retention.refusal(retention, trees, sha256, hashes.size())) {
      case (?problem) return #err(#invalid problem);
      case null {};
    };
    let number = append(old.manifest, old.totals, parent, note, caller);
    hold(number, sha256, hashes, now());
    switch tree {
      case (?tree) SiteUpdate.show(update, sha256, tree);
      case null {};
    };
    serveNewest(isLarge);
    await* tidy();
    #ok number;
  };

  func notHeld(number : Nat64) : PublishError = #invalid(notHeldText number);

  func notHeldText(number : Nat64) : Text = "release " # Nat64.toText(number) # " is not held (any more)";

  func isTooLong(note : Text) : Bool = Text.encodeUtf8(note).size() > maxNoteBytes;

  transient let noteTooLong = "the note is longer than 1024 bytes";

  /// Why a release with these arguments cannot be made now, or null.
  func refusal(parent : ?Hash, note : Text) : ?PublishError {
    if (parent != newestHash()) return ?#conflict({ number = newestNumber(); newest = newestHash() });
    if (isTooLong note) return ?#invalid noteTooLong;
    null;
  };

  /// Adds a release to the chain, certified, and returns its number.
  func append(
    manifest : { sha256 : Hash; size : Nat64; chunks : [Hash] },
    totals : Manifest.Totals,
    parent : ?Hash,
    note : Text,
    publisher : Principal,
  ) : Nat64 {
    let number = newestNumber() + 1;
    History.append(history, { number; parent; manifest; published_at = now(); publisher; note; totals });
    number;
  };

  /// The tree of a release that is held.
  func treeOf(pieces : [Hash]) : Manifest.Manifest = Assembly.tree(store, scratch, pieces);

  func hashesOf(tree : Manifest.Manifest, pieces : [Hash]) : [Hash] {
    Array.concat(Array.map<{ sha256 : Hash; size : Nat32 }, Hash>(tree.chunks, func(chunk) = chunk.sha256), pieces);
  };

  // --- channels ---

  /// Points a channel to a release, which must be held, and stays held from then on; or deletes the channel. Returns the record's serial.
  public shared ({ caller }) func promote(change : Channels.Change) : async Channels.PromoteResult {
    authorisePromoter(caller);
    switch (Channels.refusal(promoted, change)) {
      case (?error) return #err(error);
      case null {};
    };
    if (isTooLong(change.note)) return #err(#invalid noteTooLong);
    let ?number = change.release else Runtime.unreachable();
    if (number > 0 and not Retention.isHeld(retention, number)) return #err(#invalid(notHeldText number));
    let header = if (number > 0) History.hash(history, Nat64.toNat(number)) else "" : Blob;
    let serial = Channels.add(promoted, Principal.fromActor(self), change, header, caller, now());
    named := Channels.all(promoted);
    namedReleases := Channels.releases(named);
    shownChannels := Channels.shown(promoted);
    channelsHash := Channels.hash(promoted, kit.desk);
    SiteUpdate.arrange(update);
    certify();
    await* tidy();
    #ok serial;
  };

  // --- retention ---

  func hold(number : Nat64, tree : Hash, hashes : [Hash], publishedAt : Nat64) {
    Retention.hold(retention, trees, number, tree, { hashes; publishedAt });
  };

  /// Makes pages of the newest release, beginning in this message, and serves what is ready.
  func serveNewest(isLarge : Bool) {
    SiteUpdate.start(update, isLarge);
    certify();
  };

  /// Makes or removes pages after an owner has changed who can read or what is served.
  func serveAsConfigured() : async* () {
    SiteUpdate.reconsider(update);
    certify();
    await* goOn();
  };

  /// Drops a slice of what is no longer held. The rest, and freeing chunks, follows in separate slices, so
  /// no call takes longer because of a backlog.
  func tidy() : async* () {
    let more = Retention.count(trees, chunks, sliceChunks);
    let moreReleases = retire();
    if (SiteUpdate.refresh(update)) certify();
    if (moreReleases or more or trees.leaving > 0 or SiteUpdate.hasMore(update)) await* goOn();
  };

  func rules() : Retention.Rules = { newest = settings.hold_newest; nanoseconds = settings.hold_nanoseconds };

  func retire() : Bool {
    Retention.retire(retention, trees, newestNumber(), site.release, namedReleases, now(), rules(), sliceReleases);
  };

  /// Schedules a slice of work as a separate message.
  func goOn() : async* () {
    if (isWorkDue) return;
    isWorkDue := true;
    myself.work();
  };

  /// Does a slice of the work, and schedules the next one: called by this canister only. Not from a timer, whose calls wait
  /// for an answer, since a waiting call blocks upgrades.
  public shared ({ caller }) func work() : () {
    if (caller != Principal.fromActor(self)) Runtime.trap("not authorised: only the canister itself may do that");
    isWorkDue := false;
    await* collect();
    if (Retention.count(trees, chunks, sliceChunks)) return await* goOn();
    let moreReleases = retire();
    let moreChunks = Retention.sweep(retention, trees, chunks, sliceChunks);
    let moreLoose = Retention.expire(retention, chunks, now(), looseCursor, sliceChunks);
    if (SiteUpdate.refresh(update)) certify();
    let hasPages = SiteUpdate.hasMore(update);
    let morePages = SiteUpdate.slice(update);
    if (hasPages) certify();
    if (moreReleases or moreChunks or moreLoose or morePages) await* goOn();
  };

  /// For a canister from before releases were held and chunks counted: holds the releases that the rules hold, and makes all other
  /// chunks loose. Older releases would be dropped soon anyway, and an upgrade has a limit on its instructions.
  func adopt() {
    var number = newestNumber();
    label adopting while (number > 0) {
      let { manifest; published_at } = History.details(history, number);
      if (not Retention.isRecent(newestNumber(), number, published_at, now(), rules())) {
        retention.dropped += number;
        break adopting;
      };
      hold(number, manifest.sha256, hashesOf(treeOf(manifest.chunks), manifest.chunks), published_at);
      ignore Retention.count(trees, chunks, Retention.maxReferences);
      number -= 1;
    };
    Chunks.adopt(chunks, owner, now());
  };
  if (Map.size(references) + Map.size(loose) < Map.size(store.slots)) adopt();
  // Canisters from before trees, and loose chunks, were counted.
  if (Map.size(trees.of) < Map.size(retention.held)) Retention.adopt(retention, trees, func number = History.details(history, number).manifest.sha256);
  if (Map.size(looseCounts) < Map.size(looseBytes) or (Map.size(looseSpans) == 0 and Map.size(loose) > 0)) Chunks.recount(chunks);

  // After an upgrade, since this version may use another layout.
  if (newestNumber() > 0) {
    let { manifest } = History.details(history, newestNumber());
    SiteUpdate.show(update, manifest.sha256, treeOf(manifest.chunks));
  };
  SiteUpdate.arrange(update);
  certify(); // also after an upgrade, which clears certified data

  // Armed again after an upgrade, because the actor's body runs again, and continues after the last slice.
  // (A timer's call waits for an answer, so it is as short as possible.)
  ignore Timer.recurringTimer<system>(
    #seconds lookSeconds,
    func() : async () {
      isWorkDue := false;
      await* goOn();
    },
  );
  if (trees.leaving > 0 or not Queue.isEmpty(trees.counting) or Map.size(loose) > 0 or SiteUpdate.hasMore(update)) {
    ignore Timer.setTimer<system>(#seconds 1, func() : async () { await* goOn() });
  };

  // --- owning ---

  /// Grants a role, in place of any role that the principal has; or the right to promote, in addition.
  public shared ({ caller }) func grant(who : Principal, role : Roles.Grant) : async () {
    authoriseOwner(caller);
    if (Principal.isAnonymous(who)) Runtime.trap("the anonymous principal cannot have a role: it is everybody");
    let full = "there are " # Nat.toText(maxRoles) # " roles already";
    let give = func(role : Roles.Role) {
      if (Map.size(roles.granted) == maxRoles and Roles.of(roles, who) == null) Runtime.trap(full);
      Map.add(roles.granted, Principal.compare, who, role);
    };
    switch role {
      case (#publisher) give(#publisher);
      case (#reader) give(#reader);
      case (#promoter) {
        if (Set.size(promoters) == maxRoles and not Set.contains(promoters, Principal.compare, who)) Runtime.trap(full);
        Set.add(promoters, Principal.compare, who);
      };
    };
  };

  /// Removes all roles of `who`.
  public shared ({ caller }) func revoke(who : Principal) : async () {
    authoriseOwner(caller);
    Map.remove(roles.granted, Principal.compare, who);
    Set.remove(promoters, Principal.compare, who);
  };

  public shared query ({ caller }) func promoters_granted() : async [Principal] {
    authoriseReader(caller);
    Iter.toArray(Set.values(promoters));
  };

  public shared query ({ caller }) func roles_granted() : async [(Principal, Roles.Role)] {
    authoriseReader(caller);
    Iter.toArray(Map.entries(roles.granted));
  };

  /// Restricts reading to principals with a role, or opens it to everybody again.
  public shared ({ caller }) func restrict(isPrivate : Bool) : async () {
    authoriseOwner(caller);
    roles.isPrivate := isPrivate;
    await* serveAsConfigured();
  };

  /// Allows HTTP, or refuses every request.
  public shared ({ caller }) func serve_http(on : Bool) : async () {
    authoriseOwner(caller);
    servesHttp := on;
    await* serveAsConfigured();
  };

  /// Marks a release to be held whatever the rules say, or removes the mark. Traps when it is not held.
  public shared ({ caller }) func keep(number : Nat64, kept : Bool) : async () {
    authoriseOwner(caller);
    if (not Retention.isHeld(retention, number)) Runtime.trap(notHeldText number);
    if (kept and Set.size(retention.kept) >= Retention.maxKept and not Set.contains(retention.kept, Nat64.compare, number)) {
      Runtime.trap("there are " # Nat.toText(Retention.maxKept) # " releases kept already");
    };
    if (kept) Set.add(retention.kept, Nat64.compare, number) else Set.remove(retention.kept, Nat64.compare, number);
    await* tidy();
  };

  public shared ({ caller }) func configure(chosen : Settings) : async () {
    authoriseOwner(caller);
    switch (problem(chosen)) {
      case (?problem) Runtime.trap("configure: " # problem);
      case null {};
    };
    settings := chosen;
    await* tidy();
  };

  /// Why the canister could not work with these settings, or null.
  func problem({ quota; loose_quota; hold_newest } : Settings) : ?Text {
    if (quota == 0 or loose_quota == 0) return ?"quotas of 0 bytes would let nobody publish anything: they are at least 1";
    if (hold_newest == 0) return ?"the newest release is always held: hold_newest is at least 1";
    if (Nat32.toNat(hold_newest) > Retention.maxHeld) return ?("hold_newest is at most " # Nat.toText(Retention.maxHeld) # ", which the canister can hold");
    null;
  };

  public shared query ({ caller }) func status() : async Status {
    authoriseReader(caller);
    {
      owner;
      is_private = roles.isPrivate;
      cycles = Cycles.balance();
      newest = newestNumber();
      held = Iter.toArray(Map.keys(retention.held));
      kept = Iter.toArray(Set.values(retention.kept));
      dropped = retention.dropped;
      freed_chunks = retention.freed;
      chunks = Nat64.fromNat(Map.size(store.slots));
      chunk_bytes = Chunks.bytes(chunks);
      loose_chunks = Nat64.fromNat(Map.size(loose));
      hole_bytes = holes.bytes;
      region_bytes = store.end;
      backlog = ?Nat64.fromNat(trees.leaving + Retention.overdue(chunks, now()));
      memory_bytes = ?(Nat64.fromNat(Prim.rts_memory_size()) + Region.size(store.region) * regionPage);
      settings;
      http = ?{ on = servesHttp; release = site.release; bytes = Nat64.fromNat(site.nodes.bytes) };
      version = ?Version.icfs;
    };
  };
};
