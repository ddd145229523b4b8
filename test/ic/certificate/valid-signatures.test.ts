import t from "tap";
import { isValid } from "../../../lib/ic/certificate/valid-signatures.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

t.test("a valid signature is checked once, and an invalid one each time", async (t) => {
  let checks = 0;
  const saying = (answer: boolean) => () => {
    checks += 1;
    return answer;
  };
  for (const wanted of [1, 2]) {
    t.equal(await isValid(saying(false), bytes(1), bytes(2), bytes(3)), false);
    t.equal(checks, wanted);
  }
  t.equal(await isValid(saying(true), bytes(1), bytes(2), bytes(3)), true);
  t.equal(await isValid(saying(false), bytes(1), bytes(2), bytes(3)), true, "the answer is remembered");
  t.equal(checks, 3);
});

t.test("the same bytes, divided differently, are another signature", async (t) => {
  t.equal(await isValid(() => true, bytes(5, 6), bytes(7), bytes(8)), true);
  t.equal(await isValid(() => false, bytes(5), bytes(6, 7), bytes(8)), false);
});

t.test("an error of the check is passed on, and not remembered", async (t) => {
  const fails = () => {
    throw new Error("not a point");
  };
  await t.rejects(isValid(fails, bytes(9), bytes(), bytes()), /not a point/);
  t.equal(await isValid(() => true, bytes(9), bytes(), bytes()), true);
});
