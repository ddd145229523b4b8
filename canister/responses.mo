/// The certified answers, and their hashes (docs/PROTOCOL.md, "HTTP"; the IC's HTTP gateway specification, "Response
/// verification", version 2).
///
/// An answer's hash is the SHA-256 of its headers' hash and its body's hash. The headers' hash covers one block of SHA-256 for each
/// header: the hash of the header's name and the hash of its value. These blocks are sorted. The name of ETag happens to have nearly the
/// greatest possible hash, and that of Location a large one, so the headers that files have in common come first, and are hashed only
/// once.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat "mo:core/Nat";
import Nat16 "mo:core/Nat16";
import Nat8 "mo:core/Nat8";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";
import VarArray "mo:core/VarArray";

import ContentType "contenttype";
import HashTree "hashtree";
import Nodes "nodes";
import Sha256 "sha256";
import Trie "trie";

module {
  public type Response = { status : Nat16; headers : [(Text, Text)]; body : Blob };

  /// The CEL expression of most answers: the body and all headers are certified, the request is not.
  public let expression = "default_certification(ValidationArgs{certification:Certification{no_request_certification:Empty{},response_certification:ResponseCertification{response_header_exclusions:ResponseHeaderList{headers:[]}}}})";
  /// The CEL expression of answers that are not certified: chunks, headers and proofs, which readers verify by other means, and redirects of
  /// channels.
  public let noExpression = "default_certification(ValidationArgs{no_certification:Empty{}})";

  /// For files at /, so that caches ask again soon after the next release.
  let briefly = "public, max-age=10";
  let forEver = "public, max-age=31536000, immutable";

  /// A longer file is served in pieces of this size.
  public let pieceBytes : Nat = 1_048_576;
  /// The most pieces that a gateway joins.
  let maxPieces : Nat = 1_000;

  /// How a file is served: whole; in pieces; by a redirect to its pieces; not at all.
  public let whole : Nat8 = 0;
  public let pieces : Nat8 = 1;
  public let elsewhere : Nat8 = 2;
  public let unserved : Nat8 = 3;

  public type Kit = {
    desk : HashTree.Desk;
    expressionHash : Blob;
    noExpressionHash : Blob;
    etagName : Blob;
    locationName : Blob;
    rangeName : Blob;
    expressionPair : Blob;
    emptyHash : Blob;
    /// SHA-256 states after the common beginning of all answers of a kind: see `frame`.
    frames : [var ?Sha256.State];
    /// At index n, the block of padding that follows n blocks.
    paddings : [Blob];
    notAllowed : Blob;
    notSatisfiable : Blob;
    notServed : Blob;
    /// The hash of the headers that all pages for people have.
    pageHeaders : Blob;
    /// The end of a URL, for gateways that find the canister by it.
    byQuery : Text;
  };

  // --- answers that are always the same ---

  func text(status : Nat16, control : Text, body : Text) : Response {
    { status; headers = [("cache-control", control), ("content-type", "text/plain; charset=utf-8")]; body = Text.encodeUtf8(body # "\n") };
  };

  public func notFound() : Response = text(404, briefly, "There is no such file here.");

  /// @param why in a sentence
  public func forbidden(why : Text) : Response = text(403, "no-store", why);

  public func notReady() : Response {
    let { status; headers; body } = text(503, "no-store", "The release's pages are being made: come back in a minute.");
    { status; headers = Array.concat(headers, [("retry-after", "30")]); body };
  };

  public func methodNotAllowed() : Response {
    let { status; headers; body } = text(405, "no-store", "Only GET and HEAD are served here.");
    { status; headers = Array.concat(headers, [("allow", "GET, HEAD")]); body };
  };

  public func rangeNotSatisfiable() : Response {
    text(416, briefly, "Ask for a range of bytes of this file, which begins before its end: it is answered in pieces of 1 MiB, and a gateway puts 1,000 of them together at most.");
  };

  public func notServable() : Response {
    text(501, briefly, "This file's chunks do not lie at multiples of 1 MiB, so it is not served over HTTP: publish it with `icfs publish`, or mount the canister.");
  };

  /// A page for people.
  public func page(html : Text) : Response {
    {
      status = 200;
      headers = [
        ("cache-control", briefly),
        // Whatever a file's name is, the page runs no script and loads nothing from elsewhere.
        ("content-security-policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
        ("content-type", "text/html; charset=utf-8"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
      ];
      body = Text.encodeUtf8(html);
    };
  };

  /// The style sheet of the pages for people.
  public func style(css : Text) : Response {
    { status = 200; headers = [("cache-control", "public, max-age=600"), ("content-type", "text/css; charset=utf-8")]; body = Text.encodeUtf8(css) };
  };

  // --- hashing ---

  /// @param canister its id
  public func prepare(desk : HashTree.Desk, canister : Text) : Kit {
    let name = func(name : Text) : Blob = Sha256.ofBlob(Text.encodeUtf8(name));
    let expressionHash = name expression;
    let kit = {
      desk;
      expressionHash;
      noExpressionHash = name noExpression;
      etagName = name "etag";
      locationName = name "location";
      rangeName = name "content-range";
      expressionPair = HashTree.block(desk, name "ic-certificateexpression", expressionHash);
      emptyHash = Sha256.ofBlob("");
      frames = VarArray.repeat<?Sha256.State>(null, 8 * ContentType.types.size());
      paddings = Array.tabulate<Blob>(8, padding);
      notAllowed = "" : Blob;
      notSatisfiable = "" : Blob;
      notServed = "" : Blob;
      pageHeaders = "" : Blob;
      byQuery = "?canisterId=" # canister;
    };
    {
      kit with
      notAllowed = fixedHash(kit, methodNotAllowed());
      notSatisfiable = fixedHash(kit, rangeNotSatisfiable());
      notServed = fixedHash(kit, notServable());
      pageHeaders = headersHash(kit, page "");
    };
  };

  func padding(blocks : Nat) : Blob {
    let bits = blocks * 512;
    Blob.fromArray(Array.tabulate<Nat8>(64, func i = if (i == 0) 0x80 else if (i == 62) Nat8.fromNat(bits / 256) else if (i == 63) Nat8.fromNat(bits % 256) else 0));
  };

  /// A status in its form for hashing, unsigned LEB128.
  func number(status : Nat16) : Blob {
    Blob.fromArray([Nat8.fromNat(Nat16.toNat(status % 128) + 128), Nat8.fromNat(Nat16.toNat(status / 128))]);
  };

  /// One block for each header and one for the status, sorted: the hash of the name, then the hash of the value.
  func pairs(kit : Kit, status : Nat16, headers : [(Text, Text)]) : [Blob] {
    let all = List.empty<Blob>();
    let hash = func(text : Text) : Blob = Sha256.ofBlob(Text.encodeUtf8(text));
    for ((name, value) in headers.vals()) List.add(all, HashTree.block(kit.desk, hash name, hash value));
    List.add(all, HashTree.block(kit.desk, hash ":ic-cert-status", Sha256.ofBlob(number status)));
    Array.sort(List.toArray(all), Blob.compare);
  };

  func finish(kit : Kit, state : Sha256.State, blocks : Nat, bodyHash : Blob) : Blob {
    Sha256.absorb(state, kit.paddings[blocks]);
    HashTree.pair(kit.desk, HashTree.digest(kit.desk, state), bodyHash);
  };

  /// The hash of an answer's status and headers, with the expression that says they are certified.
  func headersHash(kit : Kit, { status; headers } : Response) : Blob {
    let state = Sha256.begin();
    let all = pairs(kit, status, Array.concat(headers, [("ic-certificateexpression", expression)]));
    for (pair in all.vals()) Sha256.absorb(state, pair);
    Sha256.absorb(state, kit.paddings[all.size()]);
    HashTree.digest(kit.desk, state);
  };

  /// The hash of any certified answer.
  public func fixedHash(kit : Kit, response : Response) : Blob = HashTree.pair(kit.desk, headersHash(kit, response), Sha256.ofBlob(response.body));

  /// Like `fixedHash`, for a page for people, whose headers are always the same.
  public func pageHash(kit : Kit, { body } : Response) : Blob = HashTree.pair(kit.desk, kit.pageHeaders, Sha256.ofBlob(body));

  /// A copy of the SHA-256 state after the first blocks: those of the status and of the headers that files share.
  func frame(kit : Kit, status : Nat16, live : Bool, mediaType : ?Nat) : Sha256.State {
    let (kind, withExpression) : (Nat, Bool) = switch status {
      case 200 (0, true);
      case 206 (1, false);
      case 304 (2, true);
      case _ (3, true);
    };
    let number = switch mediaType {
      case (?number) number;
      case null 0;
    };
    let at = (kind * 2 + (if live 1 else 0)) * ContentType.types.size() + number;
    switch (kit.frames[at]) {
      case (?state) VarArray.clone(state);
      case null {
        let state = Sha256.begin();
        let typed : [(Text, Text)] = switch mediaType {
          case (?number) [("content-type", ContentType.types[number])];
          case null [];
        };
        for (pair in pairs(kit, status, Array.concat([("cache-control", control live)], typed)).vals()) Sha256.absorb(state, pair);
        if withExpression Sha256.absorb(state, kit.expressionPair);
        kit.frames[at] := ?state;
        VarArray.clone(state);
      };
    };
  };

  func hashOfText(text : Text) : Blob = Sha256.ofBlob(Text.encodeUtf8(text));

  func control(live : Bool) : Text = if live briefly else forEver;

  // --- a file's answers ---

  public type File = { live : Bool; mediaType : Nat; sha256 : Blob; size : Nat; location : Blob };

  public func etag(sha256 : Blob) : Text = "\"" # hex(sha256) # "\"";

  let digits : [Nat8] = [48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102];

  public func hex(bytes : Blob) : Text {
    let text = VarArray.repeat<Nat8>(0, bytes.size() * 2);
    var i = 0;
    for (byte in bytes.vals()) {
      text[i] := digits[Nat8.toNat(byte / 16)];
      text[i + 1] := digits[Nat8.toNat(byte % 16)];
      i += 2;
    };
    let ?decoded = Text.decodeUtf8(Blob.fromVarArray(text)) else return "";
    decoded;
  };

  public func wholeFile({ live; mediaType; sha256 } : File, body : Blob) : Response {
    { status = 200; headers = [("cache-control", control live), ("content-type", ContentType.types[mediaType]), ("etag", etag sha256)]; body };
  };

  public func notModified({ live; sha256 } : File) : Response {
    { status = 304; headers = [("cache-control", control live), ("etag", etag sha256)]; body = "" };
  };

  func target({ location } : File, ending : Text) : Text {
    let ?path = Text.decodeUtf8(location) else Runtime.unreachable();
    path # ending;
  };

  /// @param ending "", or the kit's, which a client would lose otherwise
  public func sentOn(file : File, ending : Text) : Response = sentTo(target(file, ending));

  public func sentTo(location : Text) : Response {
    { status = 307; headers = [("cache-control", briefly), ("location", location)]; body = "" };
  };

  public func piece({ live; mediaType; sha256; size } : File, number : Nat, body : Blob) : Response {
    {
      status = 206;
      headers = [
        ("cache-control", control live),
        ("content-type", ContentType.types[mediaType]),
        ("content-range", contentRange(size, number)),
        ("etag", etag sha256),
      ];
      body;
    };
  };

  func contentRange(size : Nat, number : Nat) : Text {
    let first = number * pieceBytes;
    let end = Nat.min(first + pieceBytes, size);
    "bytes " # Nat.toText(first) # "-" # Nat.toText(end - 1 : Nat) # "/" # Nat.toText(size);
  };

  func wholeHash(kit : Kit, { live; mediaType; sha256 } : File, etagHash : Blob) : Blob {
    let state = frame(kit, 200, live, ?mediaType);
    Sha256.absorb(state, HashTree.block(kit.desk, kit.etagName, etagHash));
    finish(kit, state, 5, sha256);
  };

  func notModifiedHash(kit : Kit, { live } : File, etagHash : Blob) : Blob {
    let state = frame(kit, 304, live, null);
    Sha256.absorb(state, HashTree.block(kit.desk, kit.etagName, etagHash));
    finish(kit, state, 4, kit.emptyHash);
  };

  func sentOnHash(kit : Kit, file : File, ending : Text) : Blob {
    let state = frame(kit, 307, true, null);
    Sha256.absorb(state, HashTree.block(kit.desk, kit.locationName, hashOfText(target(file, ending))));
    finish(kit, state, 4, kit.emptyHash);
  };

  /// @param etagHash the hash of the ETag header's value
  func pieceHash(kit : Kit, { live; mediaType; size } : File, etagHash : Blob, number : Nat, bodyHash : Blob) : Blob {
    let state = frame(kit, 206, live, ?mediaType);
    Sha256.absorb(state, HashTree.block(kit.desk, kit.rangeName, hashOfText(contentRange(size, number))));
    Sha256.absorb(state, kit.expressionPair);
    Sha256.absorb(state, HashTree.block(kit.desk, kit.etagName, etagHash));
    finish(kit, state, 6, bodyHash);
  };

  public func pieceCount(size : Nat) : Nat = (size + pieceBytes - 1) / pieceBytes;

  /// The hash of a file's answer to a plain GET. For a file in pieces, see `newPieces`.
  func mainHash(kit : Kit, file : File, flag : Nat8, etagHash : Blob) : Blob {
    if (flag == whole) wholeHash(kit, file, etagHash) else if (flag == elsewhere) sentOnHash(kit, file, "") else kit.notServed;
  };

  /// The tree of the hashes of all answers of a file that is served in pieces.
  public func newPieces(kit : Kit, nodes : Nodes.Nodes, file : File, bodyHashes : [Blob]) : Nodes.Node {
    let etagHash = HashTree.ofTag(kit.desk, file.sha256);
    let hashes = List.empty<Blob>();
    for (i in bodyHashes.keys()) List.add(hashes, pieceHash(kit, file, etagHash, i, bodyHashes[i]));
    List.add(hashes, kit.notAllowed);
    List.add(hashes, kit.notSatisfiable);
    List.sortInPlace(hashes, Blob.compare);
    let tree = Trie.growing();
    for (hash in List.values(hashes)) Trie.grow(nodes, tree, Nodes.newMark(nodes, hash));
    Trie.grown(nodes, tree);
  };

  /// The hashes of the answers of a file that is not served in pieces, sorted: two or three.
  func few(kit : Kit, file : File, flag : Nat8) : [Blob] {
    let etagHash = if (flag == whole) HashTree.ofTag(kit.desk, file.sha256) else "" : Blob;
    let main = mainHash(kit, file, flag, etagHash);
    let all = if (flag == whole and file.live) [main, kit.notAllowed, notModifiedHash(kit, file, etagHash)] else if (flag == elsewhere) [main, kit.notAllowed, sentOnHash(kit, file, kit.byQuery)] else [main, kit.notAllowed];
    Array.sort(all, Blob.compare);
  };

  // --- the tree below a path ---

  /// The hash of the tree of a path's possible answers: a label for each answer's hash, with an empty leaf.
  func setHash(kit : Kit, hashes : [Blob]) : Blob {
    var at = hashes.size() - 1 : Nat;
    var tree = HashTree.labelled(kit.desk, hashes[at], HashTree.emptyLeaf);
    while (at > 0) {
      at -= 1;
      tree := HashTree.fork(kit.desk, HashTree.labelled(kit.desk, hashes[at], HashTree.emptyLeaf), tree);
    };
    tree;
  };

  func setWitness(kit : Kit, hashes : [Blob], chosen : Blob) : HashTree.Witness {
    func from(at : Nat) : HashTree.Witness {
      let hash = hashes[at];
      let one : HashTree.Witness = if (hash == chosen) #labelled(hash, #leaf "") else #pruned(HashTree.labelled(kit.desk, hash, HashTree.emptyLeaf));
      if (at + 1 == hashes.size()) one else #fork(one, from(at + 1));
    };
    from(0);
  };

  /// The hash of what is below the terminator. @param set the hash of the tree of answers
  func answersHash(kit : Kit, set : Blob) : Blob = HashTree.labelled(kit.desk, kit.expressionHash, HashTree.labelled(kit.desk, "", set));

  let exactly : Blob = "<$>";
  let below : Blob = "<*>";

  /// The hash of a path's segment together with the tree below it. @param content the hash of that tree
  public func labelled({ desk } : Kit, name : Blob, content : Blob) : Blob = HashTree.labelled(desk, name, content);

  /// The hash of the tree below a file's path.
  public func fileContent(kit : Kit, nodes : Nodes.Nodes, file : File, flag : Nat8, inPieces : Nodes.Node) : Blob {
    let set = if (flag == pieces) Nodes.hash(nodes, inPieces) else setHash(kit, few(kit, file, flag));
    HashTree.labelled(kit.desk, exactly, answersHash(kit, set));
  };

  /// The tree below a file's path, pruned to one answer. @param chosen that answer's hash; null shows the terminator and no answer
  public func fileWitness(kit : Kit, nodes : Nodes.Nodes, file : File, flag : Nat8, inPieces : Nodes.Node, chosen : ?Blob) : HashTree.Witness {
    switch chosen {
      case (?hash) {
        let set = if (flag == pieces) {
          Trie.witness(nodes, inPieces, [{ name = hash; content = #leaf "" }], [], func _ = HashTree.emptyLeaf);
        } else setWitness(kit, few(kit, file, flag), hash);
        #labelled(exactly, #labelled(kit.expressionHash, #labelled("", set)));
      };
      case null {
        let set = if (flag == pieces) Nodes.hash(nodes, inPieces) else setHash(kit, few(kit, file, flag));
        // Not pruned at the terminator itself, which could be mistaken for a path's segment of that name.
        #labelled(exactly, #labelled(kit.expressionHash, #pruned(HashTree.labelled(kit.desk, "", set))));
      };
    };
  };

  /// One of a file's answers.
  public type Choice = { #main; #withQuery; #notModified; #notAllowed; #notSatisfiable; #piece : (Nat, bodyHash : Blob) };

  public func choiceHash(kit : Kit, file : File, flag : Nat8, choice : Choice) : Blob {
    switch choice {
      case (#main) mainHash(kit, file, flag, HashTree.ofTag(kit.desk, file.sha256));
      case (#withQuery) sentOnHash(kit, file, kit.byQuery);
      case (#notModified) notModifiedHash(kit, file, HashTree.ofTag(kit.desk, file.sha256));
      case (#notAllowed) kit.notAllowed;
      case (#notSatisfiable) kit.notSatisfiable;
      case (#piece(number, bodyHash)) pieceHash(kit, file, HashTree.ofTag(kit.desk, file.sha256), number, bodyHash);
    };
  };

  /// Whether a gateway would join a file of this size.
  public func isAssembled(size : Nat) : Bool = pieceCount(size) <= maxPieces;

  // --- what is there besides files ---

  /// What is served at a place that is not a file: always the same answer, or one that is not certified.
  public type Place = {
    /// Which paths it answers: exactly this one; all below it; or all that nothing else in the tree answers. The last has no name,
    /// and its terminator takes the place of one.
    scope : { #exactly; #below; #rest };
    kind : { #fixed : Response; #uncertified };
  };

  func terminated<T>({ scope } : Place, tree : T, label_ : (Blob, T) -> T) : T {
    switch scope {
      case (#exactly) label_(exactly, tree);
      case (#below) label_(below, tree);
      case (#rest) tree;
    };
  };

  func withLabel(name : Blob, tree : HashTree.Witness) : HashTree.Witness = #labelled(name, tree);

  func withRefusal(kit : Kit, answer : Blob) : [Blob] = Array.sort([answer, kit.notAllowed], Blob.compare);

  func placeHashes(kit : Kit, response : Response) : [Blob] = withRefusal(kit, fixedHash(kit, response));

  /// The hash of the tree below the path of a page. @param answer the hash of the page's answer
  public func answerContent(kit : Kit, answer : Blob) : Blob {
    HashTree.labelled(kit.desk, exactly, answersHash(kit, setHash(kit, withRefusal(kit, answer))));
  };

  /// The tree below the path of a page, pruned to one answer. @param chosen that answer's hash; null shows the terminator and no answer
  public func answerWitness(kit : Kit, answer : Blob, chosen : ?Blob) : HashTree.Witness {
    let hashes = withRefusal(kit, answer);
    let set = switch chosen {
      case (?hash) #labelled("" : Blob, setWitness(kit, hashes, hash));
      case null #pruned(HashTree.labelled(kit.desk, "", setHash(kit, hashes)));
    };
    #labelled(exactly, #labelled(kit.expressionHash, set));
  };

  func placeAnswers(kit : Kit, { kind } : Place) : Blob {
    switch kind {
      case (#fixed response) answersHash(kit, setHash(kit, placeHashes(kit, response)));
      case (#uncertified) HashTree.labelled(kit.desk, kit.noExpressionHash, HashTree.emptyLeaf);
    };
  };

  /// What is below a place's terminator, with all answers pruned.
  func emptied(kit : Kit, { kind } : Place) : HashTree.Witness {
    switch kind {
      case (#fixed response) #labelled(kit.expressionHash, #pruned(HashTree.labelled(kit.desk, "", setHash(kit, placeHashes(kit, response)))));
      case (#uncertified) #labelled(kit.noExpressionHash, #leaf "");
    };
  };

  /// The hash of the tree below a place's path.
  public func placeContent(kit : Kit, place : Place) : Blob {
    terminated<Blob>(place, placeAnswers(kit, place), func(name, tree) = HashTree.labelled(kit.desk, name, tree));
  };

  /// The tree below a place's path, pruned to its answer or to the one that refuses the method. Null shows the terminator and no answer.
  public func placeWitness(kit : Kit, place : Place, shown : ?{ #main; #notAllowed }) : HashTree.Witness {
    let ?which = shown else return terminated(place, emptied(kit, place), withLabel);
    let content : HashTree.Witness = switch (place.kind) {
      case (#fixed response) {
        let chosen = switch which {
          case (#main) fixedHash(kit, response);
          case (#notAllowed) kit.notAllowed;
        };
        #labelled(kit.expressionHash, #labelled("", setWitness(kit, placeHashes(kit, response), chosen)));
      };
      case (#uncertified) #labelled(kit.noExpressionHash, #leaf "");
    };
    terminated(place, content, withLabel);
  };

  /// A hash over one answer of each kind. A version of this module with different answers has a different hash, and rebuilds all pages.
  /// @param pages a sample of directories' pages
  public func fingerprint(kit : Kit, nodes : Nodes.Nodes, pages : Text) : Blob {
    let hashes = List.fromArray<Blob>([kit.pageHeaders, hashOfText pages]);
    for (live in [true, false].vals()) {
      for (mediaType in ContentType.types.keys()) {
        let file = { live; mediaType; sha256 = kit.emptyHash; size = 3_000_000; location = "/.icfs/at/1/a" : Blob };
        for (flag in [whole, elsewhere, unserved].vals()) List.add(hashes, fileContent(kit, nodes, file, flag, Nodes.none));
        List.add(hashes, pieceHash(kit, file, kit.emptyHash, 1, kit.emptyHash));
      };
    };
    List.add(hashes, kit.notSatisfiable);
    List.add(hashes, to_candid (ContentType.endings));
    Sha256.ofParts(List.toArray(hashes));
  };
};
