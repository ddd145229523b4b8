/// SHA-256 (FIPS 180-4): `mo:core` has none, and the IC offers no system call for it.
///
/// It dominates the cost of a `put`, so the 64 rounds (FIPS 180-4, 6.2.2) are unrolled, with their constants inlined, and the
/// working variables and the last sixteen words of the schedule in locals: without array accesses, and without index
/// arithmetic on Nat. `make bench-instructions` counts the cost.
///
/// Each word of 32 bits is in a Nat64 twice, in the upper half and the lower: so the lower half of a shift to the right is a
/// rotation, where Motoko takes ten instructions to rotate a Nat32. Sums spoil the upper half; the multiplication by
/// 0x1_0000_0001 makes it a copy of the lower one again.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Nat8 "mo:core/Nat8";
import VarArray "mo:core/VarArray";

module {
  /// The working state of FIPS 180-4, 6.2: a common beginning is hashed once and continued from there.
  public type State = [var Nat32];

  /// The state before the first block.
  public func begin() : State = VarArray.tabulate<Nat32>(8, func i = initial[i]);

  /// Processes whole blocks of 64 bytes.
  public func absorb(state : State, blocks : Blob) {
    let whole = Nat32.fromNat(blocks.size() / 64);
    var block : Nat32 = 0;
    while (block < whole) {
      compress(state, blocks, block * 64);
      block += 1;
    };
  };

  /// The 32-byte SHA-256 of `data`.
  public func ofBlob(data : Blob) : Blob {
    let state = begin();
    absorb(state, data);
    absorb(state, padding(data, data.size() / 64 * 64));
    digest(state);
  };

  /// The hash, once all blocks have been processed, including the padding.
  public func digest(state : State) : Blob {
    // Unrolled, and padded without a closure for each byte, which would be most of the work for a small chunk.
    let (a0, a1, a2, a3) = Nat32.explode(state[0]);
    let (b0, b1, b2, b3) = Nat32.explode(state[1]);
    let (c0, c1, c2, c3) = Nat32.explode(state[2]);
    let (d0, d1, d2, d3) = Nat32.explode(state[3]);
    let (e0, e1, e2, e3) = Nat32.explode(state[4]);
    let (f0, f1, f2, f3) = Nat32.explode(state[5]);
    let (g0, g1, g2, g3) = Nat32.explode(state[6]);
    let (h0, h1, h2, h3) = Nat32.explode(state[7]);
    Blob.fromArray([
      a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3,
      e0, e1, e2, e3, f0, f1, f2, f3, g0, g1, g2, g3, h0, h1, h2, h3,
    ]);
  };

  /// The SHA-256 of several blobs one after the other; for short parts, since they are copied.
  public func ofParts(parts : [Blob]) : Blob {
    ofBlob(Blob.fromArray(Array.flatten(Array.map<Blob, [Nat8]>(parts, Blob.toArray))));
  };

  let initial : [Nat32] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
  ];

  /// The bytes of `data` from `start` on with FIPS 180-4's padding: one block or two.
  func padding(data : Blob, start : Nat) : Blob {
    let size = data.size();
    let left : Nat = size - start;
    let length = if (left < 56) 64 else 128;
    let bytes = VarArray.repeat<Nat8>(0, length);
    var i = 0;
    while (i < left) {
      bytes[i] := data[start + i];
      i += 1;
    };
    bytes[left] := 0x80;
    let (_, _, _, b4, b3, b2, b1, b0) = Nat64.explode(Nat64.fromNat(size * 8));
    bytes[length - 5] := b4;
    bytes[length - 4] := b3;
    bytes[length - 3] := b2;
    bytes[length - 2] := b1;
    bytes[length - 1] := b0;
    Blob.fromVarArray(bytes);
  };

  /// Four bytes as a number. Nat32, because a Nat64 would be returned through the heap.
  func word(data : Blob, at : Nat32) : Nat32 {
    (Nat32.fromNat16(data[Nat32.toNat(at)].toNat16()) << 24)
    | (Nat32.fromNat16(data[Nat32.toNat(at +% 1)].toNat16()) << 16)
    | (Nat32.fromNat16(data[Nat32.toNat(at +% 2)].toNat16()) << 8)
    | Nat32.fromNat16(data[Nat32.toNat(at +% 3)].toNat16());
  };

  func compress(state : [var Nat32], data : Blob, start : Nat32) {
    var w0 = Nat64.fromNat32(word(data, start)) *% 0x1_0000_0001;
    var w1 = Nat64.fromNat32(word(data, start +% 4)) *% 0x1_0000_0001;
    var w2 = Nat64.fromNat32(word(data, start +% 8)) *% 0x1_0000_0001;
    var w3 = Nat64.fromNat32(word(data, start +% 12)) *% 0x1_0000_0001;
    var w4 = Nat64.fromNat32(word(data, start +% 16)) *% 0x1_0000_0001;
    var w5 = Nat64.fromNat32(word(data, start +% 20)) *% 0x1_0000_0001;
    var w6 = Nat64.fromNat32(word(data, start +% 24)) *% 0x1_0000_0001;
    var w7 = Nat64.fromNat32(word(data, start +% 28)) *% 0x1_0000_0001;
    var w8 = Nat64.fromNat32(word(data, start +% 32)) *% 0x1_0000_0001;
    var w9 = Nat64.fromNat32(word(data, start +% 36)) *% 0x1_0000_0001;
    var w10 = Nat64.fromNat32(word(data, start +% 40)) *% 0x1_0000_0001;
    var w11 = Nat64.fromNat32(word(data, start +% 44)) *% 0x1_0000_0001;
    var w12 = Nat64.fromNat32(word(data, start +% 48)) *% 0x1_0000_0001;
    var w13 = Nat64.fromNat32(word(data, start +% 52)) *% 0x1_0000_0001;
    var w14 = Nat64.fromNat32(word(data, start +% 56)) *% 0x1_0000_0001;
    var w15 = Nat64.fromNat32(word(data, start +% 60)) *% 0x1_0000_0001;
    var a = Nat64.fromNat32(state[0]) *% 0x1_0000_0001;
    var b = Nat64.fromNat32(state[1]) *% 0x1_0000_0001;
    var c = Nat64.fromNat32(state[2]) *% 0x1_0000_0001;
    var d = Nat64.fromNat32(state[3]) *% 0x1_0000_0001;
    var e = Nat64.fromNat32(state[4]) *% 0x1_0000_0001;
    var f = Nat64.fromNat32(state[5]) *% 0x1_0000_0001;
    var g = Nat64.fromNat32(state[6]) *% 0x1_0000_0001;
    var h = Nat64.fromNat32(state[7]) *% 0x1_0000_0001;
    h +%= ((e >> 6) ^ (e >> 11) ^ (e >> 25)) +% (g ^ (e & (f ^ g))) +% 0x428a2f98 +% w0;
    d := ((d +% h) & 0xffff_ffff) *% 0x1_0000_0001;
    h := ((h +% ((a >> 2) ^ (a >> 13) ^ (a >> 22)) +% ((a & b) | (c & (a | b)))) & 0xffff_ffff) *% 0x1_0000_0001;
    g +%= ((d >> 6) ^ (d >> 11) ^ (d >> 25)) +% (f ^ (d & (e ^ f))) +% 0x71374491 +% w1;
    c := ((c +% g) & 0xffff_ffff) *% 0x1_0000_0001;
    g := ((g +% ((h >> 2) ^ (h >> 13) ^ (h >> 22)) +% ((h & a) | (b & (h | a)))) & 0xffff_ffff) *% 0x1_0000_0001;
    f +%= ((c >> 6) ^ (c >> 11) ^ (c >> 25)) +% (e ^ (c & (d ^ e))) +% 0xb5c0fbcf +% w2;
    b := ((b +% f) & 0xffff_ffff) *% 0x1_0000_0001;
    f := ((f +% ((g >> 2) ^ (g >> 13) ^ (g >> 22)) +% ((g & h) | (a & (g | h)))) & 0xffff_ffff) *% 0x1_0000_0001;
    e +%= ((b >> 6) ^ (b >> 11) ^ (b >> 25)) +% (d ^ (b & (c ^ d))) +% 0xe9b5dba5 +% w3;
    a := ((a +% e) & 0xffff_ffff) *% 0x1_0000_0001;
    e := ((e +% ((f >> 2) ^ (f >> 13) ^ (f >> 22)) +% ((f & g) | (h & (f | g)))) & 0xffff_ffff) *% 0x1_0000_0001;
    d +%= ((a >> 6) ^ (a >> 11) ^ (a >> 25)) +% (c ^ (a & (b ^ c))) +% 0x3956c25b +% w4;
    h := ((h +% d) & 0xffff_ffff) *% 0x1_0000_0001;
    d := ((d +% ((e >> 2) ^ (e >> 13) ^ (e >> 22)) +% ((e & f) | (g & (e | f)))) & 0xffff_ffff) *% 0x1_0000_0001;
    c +%= ((h >> 6) ^ (h >> 11) ^ (h >> 25)) +% (b ^ (h & (a ^ b))) +% 0x59f111f1 +% w5;
    g := ((g +% c) & 0xffff_ffff) *% 0x1_0000_0001;
    c := ((c +% ((d >> 2) ^ (d >> 13) ^ (d >> 22)) +% ((d & e) | (f & (d | e)))) & 0xffff_ffff) *% 0x1_0000_0001;
    b +%= ((g >> 6) ^ (g >> 11) ^ (g >> 25)) +% (a ^ (g & (h ^ a))) +% 0x923f82a4 +% w6;
    f := ((f +% b) & 0xffff_ffff) *% 0x1_0000_0001;
    b := ((b +% ((c >> 2) ^ (c >> 13) ^ (c >> 22)) +% ((c & d) | (e & (c | d)))) & 0xffff_ffff) *% 0x1_0000_0001;
    a +%= ((f >> 6) ^ (f >> 11) ^ (f >> 25)) +% (h ^ (f & (g ^ h))) +% 0xab1c5ed5 +% w7;
    e := ((e +% a) & 0xffff_ffff) *% 0x1_0000_0001;
    a := ((a +% ((b >> 2) ^ (b >> 13) ^ (b >> 22)) +% ((b & c) | (d & (b | c)))) & 0xffff_ffff) *% 0x1_0000_0001;
    h +%= ((e >> 6) ^ (e >> 11) ^ (e >> 25)) +% (g ^ (e & (f ^ g))) +% 0xd807aa98 +% w8;
    d := ((d +% h) & 0xffff_ffff) *% 0x1_0000_0001;
    h := ((h +% ((a >> 2) ^ (a >> 13) ^ (a >> 22)) +% ((a & b) | (c & (a | b)))) & 0xffff_ffff) *% 0x1_0000_0001;
    g +%= ((d >> 6) ^ (d >> 11) ^ (d >> 25)) +% (f ^ (d & (e ^ f))) +% 0x12835b01 +% w9;
    c := ((c +% g) & 0xffff_ffff) *% 0x1_0000_0001;
    g := ((g +% ((h >> 2) ^ (h >> 13) ^ (h >> 22)) +% ((h & a) | (b & (h | a)))) & 0xffff_ffff) *% 0x1_0000_0001;
    f +%= ((c >> 6) ^ (c >> 11) ^ (c >> 25)) +% (e ^ (c & (d ^ e))) +% 0x243185be +% w10;
    b := ((b +% f) & 0xffff_ffff) *% 0x1_0000_0001;
    f := ((f +% ((g >> 2) ^ (g >> 13) ^ (g >> 22)) +% ((g & h) | (a & (g | h)))) & 0xffff_ffff) *% 0x1_0000_0001;
    e +%= ((b >> 6) ^ (b >> 11) ^ (b >> 25)) +% (d ^ (b & (c ^ d))) +% 0x550c7dc3 +% w11;
    a := ((a +% e) & 0xffff_ffff) *% 0x1_0000_0001;
    e := ((e +% ((f >> 2) ^ (f >> 13) ^ (f >> 22)) +% ((f & g) | (h & (f | g)))) & 0xffff_ffff) *% 0x1_0000_0001;
    d +%= ((a >> 6) ^ (a >> 11) ^ (a >> 25)) +% (c ^ (a & (b ^ c))) +% 0x72be5d74 +% w12;
    h := ((h +% d) & 0xffff_ffff) *% 0x1_0000_0001;
    d := ((d +% ((e >> 2) ^ (e >> 13) ^ (e >> 22)) +% ((e & f) | (g & (e | f)))) & 0xffff_ffff) *% 0x1_0000_0001;
    c +%= ((h >> 6) ^ (h >> 11) ^ (h >> 25)) +% (b ^ (h & (a ^ b))) +% 0x80deb1fe +% w13;
    g := ((g +% c) & 0xffff_ffff) *% 0x1_0000_0001;
    c := ((c +% ((d >> 2) ^ (d >> 13) ^ (d >> 22)) +% ((d & e) | (f & (d | e)))) & 0xffff_ffff) *% 0x1_0000_0001;
    b +%= ((g >> 6) ^ (g >> 11) ^ (g >> 25)) +% (a ^ (g & (h ^ a))) +% 0x9bdc06a7 +% w14;
    f := ((f +% b) & 0xffff_ffff) *% 0x1_0000_0001;
    b := ((b +% ((c >> 2) ^ (c >> 13) ^ (c >> 22)) +% ((c & d) | (e & (c | d)))) & 0xffff_ffff) *% 0x1_0000_0001;
    a +%= ((f >> 6) ^ (f >> 11) ^ (f >> 25)) +% (h ^ (f & (g ^ h))) +% 0xc19bf174 +% w15;
    e := ((e +% a) & 0xffff_ffff) *% 0x1_0000_0001;
    a := ((a +% ((b >> 2) ^ (b >> 13) ^ (b >> 22)) +% ((b & c) | (d & (b | c)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w0 := ((w0 +% ((w1 >> 7) ^ (w1 >> 18) ^ ((w1 >> 3) & 0x1fff_ffff)) +% w9 +% ((w14 >> 17) ^ (w14 >> 19) ^ ((w14 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    h +%= ((e >> 6) ^ (e >> 11) ^ (e >> 25)) +% (g ^ (e & (f ^ g))) +% 0xe49b69c1 +% w0;
    d := ((d +% h) & 0xffff_ffff) *% 0x1_0000_0001;
    h := ((h +% ((a >> 2) ^ (a >> 13) ^ (a >> 22)) +% ((a & b) | (c & (a | b)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w1 := ((w1 +% ((w2 >> 7) ^ (w2 >> 18) ^ ((w2 >> 3) & 0x1fff_ffff)) +% w10 +% ((w15 >> 17) ^ (w15 >> 19) ^ ((w15 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    g +%= ((d >> 6) ^ (d >> 11) ^ (d >> 25)) +% (f ^ (d & (e ^ f))) +% 0xefbe4786 +% w1;
    c := ((c +% g) & 0xffff_ffff) *% 0x1_0000_0001;
    g := ((g +% ((h >> 2) ^ (h >> 13) ^ (h >> 22)) +% ((h & a) | (b & (h | a)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w2 := ((w2 +% ((w3 >> 7) ^ (w3 >> 18) ^ ((w3 >> 3) & 0x1fff_ffff)) +% w11 +% ((w0 >> 17) ^ (w0 >> 19) ^ ((w0 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    f +%= ((c >> 6) ^ (c >> 11) ^ (c >> 25)) +% (e ^ (c & (d ^ e))) +% 0x0fc19dc6 +% w2;
    b := ((b +% f) & 0xffff_ffff) *% 0x1_0000_0001;
    f := ((f +% ((g >> 2) ^ (g >> 13) ^ (g >> 22)) +% ((g & h) | (a & (g | h)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w3 := ((w3 +% ((w4 >> 7) ^ (w4 >> 18) ^ ((w4 >> 3) & 0x1fff_ffff)) +% w12 +% ((w1 >> 17) ^ (w1 >> 19) ^ ((w1 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    e +%= ((b >> 6) ^ (b >> 11) ^ (b >> 25)) +% (d ^ (b & (c ^ d))) +% 0x240ca1cc +% w3;
    a := ((a +% e) & 0xffff_ffff) *% 0x1_0000_0001;
    e := ((e +% ((f >> 2) ^ (f >> 13) ^ (f >> 22)) +% ((f & g) | (h & (f | g)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w4 := ((w4 +% ((w5 >> 7) ^ (w5 >> 18) ^ ((w5 >> 3) & 0x1fff_ffff)) +% w13 +% ((w2 >> 17) ^ (w2 >> 19) ^ ((w2 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    d +%= ((a >> 6) ^ (a >> 11) ^ (a >> 25)) +% (c ^ (a & (b ^ c))) +% 0x2de92c6f +% w4;
    h := ((h +% d) & 0xffff_ffff) *% 0x1_0000_0001;
    d := ((d +% ((e >> 2) ^ (e >> 13) ^ (e >> 22)) +% ((e & f) | (g & (e | f)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w5 := ((w5 +% ((w6 >> 7) ^ (w6 >> 18) ^ ((w6 >> 3) & 0x1fff_ffff)) +% w14 +% ((w3 >> 17) ^ (w3 >> 19) ^ ((w3 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    c +%= ((h >> 6) ^ (h >> 11) ^ (h >> 25)) +% (b ^ (h & (a ^ b))) +% 0x4a7484aa +% w5;
    g := ((g +% c) & 0xffff_ffff) *% 0x1_0000_0001;
    c := ((c +% ((d >> 2) ^ (d >> 13) ^ (d >> 22)) +% ((d & e) | (f & (d | e)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w6 := ((w6 +% ((w7 >> 7) ^ (w7 >> 18) ^ ((w7 >> 3) & 0x1fff_ffff)) +% w15 +% ((w4 >> 17) ^ (w4 >> 19) ^ ((w4 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    b +%= ((g >> 6) ^ (g >> 11) ^ (g >> 25)) +% (a ^ (g & (h ^ a))) +% 0x5cb0a9dc +% w6;
    f := ((f +% b) & 0xffff_ffff) *% 0x1_0000_0001;
    b := ((b +% ((c >> 2) ^ (c >> 13) ^ (c >> 22)) +% ((c & d) | (e & (c | d)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w7 := ((w7 +% ((w8 >> 7) ^ (w8 >> 18) ^ ((w8 >> 3) & 0x1fff_ffff)) +% w0 +% ((w5 >> 17) ^ (w5 >> 19) ^ ((w5 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    a +%= ((f >> 6) ^ (f >> 11) ^ (f >> 25)) +% (h ^ (f & (g ^ h))) +% 0x76f988da +% w7;
    e := ((e +% a) & 0xffff_ffff) *% 0x1_0000_0001;
    a := ((a +% ((b >> 2) ^ (b >> 13) ^ (b >> 22)) +% ((b & c) | (d & (b | c)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w8 := ((w8 +% ((w9 >> 7) ^ (w9 >> 18) ^ ((w9 >> 3) & 0x1fff_ffff)) +% w1 +% ((w6 >> 17) ^ (w6 >> 19) ^ ((w6 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    h +%= ((e >> 6) ^ (e >> 11) ^ (e >> 25)) +% (g ^ (e & (f ^ g))) +% 0x983e5152 +% w8;
    d := ((d +% h) & 0xffff_ffff) *% 0x1_0000_0001;
    h := ((h +% ((a >> 2) ^ (a >> 13) ^ (a >> 22)) +% ((a & b) | (c & (a | b)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w9 := ((w9 +% ((w10 >> 7) ^ (w10 >> 18) ^ ((w10 >> 3) & 0x1fff_ffff)) +% w2 +% ((w7 >> 17) ^ (w7 >> 19) ^ ((w7 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    g +%= ((d >> 6) ^ (d >> 11) ^ (d >> 25)) +% (f ^ (d & (e ^ f))) +% 0xa831c66d +% w9;
    c := ((c +% g) & 0xffff_ffff) *% 0x1_0000_0001;
    g := ((g +% ((h >> 2) ^ (h >> 13) ^ (h >> 22)) +% ((h & a) | (b & (h | a)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w10 := ((w10 +% ((w11 >> 7) ^ (w11 >> 18) ^ ((w11 >> 3) & 0x1fff_ffff)) +% w3 +% ((w8 >> 17) ^ (w8 >> 19) ^ ((w8 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    f +%= ((c >> 6) ^ (c >> 11) ^ (c >> 25)) +% (e ^ (c & (d ^ e))) +% 0xb00327c8 +% w10;
    b := ((b +% f) & 0xffff_ffff) *% 0x1_0000_0001;
    f := ((f +% ((g >> 2) ^ (g >> 13) ^ (g >> 22)) +% ((g & h) | (a & (g | h)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w11 := ((w11 +% ((w12 >> 7) ^ (w12 >> 18) ^ ((w12 >> 3) & 0x1fff_ffff)) +% w4 +% ((w9 >> 17) ^ (w9 >> 19) ^ ((w9 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    e +%= ((b >> 6) ^ (b >> 11) ^ (b >> 25)) +% (d ^ (b & (c ^ d))) +% 0xbf597fc7 +% w11;
    a := ((a +% e) & 0xffff_ffff) *% 0x1_0000_0001;
    e := ((e +% ((f >> 2) ^ (f >> 13) ^ (f >> 22)) +% ((f & g) | (h & (f | g)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w12 := ((w12 +% ((w13 >> 7) ^ (w13 >> 18) ^ ((w13 >> 3) & 0x1fff_ffff)) +% w5 +% ((w10 >> 17) ^ (w10 >> 19) ^ ((w10 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    d +%= ((a >> 6) ^ (a >> 11) ^ (a >> 25)) +% (c ^ (a & (b ^ c))) +% 0xc6e00bf3 +% w12;
    h := ((h +% d) & 0xffff_ffff) *% 0x1_0000_0001;
    d := ((d +% ((e >> 2) ^ (e >> 13) ^ (e >> 22)) +% ((e & f) | (g & (e | f)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w13 := ((w13 +% ((w14 >> 7) ^ (w14 >> 18) ^ ((w14 >> 3) & 0x1fff_ffff)) +% w6 +% ((w11 >> 17) ^ (w11 >> 19) ^ ((w11 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    c +%= ((h >> 6) ^ (h >> 11) ^ (h >> 25)) +% (b ^ (h & (a ^ b))) +% 0xd5a79147 +% w13;
    g := ((g +% c) & 0xffff_ffff) *% 0x1_0000_0001;
    c := ((c +% ((d >> 2) ^ (d >> 13) ^ (d >> 22)) +% ((d & e) | (f & (d | e)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w14 := ((w14 +% ((w15 >> 7) ^ (w15 >> 18) ^ ((w15 >> 3) & 0x1fff_ffff)) +% w7 +% ((w12 >> 17) ^ (w12 >> 19) ^ ((w12 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    b +%= ((g >> 6) ^ (g >> 11) ^ (g >> 25)) +% (a ^ (g & (h ^ a))) +% 0x06ca6351 +% w14;
    f := ((f +% b) & 0xffff_ffff) *% 0x1_0000_0001;
    b := ((b +% ((c >> 2) ^ (c >> 13) ^ (c >> 22)) +% ((c & d) | (e & (c | d)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w15 := ((w15 +% ((w0 >> 7) ^ (w0 >> 18) ^ ((w0 >> 3) & 0x1fff_ffff)) +% w8 +% ((w13 >> 17) ^ (w13 >> 19) ^ ((w13 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    a +%= ((f >> 6) ^ (f >> 11) ^ (f >> 25)) +% (h ^ (f & (g ^ h))) +% 0x14292967 +% w15;
    e := ((e +% a) & 0xffff_ffff) *% 0x1_0000_0001;
    a := ((a +% ((b >> 2) ^ (b >> 13) ^ (b >> 22)) +% ((b & c) | (d & (b | c)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w0 := ((w0 +% ((w1 >> 7) ^ (w1 >> 18) ^ ((w1 >> 3) & 0x1fff_ffff)) +% w9 +% ((w14 >> 17) ^ (w14 >> 19) ^ ((w14 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    h +%= ((e >> 6) ^ (e >> 11) ^ (e >> 25)) +% (g ^ (e & (f ^ g))) +% 0x27b70a85 +% w0;
    d := ((d +% h) & 0xffff_ffff) *% 0x1_0000_0001;
    h := ((h +% ((a >> 2) ^ (a >> 13) ^ (a >> 22)) +% ((a & b) | (c & (a | b)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w1 := ((w1 +% ((w2 >> 7) ^ (w2 >> 18) ^ ((w2 >> 3) & 0x1fff_ffff)) +% w10 +% ((w15 >> 17) ^ (w15 >> 19) ^ ((w15 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    g +%= ((d >> 6) ^ (d >> 11) ^ (d >> 25)) +% (f ^ (d & (e ^ f))) +% 0x2e1b2138 +% w1;
    c := ((c +% g) & 0xffff_ffff) *% 0x1_0000_0001;
    g := ((g +% ((h >> 2) ^ (h >> 13) ^ (h >> 22)) +% ((h & a) | (b & (h | a)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w2 := ((w2 +% ((w3 >> 7) ^ (w3 >> 18) ^ ((w3 >> 3) & 0x1fff_ffff)) +% w11 +% ((w0 >> 17) ^ (w0 >> 19) ^ ((w0 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    f +%= ((c >> 6) ^ (c >> 11) ^ (c >> 25)) +% (e ^ (c & (d ^ e))) +% 0x4d2c6dfc +% w2;
    b := ((b +% f) & 0xffff_ffff) *% 0x1_0000_0001;
    f := ((f +% ((g >> 2) ^ (g >> 13) ^ (g >> 22)) +% ((g & h) | (a & (g | h)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w3 := ((w3 +% ((w4 >> 7) ^ (w4 >> 18) ^ ((w4 >> 3) & 0x1fff_ffff)) +% w12 +% ((w1 >> 17) ^ (w1 >> 19) ^ ((w1 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    e +%= ((b >> 6) ^ (b >> 11) ^ (b >> 25)) +% (d ^ (b & (c ^ d))) +% 0x53380d13 +% w3;
    a := ((a +% e) & 0xffff_ffff) *% 0x1_0000_0001;
    e := ((e +% ((f >> 2) ^ (f >> 13) ^ (f >> 22)) +% ((f & g) | (h & (f | g)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w4 := ((w4 +% ((w5 >> 7) ^ (w5 >> 18) ^ ((w5 >> 3) & 0x1fff_ffff)) +% w13 +% ((w2 >> 17) ^ (w2 >> 19) ^ ((w2 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    d +%= ((a >> 6) ^ (a >> 11) ^ (a >> 25)) +% (c ^ (a & (b ^ c))) +% 0x650a7354 +% w4;
    h := ((h +% d) & 0xffff_ffff) *% 0x1_0000_0001;
    d := ((d +% ((e >> 2) ^ (e >> 13) ^ (e >> 22)) +% ((e & f) | (g & (e | f)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w5 := ((w5 +% ((w6 >> 7) ^ (w6 >> 18) ^ ((w6 >> 3) & 0x1fff_ffff)) +% w14 +% ((w3 >> 17) ^ (w3 >> 19) ^ ((w3 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    c +%= ((h >> 6) ^ (h >> 11) ^ (h >> 25)) +% (b ^ (h & (a ^ b))) +% 0x766a0abb +% w5;
    g := ((g +% c) & 0xffff_ffff) *% 0x1_0000_0001;
    c := ((c +% ((d >> 2) ^ (d >> 13) ^ (d >> 22)) +% ((d & e) | (f & (d | e)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w6 := ((w6 +% ((w7 >> 7) ^ (w7 >> 18) ^ ((w7 >> 3) & 0x1fff_ffff)) +% w15 +% ((w4 >> 17) ^ (w4 >> 19) ^ ((w4 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    b +%= ((g >> 6) ^ (g >> 11) ^ (g >> 25)) +% (a ^ (g & (h ^ a))) +% 0x81c2c92e +% w6;
    f := ((f +% b) & 0xffff_ffff) *% 0x1_0000_0001;
    b := ((b +% ((c >> 2) ^ (c >> 13) ^ (c >> 22)) +% ((c & d) | (e & (c | d)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w7 := ((w7 +% ((w8 >> 7) ^ (w8 >> 18) ^ ((w8 >> 3) & 0x1fff_ffff)) +% w0 +% ((w5 >> 17) ^ (w5 >> 19) ^ ((w5 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    a +%= ((f >> 6) ^ (f >> 11) ^ (f >> 25)) +% (h ^ (f & (g ^ h))) +% 0x92722c85 +% w7;
    e := ((e +% a) & 0xffff_ffff) *% 0x1_0000_0001;
    a := ((a +% ((b >> 2) ^ (b >> 13) ^ (b >> 22)) +% ((b & c) | (d & (b | c)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w8 := ((w8 +% ((w9 >> 7) ^ (w9 >> 18) ^ ((w9 >> 3) & 0x1fff_ffff)) +% w1 +% ((w6 >> 17) ^ (w6 >> 19) ^ ((w6 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    h +%= ((e >> 6) ^ (e >> 11) ^ (e >> 25)) +% (g ^ (e & (f ^ g))) +% 0xa2bfe8a1 +% w8;
    d := ((d +% h) & 0xffff_ffff) *% 0x1_0000_0001;
    h := ((h +% ((a >> 2) ^ (a >> 13) ^ (a >> 22)) +% ((a & b) | (c & (a | b)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w9 := ((w9 +% ((w10 >> 7) ^ (w10 >> 18) ^ ((w10 >> 3) & 0x1fff_ffff)) +% w2 +% ((w7 >> 17) ^ (w7 >> 19) ^ ((w7 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    g +%= ((d >> 6) ^ (d >> 11) ^ (d >> 25)) +% (f ^ (d & (e ^ f))) +% 0xa81a664b +% w9;
    c := ((c +% g) & 0xffff_ffff) *% 0x1_0000_0001;
    g := ((g +% ((h >> 2) ^ (h >> 13) ^ (h >> 22)) +% ((h & a) | (b & (h | a)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w10 := ((w10 +% ((w11 >> 7) ^ (w11 >> 18) ^ ((w11 >> 3) & 0x1fff_ffff)) +% w3 +% ((w8 >> 17) ^ (w8 >> 19) ^ ((w8 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    f +%= ((c >> 6) ^ (c >> 11) ^ (c >> 25)) +% (e ^ (c & (d ^ e))) +% 0xc24b8b70 +% w10;
    b := ((b +% f) & 0xffff_ffff) *% 0x1_0000_0001;
    f := ((f +% ((g >> 2) ^ (g >> 13) ^ (g >> 22)) +% ((g & h) | (a & (g | h)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w11 := ((w11 +% ((w12 >> 7) ^ (w12 >> 18) ^ ((w12 >> 3) & 0x1fff_ffff)) +% w4 +% ((w9 >> 17) ^ (w9 >> 19) ^ ((w9 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    e +%= ((b >> 6) ^ (b >> 11) ^ (b >> 25)) +% (d ^ (b & (c ^ d))) +% 0xc76c51a3 +% w11;
    a := ((a +% e) & 0xffff_ffff) *% 0x1_0000_0001;
    e := ((e +% ((f >> 2) ^ (f >> 13) ^ (f >> 22)) +% ((f & g) | (h & (f | g)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w12 := ((w12 +% ((w13 >> 7) ^ (w13 >> 18) ^ ((w13 >> 3) & 0x1fff_ffff)) +% w5 +% ((w10 >> 17) ^ (w10 >> 19) ^ ((w10 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    d +%= ((a >> 6) ^ (a >> 11) ^ (a >> 25)) +% (c ^ (a & (b ^ c))) +% 0xd192e819 +% w12;
    h := ((h +% d) & 0xffff_ffff) *% 0x1_0000_0001;
    d := ((d +% ((e >> 2) ^ (e >> 13) ^ (e >> 22)) +% ((e & f) | (g & (e | f)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w13 := ((w13 +% ((w14 >> 7) ^ (w14 >> 18) ^ ((w14 >> 3) & 0x1fff_ffff)) +% w6 +% ((w11 >> 17) ^ (w11 >> 19) ^ ((w11 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    c +%= ((h >> 6) ^ (h >> 11) ^ (h >> 25)) +% (b ^ (h & (a ^ b))) +% 0xd6990624 +% w13;
    g := ((g +% c) & 0xffff_ffff) *% 0x1_0000_0001;
    c := ((c +% ((d >> 2) ^ (d >> 13) ^ (d >> 22)) +% ((d & e) | (f & (d | e)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w14 := ((w14 +% ((w15 >> 7) ^ (w15 >> 18) ^ ((w15 >> 3) & 0x1fff_ffff)) +% w7 +% ((w12 >> 17) ^ (w12 >> 19) ^ ((w12 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    b +%= ((g >> 6) ^ (g >> 11) ^ (g >> 25)) +% (a ^ (g & (h ^ a))) +% 0xf40e3585 +% w14;
    f := ((f +% b) & 0xffff_ffff) *% 0x1_0000_0001;
    b := ((b +% ((c >> 2) ^ (c >> 13) ^ (c >> 22)) +% ((c & d) | (e & (c | d)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w15 := ((w15 +% ((w0 >> 7) ^ (w0 >> 18) ^ ((w0 >> 3) & 0x1fff_ffff)) +% w8 +% ((w13 >> 17) ^ (w13 >> 19) ^ ((w13 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    a +%= ((f >> 6) ^ (f >> 11) ^ (f >> 25)) +% (h ^ (f & (g ^ h))) +% 0x106aa070 +% w15;
    e := ((e +% a) & 0xffff_ffff) *% 0x1_0000_0001;
    a := ((a +% ((b >> 2) ^ (b >> 13) ^ (b >> 22)) +% ((b & c) | (d & (b | c)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w0 := ((w0 +% ((w1 >> 7) ^ (w1 >> 18) ^ ((w1 >> 3) & 0x1fff_ffff)) +% w9 +% ((w14 >> 17) ^ (w14 >> 19) ^ ((w14 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    h +%= ((e >> 6) ^ (e >> 11) ^ (e >> 25)) +% (g ^ (e & (f ^ g))) +% 0x19a4c116 +% w0;
    d := ((d +% h) & 0xffff_ffff) *% 0x1_0000_0001;
    h := ((h +% ((a >> 2) ^ (a >> 13) ^ (a >> 22)) +% ((a & b) | (c & (a | b)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w1 := ((w1 +% ((w2 >> 7) ^ (w2 >> 18) ^ ((w2 >> 3) & 0x1fff_ffff)) +% w10 +% ((w15 >> 17) ^ (w15 >> 19) ^ ((w15 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    g +%= ((d >> 6) ^ (d >> 11) ^ (d >> 25)) +% (f ^ (d & (e ^ f))) +% 0x1e376c08 +% w1;
    c := ((c +% g) & 0xffff_ffff) *% 0x1_0000_0001;
    g := ((g +% ((h >> 2) ^ (h >> 13) ^ (h >> 22)) +% ((h & a) | (b & (h | a)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w2 := ((w2 +% ((w3 >> 7) ^ (w3 >> 18) ^ ((w3 >> 3) & 0x1fff_ffff)) +% w11 +% ((w0 >> 17) ^ (w0 >> 19) ^ ((w0 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    f +%= ((c >> 6) ^ (c >> 11) ^ (c >> 25)) +% (e ^ (c & (d ^ e))) +% 0x2748774c +% w2;
    b := ((b +% f) & 0xffff_ffff) *% 0x1_0000_0001;
    f := ((f +% ((g >> 2) ^ (g >> 13) ^ (g >> 22)) +% ((g & h) | (a & (g | h)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w3 := ((w3 +% ((w4 >> 7) ^ (w4 >> 18) ^ ((w4 >> 3) & 0x1fff_ffff)) +% w12 +% ((w1 >> 17) ^ (w1 >> 19) ^ ((w1 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    e +%= ((b >> 6) ^ (b >> 11) ^ (b >> 25)) +% (d ^ (b & (c ^ d))) +% 0x34b0bcb5 +% w3;
    a := ((a +% e) & 0xffff_ffff) *% 0x1_0000_0001;
    e := ((e +% ((f >> 2) ^ (f >> 13) ^ (f >> 22)) +% ((f & g) | (h & (f | g)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w4 := ((w4 +% ((w5 >> 7) ^ (w5 >> 18) ^ ((w5 >> 3) & 0x1fff_ffff)) +% w13 +% ((w2 >> 17) ^ (w2 >> 19) ^ ((w2 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    d +%= ((a >> 6) ^ (a >> 11) ^ (a >> 25)) +% (c ^ (a & (b ^ c))) +% 0x391c0cb3 +% w4;
    h := ((h +% d) & 0xffff_ffff) *% 0x1_0000_0001;
    d := ((d +% ((e >> 2) ^ (e >> 13) ^ (e >> 22)) +% ((e & f) | (g & (e | f)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w5 := ((w5 +% ((w6 >> 7) ^ (w6 >> 18) ^ ((w6 >> 3) & 0x1fff_ffff)) +% w14 +% ((w3 >> 17) ^ (w3 >> 19) ^ ((w3 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    c +%= ((h >> 6) ^ (h >> 11) ^ (h >> 25)) +% (b ^ (h & (a ^ b))) +% 0x4ed8aa4a +% w5;
    g := ((g +% c) & 0xffff_ffff) *% 0x1_0000_0001;
    c := ((c +% ((d >> 2) ^ (d >> 13) ^ (d >> 22)) +% ((d & e) | (f & (d | e)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w6 := ((w6 +% ((w7 >> 7) ^ (w7 >> 18) ^ ((w7 >> 3) & 0x1fff_ffff)) +% w15 +% ((w4 >> 17) ^ (w4 >> 19) ^ ((w4 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    b +%= ((g >> 6) ^ (g >> 11) ^ (g >> 25)) +% (a ^ (g & (h ^ a))) +% 0x5b9cca4f +% w6;
    f := ((f +% b) & 0xffff_ffff) *% 0x1_0000_0001;
    b := ((b +% ((c >> 2) ^ (c >> 13) ^ (c >> 22)) +% ((c & d) | (e & (c | d)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w7 := ((w7 +% ((w8 >> 7) ^ (w8 >> 18) ^ ((w8 >> 3) & 0x1fff_ffff)) +% w0 +% ((w5 >> 17) ^ (w5 >> 19) ^ ((w5 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    a +%= ((f >> 6) ^ (f >> 11) ^ (f >> 25)) +% (h ^ (f & (g ^ h))) +% 0x682e6ff3 +% w7;
    e := ((e +% a) & 0xffff_ffff) *% 0x1_0000_0001;
    a := ((a +% ((b >> 2) ^ (b >> 13) ^ (b >> 22)) +% ((b & c) | (d & (b | c)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w8 := ((w8 +% ((w9 >> 7) ^ (w9 >> 18) ^ ((w9 >> 3) & 0x1fff_ffff)) +% w1 +% ((w6 >> 17) ^ (w6 >> 19) ^ ((w6 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    h +%= ((e >> 6) ^ (e >> 11) ^ (e >> 25)) +% (g ^ (e & (f ^ g))) +% 0x748f82ee +% w8;
    d := ((d +% h) & 0xffff_ffff) *% 0x1_0000_0001;
    h := ((h +% ((a >> 2) ^ (a >> 13) ^ (a >> 22)) +% ((a & b) | (c & (a | b)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w9 := ((w9 +% ((w10 >> 7) ^ (w10 >> 18) ^ ((w10 >> 3) & 0x1fff_ffff)) +% w2 +% ((w7 >> 17) ^ (w7 >> 19) ^ ((w7 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    g +%= ((d >> 6) ^ (d >> 11) ^ (d >> 25)) +% (f ^ (d & (e ^ f))) +% 0x78a5636f +% w9;
    c := ((c +% g) & 0xffff_ffff) *% 0x1_0000_0001;
    g := ((g +% ((h >> 2) ^ (h >> 13) ^ (h >> 22)) +% ((h & a) | (b & (h | a)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w10 := ((w10 +% ((w11 >> 7) ^ (w11 >> 18) ^ ((w11 >> 3) & 0x1fff_ffff)) +% w3 +% ((w8 >> 17) ^ (w8 >> 19) ^ ((w8 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    f +%= ((c >> 6) ^ (c >> 11) ^ (c >> 25)) +% (e ^ (c & (d ^ e))) +% 0x84c87814 +% w10;
    b := ((b +% f) & 0xffff_ffff) *% 0x1_0000_0001;
    f := ((f +% ((g >> 2) ^ (g >> 13) ^ (g >> 22)) +% ((g & h) | (a & (g | h)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w11 := ((w11 +% ((w12 >> 7) ^ (w12 >> 18) ^ ((w12 >> 3) & 0x1fff_ffff)) +% w4 +% ((w9 >> 17) ^ (w9 >> 19) ^ ((w9 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    e +%= ((b >> 6) ^ (b >> 11) ^ (b >> 25)) +% (d ^ (b & (c ^ d))) +% 0x8cc70208 +% w11;
    a := ((a +% e) & 0xffff_ffff) *% 0x1_0000_0001;
    e := ((e +% ((f >> 2) ^ (f >> 13) ^ (f >> 22)) +% ((f & g) | (h & (f | g)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w12 := ((w12 +% ((w13 >> 7) ^ (w13 >> 18) ^ ((w13 >> 3) & 0x1fff_ffff)) +% w5 +% ((w10 >> 17) ^ (w10 >> 19) ^ ((w10 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    d +%= ((a >> 6) ^ (a >> 11) ^ (a >> 25)) +% (c ^ (a & (b ^ c))) +% 0x90befffa +% w12;
    h := ((h +% d) & 0xffff_ffff) *% 0x1_0000_0001;
    d := ((d +% ((e >> 2) ^ (e >> 13) ^ (e >> 22)) +% ((e & f) | (g & (e | f)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w13 := ((w13 +% ((w14 >> 7) ^ (w14 >> 18) ^ ((w14 >> 3) & 0x1fff_ffff)) +% w6 +% ((w11 >> 17) ^ (w11 >> 19) ^ ((w11 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    c +%= ((h >> 6) ^ (h >> 11) ^ (h >> 25)) +% (b ^ (h & (a ^ b))) +% 0xa4506ceb +% w13;
    g := ((g +% c) & 0xffff_ffff) *% 0x1_0000_0001;
    c := ((c +% ((d >> 2) ^ (d >> 13) ^ (d >> 22)) +% ((d & e) | (f & (d | e)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w14 := ((w14 +% ((w15 >> 7) ^ (w15 >> 18) ^ ((w15 >> 3) & 0x1fff_ffff)) +% w7 +% ((w12 >> 17) ^ (w12 >> 19) ^ ((w12 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    b +%= ((g >> 6) ^ (g >> 11) ^ (g >> 25)) +% (a ^ (g & (h ^ a))) +% 0xbef9a3f7 +% w14;
    f := ((f +% b) & 0xffff_ffff) *% 0x1_0000_0001;
    b := ((b +% ((c >> 2) ^ (c >> 13) ^ (c >> 22)) +% ((c & d) | (e & (c | d)))) & 0xffff_ffff) *% 0x1_0000_0001;
    w15 := ((w15 +% ((w0 >> 7) ^ (w0 >> 18) ^ ((w0 >> 3) & 0x1fff_ffff)) +% w8 +% ((w13 >> 17) ^ (w13 >> 19) ^ ((w13 >> 10) & 0x3f_ffff))) & 0xffff_ffff) *% 0x1_0000_0001;
    a +%= ((f >> 6) ^ (f >> 11) ^ (f >> 25)) +% (h ^ (f & (g ^ h))) +% 0xc67178f2 +% w15;
    e := ((e +% a) & 0xffff_ffff) *% 0x1_0000_0001;
    a := ((a +% ((b >> 2) ^ (b >> 13) ^ (b >> 22)) +% ((b & c) | (d & (b | c)))) & 0xffff_ffff) *% 0x1_0000_0001;
    state[0] +%= Nat64.toNat32(a & 0xffff_ffff);
    state[1] +%= Nat64.toNat32(b & 0xffff_ffff);
    state[2] +%= Nat64.toNat32(c & 0xffff_ffff);
    state[3] +%= Nat64.toNat32(d & 0xffff_ffff);
    state[4] +%= Nat64.toNat32(e & 0xffff_ffff);
    state[5] +%= Nat64.toNat32(f & 0xffff_ffff);
    state[6] +%= Nat64.toNat32(g & 0xffff_ffff);
    state[7] +%= Nat64.toNat32(h & 0xffff_ffff);
  };
};
