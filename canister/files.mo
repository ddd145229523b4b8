/// The newest release in the form of an icboot canister: `listing` and `get`, for its readers. Symlinks are
/// followed: a file has every path by which its bytes can be reached (docs/PROTOCOL.md, "The original's methods").
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import List "mo:core/List";
import Nat "mo:core/Nat";
import Nat64 "mo:core/Nat64";
import Region "mo:core/Region";
import Runtime "mo:core/Runtime";
import Set "mo:core/Set";
import Text "mo:core/Text";

import Index "index";
import Paths "paths";
import Store "store";

module {
  let sectorBytes = 512;
  /// The IC's limit for a query's reply, without the Candid around a blob or before a list.
  let maxReplyBytes : Nat = 3_145_700;
  /// Limit on the entries that a listing visits, counting directories behind symlinks each time: four times the entries of the
  /// largest tree, and a third of a query's instruction limit.
  let maxSteps = 400_000;

  // --- get ---

  /// Up to `count` sectors from `sector` on; fewer at the file's end, nothing past it, and nothing when there is no such
  /// file. Traps when they do not fit a reply, since fewer bytes would look like the file's end.
  public func get(index : Index.Index, store : Store.Store, scratch : Region.Region, name : Text, sector : Nat, count : Nat) : Blob {
    let ?number = resolve(index, name) else return "";
    let #file file = Index.kind(index, number) else return "";
    let from = sector * sectorBytes;
    if (from >= file.size) return "";
    let wanted = Nat.min(count * sectorBytes, file.size - from);
    if (wanted == 0) return "";
    if (wanted > maxReplyBytes) Runtime.trap("get: " # Nat.toText(wanted) # " bytes do not fit a reply; ask for at most 4096 sectors at once");
    var at = extentWith(index, file, from);
    var done = 0;
    while (done < wanted) {
      let extent = Index.extent(index, at);
      at += 1;
      let end = if (at == file.first + file.extents) file.size else Index.startOf(index, at);
      let position = from + done;
      let skipped : Nat = position - extent.start;
      let length = Nat.min(wanted - done, end - position);
      let part = Store.part(store, extent.chunk, extent.offset + skipped, length);
      if (length == wanted) return part;
      Store.write(scratch, Nat64.fromNat(done), part);
      done += length;
    };
    Region.loadBlob(scratch, 0, wanted);
  };

  /// The number of the extent with a file's byte `at`: the last one that begins there or before.
  func extentWith(index : Index.Index, { first; extents } : { first : Nat; extents : Nat }, at : Nat) : Nat {
    var low = first;
    var high = first + extents;
    while (low + 1 < high) {
      let middle = (low + high) / 2;
      if (Index.startOf(index, middle) <= at) low := middle else high := middle;
    };
    low;
  };

  /// The number of the entry to which a path leads through at most 40 symlinks; null when there is none.
  func resolve(index : Index.Index, name : Text) : ?Nat {
    if (Paths.problem(name) != null) return null;
    var directory = "";
    var hops = 0;
    var reached = Index.root;
    for (component in Text.split(name, #char '/')) {
      let path = if (directory == "") component else directory # "/" # component;
      let ?number = Index.find(index, Text.encodeUtf8(path)) else return null;
      switch (Index.kind(index, number)) {
        case (#symlink link) {
          hops += link.hops;
          if (hops > Paths.maxHops) return null;
          reached := link.target;
          directory := if (reached == Index.root) "" else text(Index.path(index, reached, 0));
        };
        case _ {
          reached := number;
          directory := path;
        };
      };
    };
    if (reached == Index.root) null else ?reached;
  };

  func text(utf8 : Blob) : Text {
    let ?decoded = Text.decodeUtf8(utf8) else Runtime.unreachable();
    decoded;
  };

  // --- listing ---

  /// The paths and sizes of all files. Traps when they do not fit a reply, or when symlinks lead to too many.
  public func listing(index : Index.Index) : [(Text, Nat)] {
    let found = List.empty<(Text, Nat)>();
    /// The directories from the root to the current one.
    let open = Set.singleton<Nat>(Index.root);
    var bytes = 0;
    var steps = 0;

    func step(count : Nat) {
      steps += count;
      if (steps > maxSteps) Runtime.trap("listing: symlinks lead to too many paths");
    };

    func range(directory : Nat) : { from : Nat; to : Nat } {
      if (directory == Index.root) return { from = 0; to = index.entries };
      let #directory inside = Index.kind(index, directory) else Runtime.unreachable();
      inside;
    };

    /// Lists the content of a directory that is shown as `prefix`, and to which `hops` symlinks have led.
    func list(directory : Nat, prefix : Text, prefixBytes : Nat, hops : Nat) {
      let cut = if (directory == Index.root) 0 else Index.pathBytes(index, directory) + 1;
      let { from; to } = range(directory);
      // As in `find -L`, a directory is not listed below itself.
      let again = List.empty<{ from : Nat; to : Nat }>();
      label looking for (below in Set.valuesFrom(open, Nat.compare, from)) {
        if (below >= to) break looking;
        step(1);
        List.add(again, range(below));
      };

      func add(number : Nat, size : Nat) {
        let length : Nat = prefixBytes + Index.pathBytes(index, number) - cut;
        // Nobody could ask for longer paths.
        if (length > Paths.maxPathBytes) return;
        bytes += length + numberBytes(length) + numberBytes(size);
        if (bytes > maxReplyBytes) Runtime.trap("listing: the paths of all files do not fit a reply of 3 MiB");
        List.add(found, (prefix # text(Index.path(index, number, cut)), size));
      };

      func enter(link : Nat, target : Nat, allHops : Nat) {
        let way = List.empty<Nat>();
        var above = Index.parent(index, link);
        while (above != directory) {
          List.add(way, above);
          above := Index.parent(index, above);
        };
        step(10 + List.size(way));
        Set.addAll(open, Nat.compare, List.values(way));
        if (not Set.contains(open, Nat.compare, target)) {
          Set.add(open, Nat.compare, target);
          let name = prefix # text(Index.path(index, link, cut)) # "/";
          list(target, name, prefixBytes + Index.pathBytes(index, link) - cut + 1, allHops);
          Set.remove(open, Nat.compare, target);
        };
        for (directory in List.values(way)) Set.remove(open, Nat.compare, directory);
      };

      var number = from;
      while (number < to) {
        step(1);
        switch (List.find(again, func({ from; to } : { from : Nat; to : Nat }) : Bool = from <= number and number < to)) {
          case (?{ to }) number := to;
          case null {
            switch (Index.kind(index, number)) {
              case (#directory _) {};
              case (#file { size }) add(number, size);
              case (#symlink link) {
                let allHops = hops + link.hops;
                if (allHops <= Paths.maxHops and link.target != Index.root) {
                  switch (Index.kind(index, link.target)) {
                    case (#file { size }) add(number, size);
                    case _ enter(number, link.target, allHops);
                  };
                };
              };
            };
            number += 1;
          };
        };
      };
    };

    list(Index.root, "", 0, 0);
    List.toArray(found);
  };

  /// How many bytes a number takes in LEB128.
  func numberBytes(number : Nat) : Nat {
    var left = number / 128;
    var bytes = 1;
    while (left > 0) {
      left /= 128;
      bytes += 1;
    };
    bytes;
  };
};
