/// The data of the twin of the standard asset canister (assets.mo), and what of it is certified: assets by key, their content by
/// encoding, and a label under `http_assets` for each key and alias.
import Array "mo:core/Array";
import Map "mo:core/Map";
import Nat64 "mo:core/Nat64";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";
import Time "mo:core/Time";

import HashTree "hash-tree";
import Sha256 "sha256";
import Store "store";

module {
  public type Header = (Text, Text);

  /// Where a chunk's bytes are.
  public type Slot = { offset : Nat64; size : Nat };

  public type Encoding = { chunks : [Slot]; length : Nat; sha256 : Blob; modified : Int };

  public type Asset = {
    var contentType : Text;
    var isAliased : ?Bool;
    var maxAge : ?Nat64;
    var headers : ?[Header];
    var allowRawAccess : ?Bool;
    encodings : Map.Map<Text, Encoding>;
  };

  public type Assets = {
    region : Region.Region;
    /// The end of the region's used part.
    var used : Nat64;
    byKey : Map.Map<Text, Asset>;
    /// The tree under `http_assets`.
    var certified : HashTree.Labels;
  };

  /// The encoding whose content is certified is the first of these that an asset has.
  let order = ["identity", "gzip", "compress", "deflate", "br"];
  /// Larger content is not hashed here if the uploader gives its hash.
  let maxHashedBytes = 2_097_152;

  public func empty() : Assets = { region = Region.new(); var used = 0; byKey = Map.empty(); var certified = null };

  // --- content ---

  public func keep(assets : Assets, bytes : Blob) : Slot {
    let slot = { offset = assets.used; size = bytes.size() };
    // Nothing, not even zero bytes, can be written to a region without pages.
    if (bytes.size() > 0) Store.write(assets.region, assets.used, bytes);
    // One more byte, so that empty contents have different offsets, too.
    assets.used += Nat64.fromNat(bytes.size() + 1);
    slot;
  };

  public func load({ region } : Assets, { offset; size } : Slot) : Blob = if (size == 0) "" else Region.loadBlob(region, offset, size);

  /// A new asset without content.
  public func create({ byKey } : Assets, key : Text) : Asset {
    if (Map.containsKey(byKey, Text.compare, key)) Runtime.trap("asset already exists");
    let asset : Asset = {
      var contentType = "";
      var isAliased = null;
      var maxAge = null;
      var headers = null;
      var allowRawAccess = null;
      encodings = Map.empty();
    };
    Map.add(byKey, Text.compare, key, asset);
    asset;
  };

  /// The asset with exactly this key.
  public func existing({ byKey } : Assets, key : Text) : Asset {
    let ?asset = Map.get(byKey, Text.compare, key) else Runtime.trap("asset not found");
    asset;
  };

  /// The asset with this key or alias.
  public func find({ byKey } : Assets, key : Text) : Asset {
    switch (Map.get(byKey, Text.compare, key)) {
      case (?asset) return asset;
      case null {};
    };
    for (original in originals(key).vals()) {
      switch (Map.get(byKey, Text.compare, original)) {
        case (?asset) if (asset.isAliased != ?false) return asset else Runtime.trap("asset not found");
        case null {};
      };
    };
    Runtime.trap("asset not found");
  };

  public func set(assets : Assets, key : Text, encoding : Text, chunks : [Slot], claimed : ?Blob) {
    let asset = existing(assets, key);
    if (chunks.size() == 0) Runtime.trap("encoding must have at least one chunk or contain last_chunk");
    var length = 0;
    for ({ size } in chunks.vals()) length += size;
    func hashed() : Blob = Sha256.ofParts(Array.map<Slot, Blob>(chunks, func slot = load(assets, slot)));
    let sha256 = switch claimed {
      case (?given) {
        if (given.size() != 32) Runtime.trap("invalid SHA-256");
        if (length <= maxHashedBytes and given != hashed()) Runtime.trap("sha256 mismatch");
        given;
      };
      case null hashed();
    };
    Map.add(asset.encodings, Text.compare, encoding, { chunks; length; sha256; modified = Time.now() });
    certify(assets, key, asset);
  };

  public func unset(assets : Assets, key : Text, encoding : Text) {
    let asset = existing(assets, key);
    Map.remove(asset.encodings, Text.compare, encoding);
    certify(assets, key, asset);
  };

  /// The certified label of the key itself stays, as in the real canister.
  public func delete(assets : Assets, key : Text) {
    if (Map.containsKey(assets.byKey, Text.compare, key)) {
      for (alias in aliases(assets, key).vals()) put(assets, alias, null);
      Map.remove(assets.byKey, Text.compare, key);
    };
    // This key may have hidden another asset's alias.
    for (original in originals(key).vals()) {
      switch (Map.get(assets.byKey, Text.compare, original)) {
        case (?asset) certify(assets, original, asset);
        case null {};
      };
    };
  };

  // --- certification ---

  /// Certifies the current state of an asset, under its key and its aliases.
  func certify(assets : Assets, key : Text, asset : Asset) {
    let first = firstOf(asset);
    for (affected in Array.concat(aliases(assets, key), [key]).vals()) put(assets, affected, first);
  };

  /// Certifies content at `key`, or its absence: an existing label then stays, with nothing under it.
  func put(assets : Assets, key : Text, content : ?Encoding) {
    // With a slash in front, even if the key has none.
    let name = Text.encodeUtf8(if (Text.startsWith(key, #char '/')) key else "/" # key);
    switch content {
      case (?{ sha256 }) assets.certified := HashTree.put(assets.certified, name, #leaf sha256);
      case null if (HashTree.get(assets.certified, name) != null) assets.certified := HashTree.put(assets.certified, name, #labels null);
    };
  };

  /// The content that is certified.
  func firstOf({ encodings } : Asset) : ?Encoding {
    for (name in order.vals()) {
      let found = Map.get(encodings, Text.compare, name);
      if (found != null) return found;
    };
    Map.values(encodings).next();
  };

  // --- aliases ---

  /// The other keys under which the asset at `key` is served and certified.
  func aliases({ byKey } : Assets, key : Text) : [Text] {
    switch (Map.get(byKey, Text.compare, key)) {
      case (?asset) if (asset.isAliased == ?false) return [];
      case null {};
    };
    Array.filter<Text>(aliasesOf(key), func(alias) = not Map.containsKey(byKey, Text.compare, alias));
  };

  func aliasesOf(key : Text) : [Text] {
    let ?page = Text.stripEnd(key, #text ".html") else return [];
    let ?directory = Text.stripEnd(key, #text "/index.html") else return [page];
    if (directory == "") [page, "/"] else [page, directory # "/", directory];
  };

  /// The keys that `key` can be an alias of.
  func originals(key : Text) : [Text] {
    if (Text.endsWith(key, #char '/')) [key # "index.html"] else if (Text.endsWith(key, #text ".html")) [] else [key # ".html", key # "/index.html"];
  };
};
