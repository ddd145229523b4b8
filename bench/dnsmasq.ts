/**
 * How long a live dnsmasq takes to answer DHCP and DNS while it serves TFTP: from a local directory, and from icfs mounts in
 * good and in bad times. It does all three in one loop with blocking reads, so a read that hangs is felt by the whole site.
 *
 *     node bench/dnsmasq.ts [--seconds 15] [--only TEXT] [--json]     as root; `make bench-dnsmasq`
 *
 * `--only` takes the scenarios whose names contain TEXT, and what they are compared with. Everything happens in network
 * namespaces of its own; whatever happens, nothing is left behind.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { type PublishedTree, startNetwork } from "./dnsmasq/icfs.ts";
import { makeLan } from "./dnsmasq/lan.ts";
import { type Measured, measure, type Place } from "./dnsmasq/measure.ts";
import { NETWORKS, SCENARIOS, type Scenario } from "./dnsmasq/scenarios.ts";
import { countsOf, scenarioTable } from "./dnsmasq/table.ts";
import { makeTree, renewBoot } from "./dnsmasq/tree.ts";
import { print } from "./result.ts";

/** How long clients read in each scenario: twice what a read may take, and so long enough for an outage to be over. */
const LOAD_SECONDS = "20";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: LOAD_SECONDS },
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
  },
});

async function bench(signal: AbortSignal): Promise<Measured[]> {
  if (process.getuid?.() !== 0) throw new Error("this needs root: it makes network namespaces and mounts");
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const lan = stack.use(await makeLan(`icfs-bench-${process.pid}`));
  const { directory, env } = workspace;
  const tree = join(directory, "tree");
  await mkdir(tree);
  await makeTree(tree);
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
