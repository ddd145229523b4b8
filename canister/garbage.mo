/// Decides when to collect garbage. A put leaves about twice its bytes on the heap, and the heap never shrinks: every byte is paid
/// for permanently. Motoko's collector divides the heap into partitions of 64 MiB, frees full ones, and needs another one for its
/// marks; left to itself it may start just before one is full, free nothing, and wait until there are three more.
import Prim "mo:prim";

module {
  /// A method that every Motoko canister has, for its controllers and itself: it starts a collection, which continues
  /// with every message until it is done. Called without waiting for the answer, since a waiting call blocks upgrades.
  public type Collector = actor { __motoko_gc_trigger : shared () -> () };

  let partitionBytes : Nat = 67_108_864;
  /// Bytes allocated from one collection to the next: less than a partition, so that at most one is filled meanwhile.
  let pauseBytes : Nat = 33_554_432;

  /// Whether to start a collection. In a heap of one partition it would free nothing, and claim another.
  ///
  /// @param pause how much had been allocated when the last one started; updated here
  public func isDue(pause : { var since : Nat }) : Bool {
    let allocated = Prim.rts_total_allocation();
    if (Prim.rts_heap_size() < partitionBytes or allocated < pause.since + pauseBytes) return false;
    pause.since := allocated;
    true;
  };
};
