/// SHA-256 (FIPS 180-4): `mo:core` has none, and the IC offers no system call for it.
///
/// This is what a `put` costs, so the inner loop is written for the compiler: the eight working variables are local
/// (kept unboxed), eight rounds are written out so that no round has to rotate them, and the block is read straight
/// from the blob.
import Array "mo:core/Array";
import Blob "mo:core/Blob";
import Nat32 "mo:core/Nat32";
import Nat64 "mo:core/Nat64";
import Nat8 "mo:core/Nat8";
import VarArray "mo:core/VarArray";

module {
  /// Round constants (FIPS 180-4, 4.2.2).
  let K : [Nat32] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
  ];

  /// The 32-byte SHA-256 of `data`.
  public func ofBlob(data : Blob) : Blob {
    let state = VarArray.tabulate<Nat32>(8, func i = initial[i]);
    let schedule = VarArray.repeat<Nat32>(0, 64);
    let whole = data.size() / 64;
    var block = 0;
    while (block < whole) {
      compress(state, schedule, data, block * 64);
      block += 1;
    };
    let tail = padding(data, whole * 64);
    compress(state, schedule, tail, 0);
    if (tail.size() > 64) compress(state, schedule, tail, 64);
    Blob.fromArray(
      Array.tabulate<Nat8>(
        32,
        func i = Nat8.fromNat(Nat32.toNat((state[i / 4] >> Nat32.fromNat(24 - (i % 4) * 8)) & 0xff)),
      )
    );
  };

  /// The SHA-256 of several blobs one after the other; for short parts, they are copied.
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
    let bits = Nat64.fromNat(size * 8);
    Blob.fromArray(
      Array.tabulate<Nat8>(
        length,
        func i {
          if (i < left) data[start + i] else if (i == left) 0x80 else if (i + 8 < length) 0 else {
            let shift = Nat64.fromNat((length - 1 - i : Nat) * 8);
            Nat8.fromNat(Nat64.toNat((bits >> shift) & 0xff));
          };
        },
      )
    );
  };

  func word(data : Blob, at : Nat) : Nat32 {
    (Nat32.fromNat16(data[at].toNat16()) << 24)
    | (Nat32.fromNat16(data[at + 1].toNat16()) << 16)
    | (Nat32.fromNat16(data[at + 2].toNat16()) << 8)
    | Nat32.fromNat16(data[at + 3].toNat16());
  };

  func compress(state : [var Nat32], w : [var Nat32], data : Blob, start : Nat) {
    var i = 0;
    var at = start;
    while (i < 16) {
      w[i] := word(data, at);
      at += 4;
      i += 1;
    };
    while (i < 64) {
      let x = w[i - 15];
      let y = w[i - 2];
      w[i] := w[i - 16] +% ((x <>> 7) ^ (x <>> 18) ^ (x >> 3)) +% w[i - 7] +% ((y <>> 17) ^ (y <>> 19) ^ (y >> 10));
      i += 1;
    };
    var a = state[0];
    var b = state[1];
    var c = state[2];
    var d = state[3];
    var e = state[4];
    var f = state[5];
    var g = state[6];
    var h = state[7];
    i := 0;
    while (i < 64) {
      h +%= ((e <>> 6) ^ (e <>> 11) ^ (e <>> 25)) +% (g ^ (e & (f ^ g))) +% K[i] +% w[i];
      d +%= h;
      h +%= ((a <>> 2) ^ (a <>> 13) ^ (a <>> 22)) +% ((a & b) | (c & (a | b)));
      g +%= ((d <>> 6) ^ (d <>> 11) ^ (d <>> 25)) +% (f ^ (d & (e ^ f))) +% K[i + 1] +% w[i + 1];
      c +%= g;
      g +%= ((h <>> 2) ^ (h <>> 13) ^ (h <>> 22)) +% ((h & a) | (b & (h | a)));
      f +%= ((c <>> 6) ^ (c <>> 11) ^ (c <>> 25)) +% (e ^ (c & (d ^ e))) +% K[i + 2] +% w[i + 2];
      b +%= f;
      f +%= ((g <>> 2) ^ (g <>> 13) ^ (g <>> 22)) +% ((g & h) | (a & (g | h)));
      e +%= ((b <>> 6) ^ (b <>> 11) ^ (b <>> 25)) +% (d ^ (b & (c ^ d))) +% K[i + 3] +% w[i + 3];
      a +%= e;
      e +%= ((f <>> 2) ^ (f <>> 13) ^ (f <>> 22)) +% ((f & g) | (h & (f | g)));
      d +%= ((a <>> 6) ^ (a <>> 11) ^ (a <>> 25)) +% (c ^ (a & (b ^ c))) +% K[i + 4] +% w[i + 4];
      h +%= d;
      d +%= ((e <>> 2) ^ (e <>> 13) ^ (e <>> 22)) +% ((e & f) | (g & (e | f)));
      c +%= ((h <>> 6) ^ (h <>> 11) ^ (h <>> 25)) +% (b ^ (h & (a ^ b))) +% K[i + 5] +% w[i + 5];
      g +%= c;
      c +%= ((d <>> 2) ^ (d <>> 13) ^ (d <>> 22)) +% ((d & e) | (f & (d | e)));
      b +%= ((g <>> 6) ^ (g <>> 11) ^ (g <>> 25)) +% (a ^ (g & (h ^ a))) +% K[i + 6] +% w[i + 6];
      f +%= b;
      b +%= ((c <>> 2) ^ (c <>> 13) ^ (c <>> 22)) +% ((c & d) | (e & (c | d)));
      a +%= ((f <>> 6) ^ (f <>> 11) ^ (f <>> 25)) +% (h ^ (f & (g ^ h))) +% K[i + 7] +% w[i + 7];
      e +%= a;
      a +%= ((b <>> 2) ^ (b <>> 13) ^ (b <>> 22)) +% ((b & c) | (d & (b | c)));
      i += 8;
    };
    state[0] +%= a;
    state[1] +%= b;
    state[2] +%= c;
    state[3] +%= d;
    state[4] +%= e;
    state[5] +%= f;
    state[6] +%= g;
    state[7] +%= h;
  };
};
