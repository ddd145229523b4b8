/// Answers a gateway's requests from the certified tree, each with its proof (docs/PROTOCOL.md, "HTTP").
import Array "mo:core/Array";
import Base64 "mo:core/Base64";
import Blob "mo:core/Blob";
import List "mo:core/List";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Nat16 "mo:core/Nat16";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Nat8 "mo:core/Nat8";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";

import Channels "channels";
import ContentType "contenttype";
import Extents "extents";
import HashTree "hashtree";
import Listing "listing";
import Nodes "nodes";
import Range "range";
import Responses "responses";
import Sha256 "sha256";
import Site "site";
import Store "store";
import Trie "trie";
import Url "url";

module {
  type Node = Nodes.Node;
  type Witness = HashTree.Witness;

  public type Request = {
    method : Text;
    url : Text;
    headers : [(Text, Text)];
    body : Blob;
    certificate_version : ?Nat16;
  };

  public type Response = { status_code : Nat16; headers : [(Text, Text)]; body : Blob };

  public type Served = {
    site : Site.Site;
    kit : Responses.Kit;
    places : Site.Places;
    store : Store.Store;
    scratch : Region.Region;
    certificate : Blob;
    /// The hash of the part of the certified tree that is not for HTTP.
    head : Blob;
    /// The reply of the method `release`.
    proof : () -> Blob;
    /// The reply of the method `channels` for one name.
    channel : (name : Text) -> Blob;
    /// What channels point to.
    named : [Channels.Named];
    /// The newest release's number, for mounts; its pages may not be ready.
    newest : Nat;
    /// The reply of the method `headers`.
    headersFrom : (from : Nat, count : Nat) -> Blob;
  };

  /// An answer without a proof, which no gateway passes on.
  func plain(status : Nat16, why : Text) : Response {
    { status_code = status; headers = [("content-type", "text/plain; charset=utf-8")]; body = Text.encodeUtf8(why # "\n") };
  };

  public func answer(served : Served, request : Request) : Response {
    let version : Nat16 = switch (request.certificate_version) {
      case (?version) version;
      case null 1;
    };
    if (version < 2) {
      return plain(400, "This canister's answers are certified by version 2 of response verification, and this client asks for version " # Nat16.toText(version) # ": use a newer gateway.");
    };
    let ?segments = Url.segments(request.url) else return plain(400, "This URL's path is not UTF-8.");
    find(served, request, segments);
  };

  // --- the path through the tree ---

  /// A directory on the path, and the segment that is looked up in it.
  type Step = { entries : Node; name : Blob };

  let rest : Blob = "<*>";
  let exactly : Blob = "<$>";
  let slash : Blob = "";

  func find(served : Served, request : Request, segments : [Blob]) : Response {
    let { nodes } = served.site;
    let way = List.empty<Step>();
    var entries = served.site.root;
    var at = 0;
    while (at < segments.size()) {
      let name = segments[at];
      let isLast = at + 1 == segments.size();
      List.add(way, { entries; name });
      at += 1;
      // The terminators of response verification are not file names.
      let entry = if (name == rest or name == exactly) Nodes.none else Trie.find(nodes, entries, name);
      if (entry == Nodes.none) return missing(served, request, way, null);
      let kind = Nodes.kind(nodes, entry);
      if (kind == Nodes.folder) {
        entries := Nodes.inside(nodes, entry);
      } else if (kind == Nodes.file) {
        let isLive = segments[0] != (".icfs" : Blob);
        if (not isLast) return missing(served, request, way, ?terminators(served, isLive, entry));
        return answerFile(served, request, way, entry, fileOf(served, entry, isLive));
      } else if (kind == Nodes.listing) {
        if (not isLast) return missing(served, request, way, ?terminators(served, false, entry));
        return answerListing(served, request, way, entry, segments);
      } else {
        let place = placeOf(served, entry);
        if (place.scope == #exactly and not isLast) return missing(served, request, way, ?terminators(served, true, entry));
        return answerPlace(served, request, way, place, segments);
      };
    };
    // The path of a directory, without a slash at its end.
    List.add(way, { entries; name = exactly });
    missing(served, request, way, null);
  };

  func placeOf({ site; places } : Served, entry : Node) : Responses.Place = List.at(places, Nat32.toNat(Nodes.inside(site.nodes, entry)));

  /// @param live whether the file was found at /, not below /.icfs/at/
  func fileOf({ site } : Served, entry : Node, live : Bool) : Responses.File {
    let { nodes } = site;
    {
      live;
      mediaType = ContentType.of(Nodes.name(nodes, entry));
      sha256 = Nodes.fileHash(nodes, entry);
      size = Nodes.fileSize(nodes, entry);
      location = Nodes.location(nodes, entry);
    };
  };

  /// The witness of what is below the name of a file or a place, without its answers.
  func terminators(served : Served, isLive : Bool, entry : Node) : Witness {
    let { nodes } = served.site;
    let kind = Nodes.kind(nodes, entry);
    if (kind == Nodes.opaque) return Responses.placeWitness(served.kit, placeOf(served, entry), null);
    if (kind == Nodes.listing) return Responses.answerWitness(served.kit, Nodes.content(nodes, entry), null);
    Responses.fileWitness(served.kit, nodes, fileOf(served, entry, isLive), Nodes.flag(nodes, entry), Nodes.inside(nodes, entry), null);
  };

  /// The hash of what is below an entry's name.
  func contentHash(served : Served, isLive : Bool, entry : Node) : Blob {
    let { nodes } = served.site;
    let kind = Nodes.kind(nodes, entry);
    if (kind == Nodes.folder) return Nodes.hash(nodes, Nodes.inside(nodes, entry));
    if (kind == Nodes.opaque) return Nodes.content(nodes, entry);
    if (kind == Nodes.listing) return Responses.answerContent(served.kit, Nodes.content(nodes, entry));
    Responses.fileContent(served.kit, nodes, fileOf(served, entry, isLive), Nodes.flag(nodes, entry), Nodes.inside(nodes, entry));
  };

  /// The witness of the whole tree along a path. @param end what to show at the path's end; null proves that nothing is there
  /// @param atRest what to show for `<*>` at the root; then each directory on the path also proves that it has no `<*>` of its own
  func tree(served : Served, way : List.List<Step>, end : ?Witness, atRest : ?Witness) : Witness {
    let { nodes } = served.site;
    var below = end;
    var depth = List.size(way);
    while (depth > 0) {
      depth -= 1;
      let { entries; name } = List.at(way, depth);
      let isLive = depth < 3 or List.at(way, 0).name != (".icfs" : Blob);
      let shown = List.empty<Trie.Shown>();
      let absent = List.empty<Blob>();
      switch below {
        case (?content) List.add(shown, { name; content });
        case null List.add(absent, name);
      };
      switch atRest {
        case (?content) {
          if (depth == 0) List.add(shown, { name = rest; content }) else List.add(absent, rest);
          // A gateway also looks for `<*>` below the empty segment, which stands for a slash at the end.
          if (name != slash) switch (Trie.find(nodes, entries, slash)) {
            case 0 List.add(absent, slash);
            case entry List.add(shown, { name = slash; content = terminators(served, isLive, entry) });
          };
        };
        case null {};
      };
      below := ?Trie.witness(nodes, entries, List.toArray(shown), List.toArray(absent), func entry = contentHash(served, isLive, entry));
    };
    let ?pages = below else Runtime.unreachable();
    #fork(#labelled("http_expr", pages), #pruned(served.head));
  };

  /// The answer 404 (403, where nothing is served), with the proof that the path leads to nothing.
  ///
  /// @param end the witness of what is at the path's end, if anything is
  func missing(served : Served, request : Request, way : List.List<Step>, end : ?Witness) : Response {
    let { nodes } = served.site;
    let place = placeOf(served, Trie.find(nodes, served.site.root, rest));
    let #fixed response = place.kind else Runtime.unreachable();
    // If nothing is served, no method is allowed either.
    let (chosen, which) = if (isRead request or response.status == 403) (response, #main) else (Responses.methodNotAllowed(), #notAllowed);
    let witness = tree(served, way, end, ?Responses.placeWitness(served.kit, place, ?which));
    certified(served, chosen, Responses.expression, witness, [], rest);
  };

  func isRead({ method } : Request) : Bool = method == "GET" or method == "HEAD";

  func names(way : List.List<Step>) : [Blob] = Array.map<Step, Blob>(List.toArray(way), func step = step.name);

  // --- files ---

  func answerFile(served : Served, request : Request, way : List.List<Step>, entry : Node, file : Responses.File) : Response {
    let { kit; site } = served;
    let { nodes } = site;
    let flag = Nodes.flag(nodes, entry);
    let (response, choice) = chooseFile(served, request, entry, file, flag);
    let hash = Responses.choiceHash(kit, file, flag, choice);
    let end = Responses.fileWitness(kit, nodes, file, flag, Nodes.inside(nodes, entry), ?hash);
    certified(served, response, Responses.expression, tree(served, way, ?end, null), names(way), exactly);
  };

  func chooseFile(served : Served, request : Request, entry : Node, file : Responses.File, flag : Nat8) : (Responses.Response, Responses.Choice) {
    if (not isRead request) return (Responses.methodNotAllowed(), #notAllowed);
    if (flag == Responses.elsewhere) {
      return if (Url.hasParameter(request.url, "canisterId")) (Responses.sentOn(file, served.kit.byQuery), #withQuery) else (Responses.sentOn(file, ""), #main);
    };
    if (flag == Responses.unserved) return (Responses.notServable(), #main);
    if (flag == Responses.whole) {
      if (file.live and isKnown(request, file)) return (Responses.notModified(file), #notModified);
      return (Responses.wholeFile(file, bytes(served, entry, 0, file.size)), #main);
    };
    let wanted = switch (rangeOf(request, file)) {
      case (?range) Range.first(range, file.size);
      case null if (Responses.isAssembled(file.size)) ?0 else null;
    };
    let ?from = wanted else return (Responses.rangeNotSatisfiable(), #notSatisfiable);
    let number = from / Responses.pieceBytes;
    let start = number * Responses.pieceBytes;
    let size = Nat.min(Responses.pieceBytes, file.size - start);
    let body = bytes(served, entry, start, size);
    let { nodes } = served.site;
    // Most pieces are whole chunks, whose hashes are known.
    let bodyHash = switch (Extents.wholeChunk(served.store, Nodes.extentCount(nodes, entry), func i = Nodes.extent(nodes, entry, i), start, size)) {
      case (?hash) hash;
      case null Sha256.ofBlob(body);
    };
    (Responses.piece(file, number, body), #piece(number, bodyHash));
  };

  func bytes({ store; scratch; site } : Served, entry : Node, from : Nat, size : Nat) : Blob {
    let { nodes } = site;
    Extents.read(store, scratch, Nodes.extentCount(nodes, entry), func i = Nodes.extent(nodes, entry, i), from, size);
  };

  func header({ headers } : Request, wanted : Text) : ?Text {
    for ((name, value) in headers.vals()) if (Text.toLower(name) == wanted) return ?value;
    null;
  };

  /// The requested ranges of bytes; null for the whole file. Range is ignored with HEAD, in another unit, or if the client
  /// has a part of another file (RFC 9110, 14.2 and 13.1.5).
  func rangeOf(request : Request, { sha256 } : Responses.File) : ?Text {
    if (request.method != "GET") return null;
    let ?range = header(request, "range") else return null;
    switch (header(request, "if-range")) {
      case (?tag) if (tag != Responses.etag sha256) return null;
      case null {};
    };
    Range.ofBytes(range);
  };

  func isKnown(request : Request, { sha256 } : Responses.File) : Bool {
    let tag = Responses.etag sha256;
    // A list may be split over several headers (RFC 9110, 5.3).
    Array.any<(Text, Text)>(request.headers, func((name, value)) = Text.toLower(name) == "if-none-match" and (value == "*" or Text.contains(value, #text tag)));
  };

  // --- what is there besides files ---

  func answerPlace(served : Served, request : Request, way : List.List<Step>, place : Responses.Place, segments : [Blob]) : Response {
    let { kit } = served;
    let isRight = isRead request;
    let which = if isRight #main else #notAllowed;
    let end = Responses.placeWitness(kit, place, ?which);
    let terminator = if (place.scope == #exactly) exactly else rest;
    let (response, expression) = switch (place.kind) {
      case (#fixed response) (if isRight response else Responses.methodNotAllowed(), Responses.expression);
      case (#uncertified) (if isRight uncertified(served, request, segments) else Responses.methodNotAllowed(), Responses.noExpression);
    };
    certified(served, response, expression, tree(served, way, ?end, null), names(way), terminator);
  };

  /// A page of a directory. Its URL is /.icfs/files/, the directory's path, and the page's name.
  func answerListing(served : Served, request : Request, way : List.List<Step>, entry : Node, segments : [Blob]) : Response {
    let { kit; site } = served;
    let { nodes } = site;
    let isRight = isRead request;
    let hash = Nodes.content(nodes, entry);
    let end = Responses.answerWitness(kit, hash, ?(if isRight hash else kit.notAllowed));
    let path = Array.sliceToArray<Blob>(segments, 2, segments.size() - 1);
    let response = if isRight Site.listing(site, path, Nat32.toNat(Nodes.inside(nodes, entry))) else Responses.methodNotAllowed();
    certified(served, response, Responses.expression, tree(served, way, ?end, null), names(way), exactly);
  };

  func uncertified(served : Served, request : Request, segments : [Blob]) : Responses.Response {
    if (segments[0] != (".icfs" : Blob)) return sentByChannel(served, request, segments);
    let briefly = "public, max-age=10";
    if (segments[1] == ("release" : Blob)) {
      return { status = 200; headers = [("cache-control", briefly), ("content-type", "application/cbor")]; body = served.proof() };
    };
    let forEver = "public, max-age=31536000, immutable";
    let found = if (segments.size() != 3) null else if (segments[1] == ("headers" : Blob)) {
      switch (headersBelow(served, segments[2])) {
        // They stay the same until the canister is reinstalled.
        case (?body) ?("application/cbor", "public, max-age=86400", body);
        case null null;
      };
    } else if (segments[1] == ("channel" : Blob)) {
      // For an unknown name, it proves that there is no such channel.
      switch (Text.decodeUtf8(segments[2])) {
        case (?name) ?("application/cbor", briefly, served.channel(name));
        case null null;
      };
    } else switch (unhex(segments[2])) {
      case (?hash) switch (Store.get(served.store, hash)) {
        case (?body) ?("application/octet-stream", forEver, body);
        case null null;
      };
      case null null;
    };
    let ?(mediaType, control, body) = found else return Responses.notFound();
    { status = 200; headers = [("cache-control", control), ("content-type", mediaType)]; body };
  };

  /// Redirects a path below a channel's name to the same path of the channel's release. The target is certified; the redirect is
  /// not, since each path would need its own answer in the tree. So it can keep the query, where logs look for a machine's MAC.
  func sentByChannel({ site; named } : Served, { url } : Request, segments : [Blob]) : Responses.Response {
    let ?(_, release) = Array.find<Channels.Named>(named, func((name, _)) = segments[0] == Text.encodeUtf8("@" # name)) else return Responses.notFound();
    // No tree has such names, and clients resolve them: a redirect with `..` would lead out of the release.
    if (Array.any<Blob>(segments, func(segment) = segment == ("." : Blob) or segment == (".." : Blob))) return Responses.notFound();
    if (not Map.containsKey(site.pins, Nat64.compare, release)) return Responses.notReady();
    let path = List.empty<Blob>();
    for (i in segments.keys()) {
      if (i > 1) List.add<Blob>(path, "/");
      if (i > 0) List.add(path, segments[i]);
    };
    Responses.sentTo("/.icfs/at/" # Nat64.toText(release) # "/" # Url.encode(HashTree.concat(List.toArray(path))) # Url.queryOf url);
  };

  /// The number of headers that a reader requests at once; they are also bounded in bytes.
  let headersPage = 1_000;

  /// The headers of a release, by its number in decimal, and of earlier ones; null when there is no such release.
  func headersBelow({ newest; headersFrom } : Served, number : Blob) : ?Blob {
    if (number.size() > 20 or number.size() == 0 or number[0] == 0x30) return null;
    let ?text = Text.decodeUtf8(number) else return null;
    let ?from = Nat.fromText(text) else return null;
    if (from > newest) null else ?headersFrom(from, headersPage);
  };

  /// The 32 bytes of 64 hexadecimal digits in lower case; null for anything else.
  func unhex(text : Blob) : ?Blob {
    if (text.size() != 64) return null;
    let found = List.empty<Nat8>();
    var i = 0;
    while (i < 64) {
      if (not isLower(text[i]) or not isLower(text[i + 1])) return null;
      let ?byte = Url.hexByte(text[i], text[i + 1]) else return null;
      List.add(found, byte);
      i += 2;
    };
    ?Blob.fromArray(List.toArray(found));
  };

  func isLower(byte : Nat8) : Bool = byte < 0x41 or byte > 0x5a;

  // --- proofs ---

  /// An answer with its proof. @param path of the expression, without its first segment and the terminator
  func certified(served : Served, { status; headers; body } : Responses.Response, expression : Text, witness : Witness, path : [Blob], terminator : Blob) : Response {
    let parts = List.fromArray<Blob>(["\d9\d9\f7", HashTree.head(4, path.size() + 2), "\69http_expr"]);
    for (segment in path.vals()) {
      List.add(parts, HashTree.head(3, segment.size()));
      List.add(parts, segment);
    };
    List.add<Blob>(parts, "\63");
    List.add(parts, terminator);
    let proof = "certificate=:" # Base64.encode(served.certificate) # ":, tree=:" # Base64.encode(HashTree.concat(["\d9\d9\f7", HashTree.encode(witness)])) # ":, expr_path=:" # Base64.encode(HashTree.concat(List.toArray(parts))) # ":, version=2";
    {
      status_code = status;
      headers = Array.concat(headers, [("ic-certificateexpression", expression), ("ic-certificate", proof)]);
      body;
    };
  };
};
