/// A twin of the IC's standard asset canister, as far as it matters to its readers: its interface, its certified tree, its
/// refusals, word for word, and enough of its upload methods to fill it. Its behaviour is tested against the real one. Methods
/// that begin with `twin_` let a test make it behave like an old, full or lying canister.
///
/// Unlike the real one it lets anybody write, certifies no responses (`http_expr` is a constant) and trusts an uploader's SHA-256
/// of large content, as the real one did until 2025: hashing takes 0.2 s per MiB here.
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
import VarArray "mo:core/VarArray";

import AssetStore "asset-store";
import HashTree "hash-tree";
import Sha256 "sha256";
import Store "store";

persistent actor Assets {
  type Details = {
    key : Text;
    content_type : Text;
    encodings : [{ content_encoding : Text; sha256 : ?Blob; length : Nat; modified : Int }];
    max_age : ?Nat64;
    headers : ?[AssetStore.Header];
    allow_raw_access : ?Bool;
    is_aliased : ?Bool;
  };
  type Operation = {
    #CreateAsset : {
      key : Text;
      content_type : Text;
      max_age : ?Nat64;
      headers : ?[AssetStore.Header];
      enable_aliasing : ?Bool;
      allow_raw_access : ?Bool;
    };
    #SetAssetContent : {
      key : Text;
      content_encoding : Text;
      chunk_ids : [Nat];
      last_chunk : ?Blob;
      sha256 : ?Blob;
    };
    #UnsetAssetContent : { key : Text; content_encoding : Text };
    #DeleteAsset : { key : Text };
  };

  transient let pageSize = 100;

  let assets = AssetStore.empty();
  /// Where replies are put together.
  let scratch = Region.new();
  /// Uploaded chunks that do not belong to an asset yet.
  let chunks = Map.empty<Nat, AssetStore.Slot>();
  var nextId = 1;

  // --- switches of the tests ---
  var listsAll = false;
  let hidden = Set.empty<Text>();
  let corrupt = Map.empty<Nat64, Nat>();
  let claims = Map.empty<Nat64, Nat>();
  var padding : Blob = "";
  var withoutAssets = false;

  /// Empty until something has been certified. `http_expr` has the same form as in the real one, but is a constant.
  func tree() : HashTree.Tree {
    if (assets.certified == null and padding == "") return #labels null;
    func only(name : Blob, child : HashTree.Tree) : HashTree.Tree = #labels(HashTree.put(null, name, child));
    let response = only(Sha256.ofBlob("expression"), only("", only(Sha256.ofBlob("response"), #leaf "")));
    let responses = HashTree.put(null, "<*>", response);
    let padded = if (padding == "") responses else HashTree.put(responses, "padding", #leaf padding);
    let expressions = HashTree.put(null, "http_expr", #labels padded);
    #labels(if (withoutAssets) expressions else HashTree.put(expressions, "http_assets", #labels(assets.certified)));
  };

  func certify() = CertifiedData.set(HashTree.hash(tree()));
  if (assets.certified != null) certify(); // after an upgrade

  // --- reading ---

  func load(encoding : AssetStore.Encoding, index : Nat) : Blob {
    let bytes = AssetStore.load(assets, encoding.chunks[index]);
    if (Map.get(corrupt, Nat64.compare, identity(encoding)) != ?index) return bytes;
    let wrong = Blob.toVarArray(bytes);
    wrong[0] ^= 1;
    Blob.fromVarArray(wrong);
  };

  /// Identifies an encoding for the switches: equal contents are told apart.
  func identity({ chunks } : AssetStore.Encoding) : Nat64 = chunks[0].offset;

  func claimedLength(encoding : AssetStore.Encoding) : Nat {
    switch (Map.get(claims, Nat64.compare, identity(encoding))) {
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
    let asset = AssetStore.find(assets, key);
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
    let ?encoding = Map.get(AssetStore.find(assets, key).encodings, Text.compare, content_encoding) else Runtime.trap("no such encoding");
    let ?expected = sha256 else Runtime.trap("sha256 required");
    if (expected != encoding.sha256) Runtime.trap("sha256 mismatch");
    if (index >= encoding.chunks.size()) Runtime.trap("chunk index out of bounds");
    { content = load(encoding, index) };
  };

  /// A page in the order of the keys; or everything, unordered, as until 2025.
  public query func list({ start; length } : { start : ?Nat; length : ?Nat }) : async [Details] {
    if (listsAll) {
      func older(key : Text) : Details = { details(key) with max_age = null; headers = null; allow_raw_access = null; is_aliased = null };
      return Array.map(Array.sort(Iter.toArray(listed()), byHash), older);
    };
    let page = Iter.take(Iter.drop(listed(), small(start, 0)), Nat.min(small(length, pageSize), pageSize));
    Array.map(Iter.toArray(page), details);
  };

  func listed() : Iter.Iter<Text> = Iter.filter<Text>(Map.keys(assets.byKey), func key = not Set.contains(hidden, Text.compare, key));

  /// A number that is too large for the real one's 32 bits counts as absent.
  func small(number : ?Nat, otherwise : Nat) : Nat {
    switch number {
      case (?value) if (value < 4_294_967_296) value else otherwise;
      case null otherwise;
    };
  };

  func byHash(a : Text, b : Text) : Order.Order = Nat32.compare(Blob.hash(Text.encodeUtf8(a)), Blob.hash(Text.encodeUtf8(b)));

  func details(key : Text) : Details {
    let asset = AssetStore.existing(assets, key);
    let encodings = Array.map<(Text, AssetStore.Encoding), { content_encoding : Text; sha256 : ?Blob; length : Nat; modified : Int }>(
      Iter.toArray(Map.entries(asset.encodings)),
      func(content_encoding, encoding) = {
        content_encoding;
        sha256 = ?encoding.sha256;
        length = claimedLength(encoding);
        modified = encoding.modified;
      },
    );
    {
      key;
      content_type = asset.contentType;
      encodings;
      max_age = asset.maxAge;
      headers = asset.headers;
      allow_raw_access = asset.allowRawAccess;
      is_aliased = asset.isAliased;
    };
  };

  public query func certified_tree(_ : {}) : async { certificate : Blob; tree : Blob } {
    let ?certificate = CertifiedData.getCertificate() else Runtime.trap("no data certificate available");
    var size : Nat64 = 0;
    func out(bytes : Blob) {
      Store.write(scratch, size, bytes);
      size += Nat64.fromNat(bytes.size());
    };
    out("\d9\d9\f7"); // "what follows is CBOR"
    HashTree.write(tree(), out);
    { certificate; tree = Region.loadBlob(scratch, 0, Nat64.toNat(size)) };
  };

  // --- filling ---

  public func create_batch(_ : {}) : async { batch_id : Nat } {
    nextId += 1;
    { batch_id = nextId };
  };

  public func create_chunk({ content } : { batch_id : Nat; content : Blob }) : async { chunk_id : Nat } {
    nextId += 1;
    Map.add(chunks, Nat.compare, nextId, AssetStore.keep(assets, content));
    { chunk_id = nextId };
  };

  public func commit_batch({ operations } : { batch_id : Nat; operations : [Operation] }) : async () {
    for (operation in operations.vals()) {
      switch operation {
        case (#CreateAsset { key; content_type; max_age; headers; enable_aliasing; allow_raw_access }) {
          let asset = AssetStore.create(assets, key);
          asset.contentType := content_type;
          asset.maxAge := max_age;
          asset.headers := headers;
          asset.isAliased := enable_aliasing;
          asset.allowRawAccess := allow_raw_access;
        };
        case (#SetAssetContent { key; content_encoding; chunk_ids; last_chunk; sha256 }) {
          let slots = List.empty<AssetStore.Slot>();
          for (id in chunk_ids.vals()) {
            let ?slot = Map.take(chunks, Nat.compare, id) else Runtime.trap("chunk not found");
            List.add(slots, slot);
          };
          switch last_chunk {
            case (?content) List.add(slots, AssetStore.keep(assets, content));
            case null {};
          };
          AssetStore.set(assets, key, content_encoding, List.toArray(slots), sha256);
        };
        case (#UnsetAssetContent { key; content_encoding }) AssetStore.unset(assets, key, content_encoding);
        case (#DeleteAsset { key }) AssetStore.delete(assets, key);
      };
    };
    certify();
  };

  // --- for tests ---

  /// Makes `list` behave as in an older version.
  public func twin_list_all(on : Bool) : async () { listsAll := on };

  /// Hides an asset from `list`.
  public func twin_hide(key : Text, on : Bool) : async () {
    if (on) Set.add(hidden, Text.compare, key) else Set.remove(hidden, Text.compare, key);
  };

  /// Serves a chunk with its first byte changed; null: serves all chunks correctly again.
  public func twin_corrupt(key : Text, content_encoding : Text, index : ?Nat) : async () {
    switchFor(corrupt, key, content_encoding, index);
  };

  /// Sets the content length that `list` and `get` report; null: the true one.
  public func twin_claim_length(key : Text, content_encoding : Text, length : ?Nat) : async () {
    switchFor(claims, key, content_encoding, length);
  };

  func switchFor(which : Map.Map<Nat64, Nat>, key : Text, content_encoding : Text, value : ?Nat) {
    let ?encoding = Map.get(AssetStore.existing(assets, key).encodings, Text.compare, content_encoding) else Runtime.trap("no such encoding");
    switch value {
      case (?number) Map.add(which, Nat64.compare, identity(encoding), number);
      case null Map.remove(which, Nat64.compare, identity(encoding));
    };
  };

  /// Enlarges the certified tree by this many bytes, for instance beyond the limit of a reply.
  public func twin_pad_tree(bytes : Nat) : async () {
    padding := Blob.fromVarArray(VarArray.repeat<Nat8>(0, bytes));
    certify();
  };

  /// Removes `http_assets` from the certified tree, as in a version that certifies responses only.
  public func twin_without_http_assets(on : Bool) : async () {
    withoutAssets := on;
    certify();
  };
};
