/// When to have garbage collected. A put leaves on the heap about twice what it takes in, and the heap never becomes smaller than it
/// has been: it is paid for by the byte, for ever. Motoko's collector divides it into partitions of 64 MiB, frees those that are
/// full, and one more has its marks; left to itself it may start just before one is full, in vain, and wait until there are three more.
import Prim "mo:prim";

module {
  /// The method that Motoko gives every canister, for its controllers and itself: an increment of a collection, which goes on
  /// with every message until it is done. Called without waiting for its answer: while a call waits there can be no upgrade.
  public type Collector = actor { __motoko_gc_trigger : shared () -> () };

  let partitionBytes : Nat = 67_108_864;
  /// Bytes allocated from one collection to the next: while that is less than a partition, one at most is filled meanwhile.
  let pauseBytes : Nat = 33_554_432;

  /// Whether a collection should be begun. In a heap of one partition it would free nothing, and claim another.
  ///
  /// @param pause what had been allocated when one was begun last, which is noted here
  public func isDue(pause : { var since : Nat }) : Bool {
    let allocated = Prim.rts_total_allocation();
    if (Prim.rts_heap_size() < partitionBytes or allocated < pause.since + pauseBytes) return false;
    pause.since := allocated;
    true;
  };
};
