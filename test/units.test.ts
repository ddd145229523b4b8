import t from "tap";
import { megabytes } from "../lib/units.ts";

t.test("sizes for people", async (t) => {
  t.equal(megabytes(0), "0.0 kB");
  t.equal(megabytes(1), "0.0 kB");
  t.equal(megabytes(1_234), "1.2 kB");
  t.equal(megabytes(999_949), "999.9 kB");
  t.equal(megabytes(1_000_000), "1.0 MB");
  t.equal(megabytes(36_550_000_000), "36550.0 MB");
});
