/** Measures one scenario, from an empty mount to its numbers. */
import { cp, mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Process, type RunOptions, run } from "../../demo/process.ts";
import type { Workspace } from "../../demo/workspace.ts";
import { startFaultProxy } from "../../test/support/fault-proxy.ts";
import { makeMirror, serveHere } from "../carrier/mirror.ts";
import { mountTree, type PublishedTree } from "./icfs.ts";
import { DHCP_MAC, type Lan, SERVER_ADDRESS } from "./lan.ts";
import type { LoadOptions, LoadResult } from "./load.ts";
import type { ProbeOptions, ProbeResult, Times } from "./probe.ts";
import type { Scenario } from "./scenarios.ts";
import { DNS_NAME, startDnsmasq } from "./server.ts";

const PROBE = fileURLToPath(new URL("probe.ts", import.meta.url));
const LOAD = fileURLToPath(new URL("load.ts", import.meta.url));
/** A load that takes this much longer than planned has hung. */
const LOAD_MORE_SECONDS = 120;

export interface Summary {
  /** Queries that were answered. */
  readonly answered: number;
  readonly unanswered: number;
  /** In milliseconds, as are the following; unanswered queries count with the time they had waited. */
  readonly median: number;
  readonly percentile99: number;
  readonly worst: number;
}

export interface Measured {
  readonly name: string;
  /** The scenario to compare with; absent: others are compared with this one. */
  readonly local?: string;
  readonly dhcp: Summary;
  readonly dns: Summary;
  readonly tftp: LoadResult;
  /** The release that was served at the end; none for a directory. */
  readonly release?: number;
}

export interface Place extends RunOptions {
  readonly workspace: Workspace;
  readonly lan: Lan;
  /** The tree as a directory. */
  readonly tree: string;
  /** For how many seconds clients read. */
  readonly loadSeconds: number;
  network(name: Scenario["network"]): Promise<PublishedTree>;
  /** Changes the tree. */
  renew(): Promise<void>;
}

/** Runs one scenario with a new mount and a new dnsmasq. @throws Error when one of the programs fails; the signal's reason */
export async function measure(scenario: Scenario, place: Place): Promise<Measured> {
  const { workspace, lan, tree, loadSeconds, env, signal } = place;
  const options = { env, signal };
  await using stack = new AsyncDisposableStack();
  const hasRelease = scenario.event === "release";
  const network = scenario.mount || hasRelease ? await place.network(scenario.network) : undefined;
  const proxy =
    network && (await startFaultProxy({ teardown: (end) => stack.defer(async () => end()) }, network.url));
  const url = scenario.event === "outage" ? proxy!.url : network?.url;
  const mirror = scenario.mirror ? await mirrorOf(network!, place, stack) : [];
  const mounted =
    scenario.mount &&
    (await mountTree({ ...network!, url: url! }, [...scenario.mount, ...mirror], workspace, stack, options));
  // The tree itself changes when there is a release.
  const local = join(workspace.directory, "local");
  if (mounted === undefined) await cp(tree, local, { recursive: true });
  const dnsmasq = stack.use(await startDnsmasq(lan.server, mounted?.mountpoint ?? local, options));
  const probing: ProbeOptions = { server: SERVER_ADDRESS, mac: DHCP_MAC, name: DNS_NAME };
  const probe = stack.use(
    new Process(...lan.client.inside(process.execPath, [PROBE, JSON.stringify(probing)]), env),
  );
  await probe.until(/answered/, { seconds: 20, signal });

  if (scenario.event === "outage") proxy!.fault = () => "silence";
  const { clients, once } = scenario;
  const loading: LoadOptions = { server: SERVER_ADDRESS, clients, ...(once ? {} : { seconds: loadSeconds }) };
  const load = run(...lan.client.inside(process.execPath, [LOAD, JSON.stringify(loading)]), {
    ...options,
    seconds: loadSeconds + LOAD_MORE_SECONDS,
  });
  const releasing = hasRelease ? release(place, network!) : undefined;
  const [loaded] = await Promise.all([load, releasing]);
  await probe.stop();
  const { dhcp, dns }: ProbeResult = JSON.parse(probe.stdout.trim().split("\n").at(-1)!);
  await dnsmasq.stop();
  const last = await mounted?.end();
  return {
    name: scenario.name,
    ...(scenario.local === undefined ? {} : { local: scenario.local }),
    dhcp: summaryOf(dhcp),
    dns: summaryOf(dns),
    tftp: JSON.parse(loaded),
    ...(last === undefined ? {} : { release: last }),
  };
}

/** Makes a mirror of what is published, and serves it with nginx. @returns options of a mount that asks only this mirror */
async function mirrorOf(
  network: PublishedTree,
  { workspace, env, signal }: Place,
  stack: AsyncDisposableStack,
): Promise<string[]> {
  const directory = await mkdtemp(join(workspace.directory, "mirror-"));
  const only = await makeMirror(network, directory, { env, signal, seconds: 120 });
  return ["--mirror", await serveHere(directory, workspace, stack), ...only];
}

/** Publishes a changed tree after clients have been reading for a while. */
async function release(place: Place, network: PublishedTree): Promise<void> {
  await sleep((place.loadSeconds * 1000) / 5, undefined, { signal: place.signal });
  await place.renew();
  await network.publish();
}

/** Median, 99th percentile and worst of the times; NaN if there are none. */
export function summaryOf({ answered, unanswered }: Times): Summary {
  const sorted = [...answered, ...unanswered].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return {
    answered: answered.length,
    unanswered: unanswered.length,
    median: at(0.5),
    percentile99: at(0.99),
    worst: at(1),
  };
}
