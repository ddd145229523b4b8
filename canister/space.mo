/// The holes that freed chunks leave in a region, kept to reuse their space: by offset, to join neighbours, and by size, to find
/// the smallest one that fits.
import Map "mo:core/Map";
import Nat64 "mo:core/Nat64";
import Order "mo:core/Order";
import Set "mo:core/Set";

module {
  type Hole = (size : Nat64, offset : Nat64);

  public type Space = {
    /// Size of the hole at each offset. No two touch.
    byOffset : Map.Map<Nat64, Nat64>;
    bySize : Set.Set<Hole>;
    /// Bytes in all holes.
    var bytes : Nat64;
  };

  public func empty() : Space = { byOffset = Map.empty(); bySize = Set.empty(); var bytes = 0 };

  func compare(a : Hole, b : Hole) : Order.Order {
    switch (Nat64.compare(a.0, b.0)) {
      case (#equal) Nat64.compare(a.1, b.1);
      case other other;
    };
  };

  /// Takes `size` bytes from the smallest hole that is large enough, and returns their offset; null when there is none.
  public func take(space : Space, size : Nat64) : ?Nat64 {
    if (space.bytes < size) return null;
    let ?hole = Set.valuesFrom(space.bySize, compare, (size, 0 : Nat64)).next() else return null;
    remove(space, hole);
    let (whole, offset) = hole;
    if (whole > size) add(space, (whole - size, offset + size));
    ?offset;
  };

  /// Makes a hole, and joins it with the holes it touches.
  public func give(space : Space, offset : Nat64, size : Nat64) {
    var start = offset;
    var end = offset + size;
    switch (Map.reverseEntriesFrom(space.byOffset, Nat64.compare, offset).next()) {
      case (?(before, length)) {
        if (before + length == offset) {
          remove(space, (length, before));
          start := before;
        };
      };
      case null {};
    };
    switch (Map.get(space.byOffset, Nat64.compare, end)) {
      case (?length) {
        remove(space, (length, end));
        end += length;
      };
      case null {};
    };
    add(space, (end - start, start));
  };

  /// Removes the hole that ends at `end`, if there is one, and returns its start, where the used part of the region now ends.
  public func trim(space : Space, end : Nat64) : Nat64 {
    switch (Map.maxEntry(space.byOffset)) {
      case (?(offset, size)) {
        if (offset + size != end) return end;
        remove(space, (size, offset));
        offset;
      };
      case null end;
    };
  };

  func add(space : Space, (size, offset) : Hole) {
    Map.add(space.byOffset, Nat64.compare, offset, size);
    Set.add(space.bySize, compare, (size, offset));
    space.bytes += size;
  };

  func remove(space : Space, (size, offset) : Hole) {
    Map.remove(space.byOffset, Nat64.compare, offset);
    Set.remove(space.bySize, compare, (size, offset));
    space.bytes -= size;
  };
};
