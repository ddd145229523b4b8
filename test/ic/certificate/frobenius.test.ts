/** The tables of BLS12-381's fields equal the library's own, number for number, and the library uses them. */
import { bls12_381 } from "@noble/curves/bls12-381.js";
import { bn254 } from "@noble/curves/bn254.js";
import t from "tap";

const { Fp6, Fp12 } = bls12_381.fields;
/** The tables of the library's class. Its types do not declare them. */
const tables = () => [
  Reflect.get(Fp12, "FROBENIUS_COEFFICIENTS"),
  Reflect.get(Fp6, "FROBENIUS_COEFFICIENTS_1"),
  Reflect.get(Fp6, "FROBENIUS_COEFFICIENTS_2"),
];

t.test("three tables are replaced by equal ones, and another curve's are left alone", async (t) => {
  const own = tables();
  t.same(
    own.map(({ length }) => length),
    [12, 6, 6],
  );
  await import("../../../lib/ic/certificate/frobenius.ts");
  const made = tables();
  t.same(made, own);
  for (const [i, table] of made.entries()) t.not(table, own[i]);
  const others = Reflect.get(bn254.fields.Fp12, "FROBENIUS_COEFFICIENTS");
  t.equal(others.length, 12);
  t.notSame(others, made[0]);
});
