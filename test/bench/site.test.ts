/** The simulation of bench/site.ts, with three hosts, runs, and its counts add up. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t from "tap";
import type { Outcome, Scenario } from "../../bench/site/simulate.ts";

const SIMULATE = fileURLToPath(new URL("../../bench/site/simulate.ts", import.meta.url));
const HOSTS = 3;

const common = {
  hosts: HOSTS,
  mebibytes: 10,
  scale: 64,
  spread: 1,
  uplink: 1000,
  roundTrip: 80,
  follow: 0,
  seed: 1,
};
/** With this uplink, one chunk takes two seconds. */
const slow = { uplink: 4, spread: 0 };
const scenarios: readonly Scenario[] = [
  { ...common, way: "none", follow: 3 },
  { ...common, ...slow, way: "nginx" },
  { ...common, way: "serve", isWarm: true, follow: 3 },
  { ...common, way: "nginx", isKilled: true },
  { ...common, way: "none", limit: 10 },
  { ...common, ...slow, way: "serve" },
];

t.test("a simulated site", async (t) => {
  const args = [SIMULATE, ...scenarios.map((scenario) => JSON.stringify(scenario))];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const outcomes = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Outcome);
  t.equal(outcomes.length, scenarios.length);
  const [none, nginx, serve, killed, limited, cold] = outcomes as [
    ...[Outcome, Outcome, Outcome],
    ...[Outcome, Outcome, Outcome],
  ];
  const { chunks, mebibytes } = none;
  for (const { byMirrors, byIc, ready } of outcomes) {
    t.equal(byMirrors + byIc, HOSTS * chunks, "each host gets each chunk once");
    t.ok(ready.first <= ready.half && ready.half <= ready.all);
  }

  t.match(
    none.ic,
    { heads: HOSTS, chunks: HOSTS * chunks, refused: 0 },
    "without a cache, each host asks the IC for the head and every chunk",
  );
  t.ok(none.ic.mebibytes > HOSTS * mebibytes && none.ic.mebibytes < 1.01 * HOSTS * mebibytes);
  t.ok(
    none.headsAMinute >= 2 && none.headsAMinute <= 3,
    "without a cache, each host asks for the head about once a minute",
  );

  const { questions, byHosts } = nginx.ic;
  t.equal(questions - byHosts, chunks + 1, "nginx asks for the head and each chunk once");
  t.equal(byHosts, 0, "no host asks the IC itself, even over a slow line");

  t.match(serve.ic, { heads: 1, chunks }, "the first icfs serve asks for each chunk once");
  t.equal(serve.byIc, 0);
  t.ok(serve.headsAMinute <= 1, "icfs serve asks for the head at most once a minute");

  t.ok(killed.byIc >= chunks, "hosts get the rest from the IC after nginx dies");
  t.ok(limited.ic.refused > 0, "requests over the IC's limit are refused");
  t.ok(limited.ready.all > none.ready.all);

  t.match(cold.ic, { heads: 1, chunks }, "an icfs serve that starts with the hosts asks for each chunk once");
  t.equal(cold.byIc, 0, "hosts wait for icfs serve and get no chunk from the IC");
});
