/**
 * The first check of a signature makes no table of the generator's multiples (a few thousand additions), and all else
 * is as in the library.
 */
import { Session } from "node:inspector";
import { blsVerify } from "@icp-sdk/core/agent";
import { bls12_381 } from "@noble/curves/bls12-381.js";
import t from "tap";
import { verifySignature } from "../../../lib/ic/certificate/bls.ts";

// The key of a secret of 32 bytes 7. It is written out because making it needs the table.
const PUBLIC_KEY =
  "b14466b22870b52ee1ddc2b1d8d8cdd76be2e914b79fa9fb884163d9d554535a2e32b0be3b91b10a12a3a979b09df06b058da18e5756bba8843dca0669c5ff885e7023d34f8596370ad795c0008c91039241e4a0bf0632d39e1660fda4af4424";
const SIGNATURE =
  "ade9b525878a08d744742eb0696560fffdd313cb649979fb8b0f3a66a02dd4742081e6be25cde8beeb290e22b77f2be3";
const MESSAGE = Buffer.alloc(32, 7);

/** How often points are added and doubled in `work`. V8 counts the calls, because the library's objects are frozen. */
function additionsIn(work: () => void): number {
  const session = new Session();
  session.connect();
  try {
    session.post("Profiler.enable");
    session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
    work();
    let additions = 0;
    session.post("Profiler.takePreciseCoverage", (_, { result }) => {
      const { functions = [] } = result.find(({ url }) => url.endsWith("/abstract/weierstrass.js")) ?? {};
      for (const { functionName, ranges } of functions)
        if (["add", "double"].includes(functionName)) additions += ranges[0]!.count;
    });
    return additions;
  } finally {
    session.disconnect();
  }
}

t.test("the first signature is checked with hardly more additions than the second", async (t) => {
  const check = () =>
    additionsIn(() =>
      t.ok(verifySignature(Buffer.from(PUBLIC_KEY, "hex"), Buffer.from(SIGNATURE, "hex"), MESSAGE)),
    );
  const [first, second] = [check(), check()];
  t.ok(second > 0, "additions are counted");
  // Some calls are not counted once the code is optimized; a table takes 4000.
  t.ok(first < second + 2000, `${first} and ${second} additions`);
});

function outcome(check: () => boolean): boolean | string {
  try {
    return check();
  } catch (error) {
    return (error as Error).message;
  }
}

t.test("wrong signatures, wrong keys and keys outside the group are refused as by core", (t) => {
  const bytes = (hex: string) => Buffer.from(hex, "hex");
  const check = (publicKey: string, signature: string, message = MESSAGE) => {
    const ofCore = outcome(() => blsVerify(bytes(publicKey), bytes(signature), message));
    const ours = outcome(() => verifySignature(bytes(publicKey), bytes(signature), message));
    t.same(ours, ofCore, "as core's");
    return ours;
  };
  t.equal(check(PUBLIC_KEY, SIGNATURE), true);
  t.equal(
    check(PUBLIC_KEY, SIGNATURE, Buffer.alloc(32, 8)),
    false,
    "a signature of another message is refused",
  );
  const { G1, G2 } = bls12_381;
  const generator = G2.Point.BASE.toHex(true);
  t.equal(check(generator, SIGNATURE), false, "a signature by another key is refused");
  t.equal(check(PUBLIC_KEY, G1.Point.BASE.toHex(true)), false, "another signature is refused");
  // With the secret key 1, the message's own point is its signature: the check must multiply and pair the generator itself correctly.
  const own = bls12_381.shortSignatures.hash(MESSAGE).toHex(true);
  t.equal(check(generator, own), true);
  t.ok(G2.Point.BASE.isTorsionFree());
  // On the curve, but not in the group of prime order.
  const outside = `${"80".padEnd(96, "0")}${"2".padStart(96, "0")}`;
  t.match(check(outside, SIGNATURE), /prime-order subgroup/, "a key outside the group is refused");
  t.end();
});
