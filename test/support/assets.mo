/// A twin of the IC's standard asset canister, as far as it matters to somebody who reads one: its interface, its certified
/// tree, its refusals, word for word, and enough of its upload methods to fill it. What it does is measured against the real one.
/// Methods that begin with `twin_` are a test's, to make it behave as old, full or lying ones do.
///
/// Unlike the real one it lets anybody write, certifies no responses (`http_expr` is a constant) and believes an uploader's
/// SHA-256 of what is large, as the real one did until 2025: hashing takes 0.2 s a MiB here.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import CertifiedData "mo:core/CertifiedData";
import Iter "mo:core/Iter";
import List "mo:core/List";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Order "mo:core/Order";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Set "mo:core/Set";
import Text "mo:core/Text";
import Time "mo:core/Time";
import VarArray "mo:core/VarArray";

import HashTree "hash-tree";
import Sha256 "sha256";

persistent actor Assets {
  type Header = (Text, Text);
  type Slot = { offset : Nat64; size : Nat };
  type Encoding = { chunks : [Slot]; length : Nat; sha256 : Blob; modified : Int };
  type Asset = {
    var contentType : Text;
    var isAliased : ?Bool;
    var maxAge : ?Nat64;
    var headers : ?[Header];
    var allowRawAccess : ?Bool;
    encodings : Map.Map<Text, Encoding>;
  };
  type CreateAsset = {
    key : Text;
    content_type : Text;
    max_age : ?Nat64;
    headers : ?[Header];
    enable_aliasing : ?Bool;
    allow_raw_access : ?Bool;
  };
  type SetAssetContent = {
    key : Text;
    content_encoding : Text;
    chunk_ids : [Nat];
    last_chunk : ?Blob;
    sha256 : ?Blob;
  };
  type UnsetAssetContent = { key : Text; content_encoding : Text };
  type Operation = {
    #CreateAsset : CreateAsset;
    #SetAssetContent : SetAssetContent;
    #UnsetAssetContent : UnsetAssetContent;
    #DeleteAsset : { key : Text };
  };
  type Details = {
    key : Text;
    content_type : Text;
    encodings : [{ content_encoding : Text; sha256 : ?Blob; length : Nat; modified : Int }];
    max_age : ?Nat64;
    headers : ?[Header];
    allow_raw_access : ?Bool;
    is_aliased : ?Bool;
  };

  transient let pageSize = 100;
  /// The encoding whose content is certified is the first of these that an asset has.
  transient let order = ["identity", "gzip", "compress", "deflate", "br"];
  /// What is larger is not hashed here.
  transient let maxHashedBytes = 2_097_152;

  let region = Region.new();
  var used : Nat64 = 0;
  /// Where replies are put together.
  let scratch = Region.new();
  let assets = Map.empty<Text, Asset>();
  let chunks = Map.empty<Nat, Slot>();
  var nextId = 1;
  /// What is under `http_assets`.
  var certified : HashTree.Labels = null;

  var listsAll = false;
  let hidden = Set.empty<Text>();
  let corrupt = Map.empty<Text, Nat>();
  let claims = Map.empty<Text, Nat>();
  var padding : Blob = "";
  var withoutAssets = false;

  // --- certification ---

  /// Empty until something has been certified.
  func tree() : HashTree.Tree {
    if (certified == null and padding == "") return #labels null;
    let responses = HashTree.put(null, "<*>", #labels(HashTree.put(null, Sha256.ofBlob("a certificate expression"), #labels(HashTree.put(null, "", #labels(HashTree.put(null, Sha256.ofBlob("a response"), #leaf "")))))));
    let expressions = HashTree.put(null, "http_expr", #labels(if (padding == "") responses else HashTree.put(responses, "padding", #leaf padding)));
    #labels(if (withoutAssets) expressions else HashTree.put(expressions, "http_assets", #labels certified));
  };

  func certify() = CertifiedData.set(HashTree.hash(tree()));
  if (certified != null) certify(); // after an upgrade

  /// Where in the tree an asset is: with a slash in front, even if its key has none.
  func place(key : Text) : Blob = Text.encodeUtf8(if (Text.startsWith(key, #char '/')) key else "/" # key);

  func certifyAt(key : Text, leaf : HashTree.Tree) {
    certified := HashTree.put(certified, place(key), leaf);
  };

  /// What is certified at `key` no longer is; its label stays, and nothing is under it.
  func uncertify(key : Text) {
    if (HashTree.get(certified, place(key)) != null) certifyAt(key, #labels null);
  };

  /// The other keys under which `key` is served and certified.
  func aliases(key : Text) : [Text] {
    if (isAliased(key)) Array.filter<Text>(aliasedBy(key), func(alias) = not Map.containsKey(assets, Text.compare, alias)) else [];
  };

  func isAliased(key : Text) : Bool {
    let ?asset = Map.get(assets, Text.compare, key) else return true;
    asset.isAliased != ?false;
  };

  func aliasedBy(key : Text) : [Text] {
    let ?page = Text.stripEnd(key, #text ".html") else return [];
    let ?directory = Text.stripEnd(key, #text "/index.html") else return [page];
    if (directory == "") [page, "/"] else [page, directory # "/", directory];
  };

  func changed(key : Text, asset : Asset) {
    let keys = Array.concat(aliases(key), [key]);
    for (affected in keys.vals()) {
      switch (first(asset)) {
        case null uncertify(affected);
        case (?{ sha256 }) certifyAt(affected, #leaf sha256);
      };
    };
  };

  func first({ encodings } : Asset) : ?Encoding {
    for (name in order.vals()) {
      let found = Map.get(encodings, Text.compare, name);
      if (found != null) return found;
    };
    Iter.toArray(Map.values(encodings)) |> (if (_.size() == 0) null else ?_[0]);
  };

  /// The assets of which `key` can be an alias.
  func originals(key : Text) : [Text] {
    if (Text.endsWith(key, #char '/')) [key # "index.html"] else if (Text.endsWith(key, #text ".html")) [] else [key # ".html", key # "/index.html"];
  };

  // --- reading ---

  func find(key : Text) : Asset {
    switch (Map.get(assets, Text.compare, key)) {
      case (?asset) return asset;
      case null {};
    };
    for (original in originals(key).vals()) {
      switch (Map.get(assets, Text.compare, original)) {
        case (?asset) if (asset.isAliased != ?false) return asset else Runtime.trap("asset not found");
        case null {};
      };
    };
    Runtime.trap("asset not found");
  };

  func load(encoding : Encoding, index : Nat) : Blob {
    let { offset; size } = encoding.chunks[index];
    let bytes = Region.loadBlob(region, offset, size);
    if (Map.get(corrupt, Text.compare, identity(encoding)) != ?index) return bytes;
    let wrong = Blob.toVarArray(bytes);
    wrong[0] ^= 1;
    Blob.fromVarArray(wrong);
  };

  /// Tells encodings apart for the switches: content that is there twice is two.
  func identity({ chunks } : Encoding) : Text = Nat64.toText(chunks[0].offset);

  func claimedLength(encoding : Encoding) : Nat {
    switch (Map.get(claims, Text.compare, identity(encoding))) {
      case (?claimed) claimed;
      case null encoding.length;
    };
  };

  public query func get({ key; accept_encodings } : { key : Text; accept_encodings : [Text] }) : async {
    content : Blob;
    content_type : Text;
    content_encoding : Text;
    sha256 : ?Blob;
    total_length : Nat;
  } {
    let asset = find(key);
    for (name in accept_encodings.vals()) {
      switch (Map.get(asset.encodings, Text.compare, name)) {
        case (?encoding) return {
          content = load(encoding, 0);
          content_type = asset.contentType;
          content_encoding = name;
          sha256 = ?encoding.sha256;
          total_length = claimedLength(encoding);
        };
        case null {};
      };
    };
    Runtime.trap("no such encoding");
  };

  public query func get_chunk({ key; content_encoding; index; sha256 } : { key : Text; content_encoding : Text; index : Nat; sha256 : ?Blob }) : async {
    content : Blob;
  } {
    let ?encoding = Map.get(find(key).encodings, Text.compare, content_encoding) else Runtime.trap("no such encoding");
    let ?expected = sha256 else Runtime.trap("sha256 required");
    if (expected != encoding.sha256) Runtime.trap("sha256 mismatch");
    if (index >= encoding.chunks.size()) Runtime.trap("chunk index out of bounds");
    { content = load(encoding, index) };
  };

  /// A page, in the order of the keys; or everything, in no order, as until 2025.
  public query func list({ start; length } : { start : ?Nat; length : ?Nat }) : async [Details] {
    let shown = List.empty<Details>();
    if (listsAll) {
      let keys = Array.sort(Iter.toArray(listed()), byHash);
      for (key in keys.vals()) show(key, shown);
      return Array.map<Details, Details>(List.toArray(shown), func details = { details with max_age = null; headers = null; allow_raw_access = null; is_aliased = null });
    };
    let from = small(start, 0);
    let keys = Iter.take(Iter.drop(listed(), from), Nat.min(small(length, pageSize), pageSize));
    for (key in keys) show(key, shown);
    List.toArray(shown);
  };

  func listed() : Iter.Iter<Text> = Iter.filter<Text>(Map.keys(assets), func key = not Set.contains(hidden, Text.compare, key));

  /// A number that is too large for the real one's 32 bits counts as none.
  func small(number : ?Nat, otherwise : Nat) : Nat {
    switch number {
      case (?value) if (value < 4_294_967_296) value else otherwise;
      case null otherwise;
    };
  };

  func byHash(a : Text, b : Text) : Order.Order = Nat32.compare(Blob.hash(Text.encodeUtf8(a)), Blob.hash(Text.encodeUtf8(b)));

  func show(key : Text, shown : List.List<Details>) {
    let ?asset = Map.get(assets, Text.compare, key) else return;
    let encodings = Array.map<(Text, Encoding), { content_encoding : Text; sha256 : ?Blob; length : Nat; modified : Int }>(
      Iter.toArray(Map.entries(asset.encodings)),
      func(content_encoding, encoding) = {
        content_encoding;
        sha256 = ?encoding.sha256;
        length = claimedLength(encoding);
        modified = encoding.modified;
      },
    );
    List.add(
      shown,
      {
        key;
        content_type = asset.contentType;
        encodings;
        max_age = asset.maxAge;
        headers = asset.headers;
        allow_raw_access = asset.allowRawAccess;
        is_aliased = asset.isAliased;
      },
    );
  };

  public query func certified_tree(_ : {}) : async { certificate : Blob; tree : Blob } {
    let ?certificate = CertifiedData.getCertificate() else Runtime.trap("no data certificate available");
    var size : Nat64 = 0;
    func out(bytes : Blob) {
      write(scratch, size, bytes);
      size += Nat64.fromNat(bytes.size());
    };
    out("\d9\d9\f7"); // "what follows is CBOR"
    HashTree.write(tree(), out);
    { certificate; tree = Region.loadBlob(scratch, 0, Nat64.toNat(size)) };
  };

  // --- filling ---

  func write(which : Region.Region, offset : Nat64, bytes : Blob) {
    let pages = (offset + Nat64.fromNat(bytes.size()) + 65_535) / 65_536;
    let present = Region.size(which);
    if (pages > present and Region.grow(which, pages - present) == 0xffff_ffff_ffff_ffff) Runtime.trap("out of memory");
    Region.storeBlob(which, offset, bytes);
  };

  func keep(bytes : Blob) : Slot {
    let slot = { offset = used; size = bytes.size() };
    write(region, used, bytes);
    // One byte more, so that empty ones have places of their own.
    used += Nat64.fromNat(bytes.size() + 1);
    slot;
  };

  func created(key : Text) : Asset {
    switch (Map.get(assets, Text.compare, key)) {
      case (?asset) asset;
      case null {
        let asset : Asset = {
          var contentType = "";
          var isAliased = null;
          var maxAge = null;
          var headers = null;
          var allowRawAccess = null;
          encodings = Map.empty();
        };
        Map.add(assets, Text.compare, key, asset);
        asset;
      };
    };
  };

  func existing(key : Text) : Asset {
    let ?asset = Map.get(assets, Text.compare, key) else Runtime.trap("asset not found");
    asset;
  };

  func setContent(key : Text, asset : Asset, name : Text, slots : [Slot], claimed : ?Blob) {
    var length = 0;
    for ({ size } in slots.vals()) length += size;
    let sha256 = switch claimed {
      case (?given) {
        if (given.size() != 32) Runtime.trap("invalid SHA-256");
        if (length <= maxHashedBytes and given != hashed(slots)) Runtime.trap("sha256 mismatch");
        given;
      };
      case null hashed(slots);
    };
    Map.add(asset.encodings, Text.compare, name, { chunks = slots; length; sha256; modified = Time.now() });
    changed(key, asset);
  };

  func hashed(slots : [Slot]) : Blob {
    Sha256.ofParts(Array.map<Slot, Blob>(slots, func({ offset; size }) = Region.loadBlob(region, offset, size)));
  };

  public func store({ key; content_type; content_encoding; content; sha256; aliased } : { key : Text; content_type : Text; content_encoding : Text; content : Blob; sha256 : ?Blob; aliased : ?Bool }) : async () {
    let asset = created(key);
    asset.contentType := content_type;
    asset.isAliased := aliased;
    setContent(key, asset, content_encoding, [keep(content)], sha256);
    certify();
  };

  public func create_batch(_ : {}) : async { batch_id : Nat } {
    nextId += 1;
    { batch_id = nextId };
  };

  public func create_chunk({ content } : { batch_id : Nat; content : Blob }) : async { chunk_id : Nat } {
    nextId += 1;
    Map.add(chunks, Nat.compare, nextId, keep(content));
    { chunk_id = nextId };
  };

  public func commit_batch({ operations } : { batch_id : Nat; operations : [Operation] }) : async () {
    for (operation in operations.vals()) {
      switch operation {
        case (#CreateAsset { key; content_type; max_age; headers; enable_aliasing; allow_raw_access }) {
          if (Map.containsKey(assets, Text.compare, key)) Runtime.trap("asset already exists");
          let asset = created(key);
          asset.contentType := content_type;
          asset.maxAge := max_age;
          asset.headers := headers;
          asset.isAliased := enable_aliasing;
          asset.allowRawAccess := allow_raw_access;
        };
        case (#SetAssetContent { key; content_encoding; chunk_ids; last_chunk; sha256 }) {
          let asset = existing(key);
          let slots = List.empty<Slot>();
          for (id in chunk_ids.vals()) {
            let ?slot = Map.take(chunks, Nat.compare, id) else Runtime.trap("chunk not found");
            List.add(slots, slot);
          };
          switch last_chunk {
            case (?content) List.add(slots, keep(content));
            case null {};
          };
          if (List.isEmpty(slots)) Runtime.trap("encoding must have at least one chunk or contain last_chunk");
          setContent(key, asset, content_encoding, List.toArray(slots), sha256);
        };
        case (#UnsetAssetContent { key; content_encoding }) {
          let asset = existing(key);
          Map.remove(asset.encodings, Text.compare, content_encoding);
          changed(key, asset);
        };
        case (#DeleteAsset { key }) delete(key);
      };
    };
    certify();
  };

  /// What is certified at the key itself stays, as in the real one.
  func delete(key : Text) {
    if (Map.containsKey(assets, Text.compare, key)) {
      for (alias in aliases(key).vals()) uncertify(alias);
      Map.remove(assets, Text.compare, key);
    };
    // Another one's alias may have been hidden by this key.
    for (original in originals(key).vals()) {
      switch (Map.get(assets, Text.compare, original)) {
        case (?asset) changed(original, asset);
        case null {};
      };
    };
  };

  // --- a test's ---

  /// Whether `list` is that of an older version.
  public func twin_list_all(on : Bool) : async () { listsAll := on };

  /// Whether `list` leaves an asset out.
  public func twin_hide(key : Text, on : Bool) : async () {
    if (on) Set.add(hidden, Text.compare, key) else Set.remove(hidden, Text.compare, key);
  };

  /// Serves a chunk with another first byte, or (null) all of them right again.
  public func twin_corrupt(key : Text, content_encoding : Text, index : ?Nat) : async () {
    switchFor(corrupt, key, content_encoding, index);
  };

  /// What `list` and `get` say the content's length is; null: what it is.
  public func twin_claim_length(key : Text, content_encoding : Text, length : ?Nat) : async () {
    switchFor(claims, key, content_encoding, length);
  };

  func switchFor(which : Map.Map<Text, Nat>, key : Text, content_encoding : Text, value : ?Nat) {
    let ?encoding = Map.get(existing(key).encodings, Text.compare, content_encoding) else Runtime.trap("no such encoding");
    switch value {
      case (?number) Map.add(which, Text.compare, identity(encoding), number);
      case null Map.remove(which, Text.compare, identity(encoding));
    };
  };

  /// Makes the certified tree so many bytes larger, for instance too large for a reply.
  public func twin_pad_tree(bytes : Nat) : async () {
    padding := Blob.fromVarArray(VarArray.repeat<Nat8>(0, bytes));
    certify();
  };

  /// Whether the certified tree has no `http_assets`, as that of a version that certifies responses only.
  public func twin_without_http_assets(on : Bool) : async () {
    withoutAssets := on;
    certify();
  };
};
