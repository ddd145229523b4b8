/// Which chunks are stored, and for how long: the chunks of held releases have reference counts, and are freed with the last reference;
/// chunks that nobody has published yet ("loose") are freed after a day.
import Blob "mo:core/Blob";
import Int "mo:core/Int";
import List "mo:core/List";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Principal "mo:core/Principal";
import Runtime "mo:core/Runtime";

import Sha256 "sha256";
import Space "space";
import Store "store";

module {
  /// How long a loose chunk is kept: an interrupted upload can be resumed the next morning.
  public let looseNanoseconds : Nat64 = 86_400_000_000_000;

  /// Each chunk takes about 250 bytes of heap, however small it is: a million take a tenth of a canister's
  /// limit. 100 GiB in chunks of 256 KiB are 400,000.
  public let maxChunks : Nat = 1_000_000;
  /// The limit on what each publisher has put and not published: 32 GiB in chunks of 256 KiB, and half as many again.
  public let maxLoose : Nat = 200_000;
  /// In a canister with `maxChunks`, twice as many tiny ones would take a quarter of a message's limit.
  public let maxPut : Nat = 30_000;
  /// Loose chunks that were put within the same minute are counted together, and expire together.
  let spanNanoseconds : Nat64 = 60_000_000_000;

  public type Loose = { by : Principal; at : Nat64 };

  public type Chunks = {
    store : Store.Store;
    holes : Space.Space;
    /// How many held releases use each chunk; loose ones are not included.
    references : Map.Map<Blob, Nat32>;
    loose : Map.Map<Blob, Loose>;
    /// Bytes of each publisher's loose chunks.
    looseBytes : Map.Map<Principal, Nat64>;
    /// How many loose chunks each publisher has.
    looseCounts : Map.Map<Principal, Nat>;
    /// How many loose chunks are from each minute since 1970: about 1,450 entries, which give the number of expired chunks without a
    /// look at each.
    looseSpans : Map.Map<Nat64, Nat>;
  };

  /// Where `expire` continues: with this hash, or the next greater one; null: at the beginning.
  public type Cursor = { var after : ?Blob };

  /// The most bytes of all chunks, and of each publisher's loose ones.
  public type Limits = { quota : Nat64; looseQuota : Nat64 };

  /// Bytes of all chunks that are here.
  public func bytes({ store; holes } : Chunks) : Nat64 = store.end - holes.bytes;

  /// Whether so many new chunks can be put without exceeding a limit.
  public func hasRoom(chunks : Chunks, by : Principal, count : Nat, size : Nat, { quota; looseQuota } : Limits) : Bool {
    Map.size(chunks.store.slots) + count <= maxChunks and looseCountOf(chunks, by) + count <= maxLoose and
    Nat64.toNat(bytes(chunks)) + size <= Nat64.toNat(quota) and Nat64.toNat(looseOf(chunks, by)) + size <= Nat64.toNat(looseQuota);
  };

  /// Stores a chunk, loose, and returns its hash. For a stored chunk it only costs the hashing; if that is loose, its day
  /// starts again. Traps when it is empty or too large, or would exceed a limit.
  public func put(chunks : Chunks, chunk : Blob, by : Principal, now : Nat64, limits : Limits) : Blob {
    if (chunk.size() == 0) Runtime.trap("put: a chunk is empty");
    if (chunk.size() > Store.maxChunkBytes) {
      Runtime.trap("put: a chunk of " # debug_show (chunk.size()) # " bytes is over the limit of " # debug_show (Store.maxChunkBytes));
    };
    let hash = Sha256.ofBlob(chunk);
    switch (Store.size(chunks.store, hash)) {
      case null {
        let size = Nat64.fromNat(chunk.size());
        if (bytes(chunks) + size > limits.quota) {
          Runtime.trap("over quota: the canister stores at most " # debug_show (limits.quota) # " bytes");
        };
        if (looseOf(chunks, by) + size > limits.looseQuota) {
          Runtime.trap("over quota: at most " # debug_show (limits.looseQuota) # " bytes may wait to be published");
        };
        if (Map.size(chunks.store.slots) >= maxChunks) {
          Runtime.trap("over quota: the canister stores at most " # Nat.toText(maxChunks) # " chunks");
        };
        if (looseCountOf(chunks, by) >= maxLoose) {
          Runtime.trap("over quota: at most " # Nat.toText(maxLoose) # " chunks may wait to be published");
        };
        Store.add(chunks.store, chunks.holes, hash, chunk);
        addLoose(chunks, hash, { by; at = now });
      };
      case _ switch (Map.get(chunks.loose, Blob.compare, hash)) {
        case (?{ by; at }) {
          Map.add(chunks.loose, Blob.compare, hash, { by; at = now });
          countSpan(chunks, at, -1);
          countSpan(chunks, now, 1);
        };
        case null {};
      };
    };
    hash;
  };

  /// Counts one more use of a stored chunk.
  public func hold(chunks : Chunks, hash : Blob) {
    switch (Map.get(chunks.references, Blob.compare, hash)) {
      case (?count) Map.add(chunks.references, Blob.compare, hash, count + 1);
      case null {
        removeLoose(chunks, hash);
        Map.add(chunks.references, Blob.compare, hash, 1 : Nat32);
      };
    };
  };

  /// Counts one use less, and frees the chunk with the last use; tells whether that was the last.
  public func release(chunks : Chunks, hash : Blob) : Bool {
    switch (Map.get(chunks.references, Blob.compare, hash)) {
      case (?count) {
        if (count > 1) {
          Map.add(chunks.references, Blob.compare, hash, count - 1);
          return false;
        };
        Map.remove(chunks.references, Blob.compare, hash);
        Store.remove(chunks.store, chunks.holes, hash);
        true;
      };
      case null false;
    };
  };

  /// Looks at `count` loose chunks at most, in the order of their hashes, from `cursor` on. Frees those from a minute before that of
  /// `before`, and returns how many. Leaves in `cursor` where to continue; null once it has come to the end.
  public func expire(chunks : Chunks, before : Nat64, cursor : Cursor, count : Nat) : Nat {
    let old = List.empty<Blob>();
    var looked = 0;
    let from = switch (cursor.after) {
      case null Map.entries(chunks.loose);
      case (?hash) Map.entriesFrom(chunks.loose, Blob.compare, hash);
    };
    cursor.after := null;
    label looking for ((hash, { at }) in from) {
      if (looked == count) {
        cursor.after := ?hash;
        break looking;
      };
      looked += 1;
      if (span(at) < span(before)) List.add(old, hash);
    };
    for (hash in List.values(old)) {
      removeLoose(chunks, hash);
      Store.remove(chunks.store, chunks.holes, hash);
    };
    List.size(old);
  };

  /// How many loose chunks are from a minute before that of `before`.
  public func due({ looseSpans } : Chunks, before : Nat64) : Nat {
    var count = 0;
    label adding for ((minute, chunks) in Map.entries(looseSpans)) {
      if (minute >= span(before)) break adding;
      count += chunks;
    };
    count;
  };

  /// Makes stored chunks without a count loose: for a canister from before chunks were counted.
  public func adopt(chunks : Chunks, by : Principal, now : Nat64) {
    for (hash in Map.keys(chunks.store.slots)) {
      let counted = Map.containsKey(chunks.references, Blob.compare, hash) or Map.containsKey(chunks.loose, Blob.compare, hash);
      if (not counted) addLoose(chunks, hash, { by; at = now });
    };
  };

  /// Counts each publisher's loose chunks, and each minute's: for a canister from before these were counted.
  public func recount(chunks : Chunks) {
    Map.clear(chunks.looseCounts);
    Map.clear(chunks.looseSpans);
    for ({ by; at } in Map.values(chunks.loose)) {
      setLooseCount(chunks, by, looseCountOf(chunks, by) + 1);
      countSpan(chunks, at, 1);
    };
  };

  func span(at : Nat64) : Nat64 = at / spanNanoseconds;

  func countSpan({ looseSpans } : Chunks, at : Nat64, change : Int) {
    let minute = span(at);
    let before : Int = switch (Map.get(looseSpans, Nat64.compare, minute)) {
      case (?count) count;
      case null 0;
    };
    let count = Int.toNat(before + change);
    if (count == 0) Map.remove(looseSpans, Nat64.compare, minute) else Map.add(looseSpans, Nat64.compare, minute, count);
  };

  func looseOf({ looseBytes } : Chunks, by : Principal) : Nat64 {
    switch (Map.get(looseBytes, Principal.compare, by)) {
      case (?bytes) bytes;
      case null 0;
    };
  };

  func looseCountOf({ looseCounts } : Chunks, by : Principal) : Nat {
    switch (Map.get(looseCounts, Principal.compare, by)) {
      case (?count) count;
      case null 0;
    };
  };

  /// Only publishers with loose chunks have an entry, since publishers come and go.
  func setLooseCount({ looseCounts } : Chunks, by : Principal, count : Nat) {
    if (count == 0) Map.remove(looseCounts, Principal.compare, by) else Map.add(looseCounts, Principal.compare, by, count);
  };

  func sizeOf(chunks : Chunks, hash : Blob) : Nat64 {
    switch (Store.size(chunks.store, hash)) {
      case (?size) Nat64.fromNat32(size);
      case null 0;
    };
  };

  func addLoose(chunks : Chunks, hash : Blob, loose : Loose) {
    Map.add(chunks.loose, Blob.compare, hash, loose);
    Map.add(chunks.looseBytes, Principal.compare, loose.by, looseOf(chunks, loose.by) + sizeOf(chunks, hash));
    setLooseCount(chunks, loose.by, looseCountOf(chunks, loose.by) + 1);
    countSpan(chunks, loose.at, 1);
  };

  func removeLoose(chunks : Chunks, hash : Blob) {
    switch (Map.take(chunks.loose, Blob.compare, hash)) {
      case (?{ by; at }) {
        let left = looseOf(chunks, by) - sizeOf(chunks, hash);
        if (left == 0) Map.remove(chunks.looseBytes, Principal.compare, by) else Map.add(chunks.looseBytes, Principal.compare, by, left);
        setLooseCount(chunks, by, looseCountOf(chunks, by) - 1 : Nat);
        countSpan(chunks, at, -1);
      };
      case null {};
    };
  };
};
