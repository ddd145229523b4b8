/**
 * Tables of BLS12-381's tower of fields, made in 2 ms. The library makes them for the first signature of a process, by powers with
 * exponents of up to 4,200 bits: that takes twice as long as the signature itself.
 *
 * The getters that these replace are in @noble/curves, abstract/tower.js; test/ic/certificate/frobenius.test.ts compares their tables.
 */
import { bls12_381 } from "@noble/curves/bls12-381.js";

const { Fp2, Fp6, Fp12 } = bls12_381.fields;
type Fp2Element = typeof Fp2.ONE;

/** Sets a field's property, which the library would compute when it is first asked for. */
function precompute(field: object, name: string, table: readonly Fp2Element[]): void {
  const fields = Object.getPrototypeOf(field);
  const { get } = Object.getOwnPropertyDescriptor(fields, name)!;
  // Other curves' fields are of the same class.
  Object.defineProperty(fields, name, {
    get() {
      return this === field ? table : get!.call(this);
    },
  });
}

/** The first `count` powers ξ^((p^j - 1) / 6), where ξ is what the tower is built on. */
function sixthRoots(count: number): Fp2Element[] {
  const first = Fp2.pow(Fp2.NONRESIDUE, (Fp2.Fp.ORDER - 1n) / 6n);
  const roots = [Fp2.ONE];
  // (p^(j+1) - 1) / 6 = p (p^j - 1) / 6 + (p - 1) / 6, and the Frobenius map raises to the power p.
  while (roots.length < count) roots.push(Fp2.mul(Fp2.frobeniusMap(roots.at(-1)!, 1), first));
  return roots;
}

const roots = sixthRoots(12);
const squares = roots.slice(0, 6).map((root) => Fp2.sqr(root));
precompute(Fp12, "FROBENIUS_COEFFICIENTS", roots);
precompute(Fp6, "FROBENIUS_COEFFICIENTS_1", squares);
precompute(
  Fp6,
  "FROBENIUS_COEFFICIENTS_2",
  squares.map((square) => Fp2.sqr(square)),
);
