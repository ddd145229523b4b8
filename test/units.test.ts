import t from "tap";
import {
  ageText,
  cyclesText,
  limitText,
  parseBytes,
  parseCycles,
  parseDuration,
  parseMebibytes,
  sizeText,
} from "../lib/units.ts";

t.test("sizes for people", async (t) => {
  t.equal(sizeText(0), "0.0 kB");
  t.equal(sizeText(1), "0.0 kB");
  t.equal(sizeText(1_234), "1.2 kB");
  t.equal(sizeText(999_949), "999.9 kB");
  t.equal(sizeText(999_950), "1.0 MB");
  t.equal(sizeText(999_999), "1.0 MB");
  t.equal(sizeText(1_000_000), "1.0 MB");
  t.equal(sizeText(999_999_999), "1.0 GB");
  t.equal(sizeText(999_960_000_000), "1.0 TB");
  t.equal(sizeText(36_550_000_000), "36.5 GB");
  t.equal(sizeText(2_000_000_000_000), "2.0 TB");
  t.equal(sizeText(2_000_000_000_000_000), "2000.0 TB");
});

t.test("limits are shown as they were set", async (t) => {
  t.equal(limitText(107_374_182_400), "100 GiB");
  t.equal(limitText(1.5 * 2 ** 30), "1.5 GiB");
  t.equal(limitText(2 ** 40), "1 TiB");
  t.equal(limitText(256 * 2 ** 20), "256 MiB");
  t.equal(limitText(1_500_000), "1.5 MB");
  t.equal(limitText(20_000_000_000), "20 GB");
  t.equal(limitText(1000), "1 kB");
  t.equal(limitText(12), "12 bytes");
  t.equal(limitText(123_456_789), "123456789 bytes");
  t.equal(limitText(0), "0 bytes");
});

t.test("sizes are parsed as people write them", async (t) => {
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

t.test("a plain number of memory is in MiB", async (t) => {
  t.equal(parseMebibytes("64"), 64 * 2 ** 20);
  t.equal(parseMebibytes("64MiB"), 64 * 2 ** 20);
  t.equal(parseMebibytes("1.5GB"), 1_500_000_000);
  t.equal(parseMebibytes("64 M"), undefined);
  t.equal(parseMebibytes(""), undefined);
});

t.test("durations", async (t) => {
  const cases: [string, number | undefined][] = [
    ["30", 30_000],
    ["0", 0],
    ["0.25", 250],
    ["30s", 30_000],
    ["10m", 600_000],
    ["2h", 7_200_000],
    ["7d", 604_800_000],
    ["", undefined],
    ["-1", undefined],
    ["1w", undefined],
    ["1 m", undefined],
    ["9".repeat(20), undefined],
  ];
  for (const [text, milliseconds] of cases) t.equal(parseDuration(text), milliseconds, text);
  t.same([-5000, 119_000, 600_000, 7_200_000, 86_400_000 * 3].map(ageText), [
    "0 s",
    "119 s",
    "10 min",
    "2 h",
    "3 d",
  ]);
  t.same([119_600, 7_169_000, 7_199_000, 171_000_000 - 1000, 172_799_000].map(ageText), [
    "2 min",
    "119 min",
    "2 h",
    "47 h",
    "2 d",
  ]);
});

t.test("cycles are parsed exactly", async (t) => {
  const cases: [text: string, cycles: bigint | undefined][] = [
    ["2T", 2_000_000_000_000n],
    ["2t", 2_000_000_000_000n],
    ["1.5 T", 1_500_000_000_000n],
    ["500B", 500_000_000_000n],
    ["0.000000000001T", 1n],
    ["3M", 3_000_000n],
    ["7k", 7000n],
    ["1.5k", 1500n],
    ["2_000_000", 2_000_000n],
    ["12345678901234567890T", 12_345_678_901_234_567_890_000_000_000_000n],
    ["1.5", undefined],
    ["0.0001k", undefined],
    ["", undefined],
    ["T", undefined],
    ["-1T", undefined],
    ["2TT", undefined],
    ["1e12", undefined],
    ["_2T", undefined],
    [".5T", undefined],
    ["2TB", undefined],
  ];
  for (const [text, cycles] of cases) t.equal(parseCycles(text), cycles, text);
});

t.test("cycles for people", async (t) => {
  t.equal(cyclesText(0n), "0 T");
  t.equal(cyclesText(99_999_999n), "0 T");
  t.equal(cyclesText(100_000_000n), "0.0001 T");
  t.equal(cyclesText(500_000_000_000n), "0.5 T");
  t.equal(cyclesText(1_999_999_999_999n), "1.9999 T");
  t.equal(cyclesText(100_000_000_000_000n), "100 T");
});
