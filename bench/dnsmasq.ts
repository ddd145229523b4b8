/**
 * Measures how long a live dnsmasq takes to answer DHCP and DNS while clients read by TFTP from a mount, beside a local directory:
 * `node bench/dnsmasq.ts [--seconds 20] [--only NAME] [--json]`, as root; `make bench-dnsmasq`. `--only` runs the scenarios
 * (bench/dnsmasq/scenarios.ts) whose names contain NAME, and those that they are compared with.
 */
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { type PublishedTree, startNetwork } from "./dnsmasq/icfs.ts";
import { type Measured, measure, type Place } from "./dnsmasq/measure.ts";
import { makePlace } from "./dnsmasq/place.ts";
import { NETWORKS, SCENARIOS, type Scenario } from "./dnsmasq/scenarios.ts";
import { countsOf, scenarioTable } from "./dnsmasq/table.ts";
import { renewBoot } from "./dnsmasq/tree.ts";
import { print } from "./result.ts";

/** How long clients read in each scenario: twice the time limit of a read, so that reads in an outage fail meanwhile. */
const LOAD_SECONDS = "20";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: LOAD_SECONDS },
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
  },
});

async function bench(signal: AbortSignal): Promise<Measured[]> {
  await using stack = new AsyncDisposableStack();
  const { workspace, lan, tree } = await makePlace(stack);
  const { env } = workspace;
  const networks = new Map<Scenario["network"], Promise<PublishedTree>>();
  const place: Place = {
    ...{ workspace, lan, tree, env, signal, loadSeconds: Number(values.seconds) },
    renew: () => renewBoot(tree),
    network(name) {
      const network = networks.get(name) ?? startNetwork(tree, NETWORKS[name], stack, { env, signal });
      networks.set(name, network);
      return network;
    },
  };
  const results: Measured[] = [];
  const asked = SCENARIOS.filter(({ name }) => name.includes(values.only));
  const wanted = new Set(asked.flatMap(({ name, local }) => [name, local]));
  for (const scenario of SCENARIOS) {
    if (!wanted.has(scenario.name)) continue;
    const measured = await measure(scenario, place);
    const [dhcp, dns] = [measured.dhcp.worst, measured.dns.worst].map((ms) => ms.toFixed(0));
    console.error(`${scenario.name}: at worst DHCP ${dhcp} ms, DNS ${dns} ms`);
    results.push(measured);
  }
  return results;
}

await interruptible("bench", async (signal) => {
  const results = await bench(signal);
  print(
    {
      title: "DHCP and DNS beside TFTP",
      about: `A live dnsmasq is asked for DHCP and DNS fifty times a second while clients read by TFTP for ${values.seconds} s, from a local directory and from mounts. One run of each. ${countsOf(results)}`,
      tables: [scenarioTable(results)],
      goals: [],
    },
    values.json,
  );
});
