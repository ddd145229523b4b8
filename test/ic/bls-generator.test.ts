/**
 * That checking a signature for the first time makes no table of the generator's multiples (some thousand additions), and
 * that nothing else has become of it.
 */
import { blsVerify } from "@icp-sdk/core/agent";
import { bls12_381 } from "@noble/curves/bls12-381.js";
import t from "tap";
import "../../lib/ic/agent.ts";

// Of 32 bytes 7. Made once: who makes one needs the table.
const PUBLIC_KEY =
  "b14466b22870b52ee1ddc2b1d8d8cdd76be2e914b79fa9fb884163d9d554535a2e32b0be3b91b10a12a3a979b09df06b058da18e5756bba8843dca0669c5ff885e7023d34f8596370ad795c0008c91039241e4a0bf0632d39e1660fda4af4424";
const SIGNATURE =
  "ade9b525878a08d744742eb0696560fffdd313cb649979fb8b0f3a66a02dd4742081e6be25cde8beeb290e22b77f2be3";
const MESSAGE = Buffer.alloc(32, 7);

t.test("the first signature is checked with hardly more additions than the second", async (t) => {
  const { Point } = bls12_381.G2;
  let additions = 0;
  const { add } = Point.prototype;
  Point.prototype.add = function (other: Parameters<typeof add>[0]) {
    additions += 1;
    return add.call(this, other);
  };
  t.teardown(() => {
    Point.prototype.add = add;
  });
  const check = () => {
    additions = 0;
    t.ok(blsVerify(Buffer.from(PUBLIC_KEY, "hex"), Buffer.from(SIGNATURE, "hex"), MESSAGE));
    return additions;
  };
  const [first, second] = [check(), check()];
  t.ok(second > 0, "they are counted");
  t.ok(first < second + 300, `${first} and ${second} additions`);
});

t.test("signatures and keys that are wrong, or in no group, are refused as before", (t) => {
  const bytes = (hex: string) => Buffer.from(hex, "hex");
  const check = (publicKey: string, signature: string, message = MESSAGE) =>
    blsVerify(bytes(publicKey), bytes(signature), message);
  t.equal(check(PUBLIC_KEY, SIGNATURE), true);
  t.equal(check(PUBLIC_KEY, SIGNATURE, Buffer.alloc(32, 8)), false, "of another message");
  const { G1, G2 } = bls12_381;
  const generator = G2.Point.BASE.toHex(true);
  t.equal(check(generator, SIGNATURE), false, "by another key");
  t.equal(check(PUBLIC_KEY, G1.Point.BASE.toHex(true)), false, "another signature");
  // With 1 as a secret key a message's own point is its signature: the generator itself is multiplied and paired rightly.
  const own = bls12_381.shortSignatures.hash(MESSAGE).toHex(true);
  t.equal(check(generator, own), true);
  t.ok(G2.Point.BASE.isTorsionFree());
  // On the curve, but not in the group of prime order.
  const outside = `${"80".padEnd(96, "0")}${"2".padStart(96, "0")}`;
  t.throws(() => check(outside, SIGNATURE), /prime-order subgroup/, "a key outside of the group");
  t.end();
});
