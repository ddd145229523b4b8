import t from "tap";
import { megabytes, parseBytes } from "../lib/units.ts";

t.test("sizes for people", async (t) => {
  t.equal(megabytes(0), "0.0 kB");
  t.equal(megabytes(1), "0.0 kB");
  t.equal(megabytes(1_234), "1.2 kB");
  t.equal(megabytes(999_949), "999.9 kB");
  t.equal(megabytes(1_000_000), "1.0 MB");
  t.equal(megabytes(36_550_000_000), "36550.0 MB");
});

t.test("sizes as people write them", async (t) => {
  const cases: [string, number | undefined][] = [
    ["0", 0],
    ["5000", 5000],
    ["1kB", 1000],
    ["1.5 MB", 1_500_000],
    ["20GiB", 20 * 2 ** 30],
    ["2tib", 2 ** 41],
    ["1.0001kB", 1000],
    ["8191TiB", 8191 * 2 ** 40],
    ["8192TiB", undefined],
    ["", undefined],
    ["GB", undefined],
    ["-1", undefined],
    ["1e3", undefined],
    ["1  GB", undefined],
    ["1XB", undefined],
    ["1G", undefined],
    [".5GB", undefined],
  ];
  for (const [text, bytes] of cases) t.equal(parseBytes(text), bytes, text);
});
