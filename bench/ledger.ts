/**
 * Measures what the boot ledger costs a boot server: a live dnsmasq serves a mount, in turn without and with
 * packaging/dnsmasq-ledger as its dhcp-script.
 *
 *     node bench/ledger.ts [--runs 3] [--seconds 10] [--transfers 1000] [--json]     as root; `make bench-ledger`
 *
 * Meanwhile DHCP and DNS are queried fifty times a second. The load is two machines that boot over and over, and then small files
 * as fast as twenty clients take them, so that the script falls far behind.
 */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { Process, type RunOptions, run } from "../demo/process.ts";
import { mountTree, startNetwork } from "./dnsmasq/icfs.ts";
import { DHCP_MAC, type Lan, SERVER_ADDRESS } from "./dnsmasq/lan.ts";
import type { LoadOptions, LoadResult } from "./dnsmasq/load.ts";
import { summaryOf } from "./dnsmasq/measure.ts";
import { makePlace } from "./dnsmasq/place.ts";
import type { ProbeOptions, ProbeResult } from "./dnsmasq/probe.ts";
import { DNS_NAME, startDnsmasq } from "./dnsmasq/server.ts";
import { BOOT_FILES, OTHERS } from "./dnsmasq/tree.ts";
import { median, sorted } from "./median.ts";
import { print } from "./result.ts";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const LEDGER_SCRIPT = at("../packaging/dnsmasq-ledger");
const CLIENTS = 20;
/** Seconds for the script to write all lines; if it takes longer, it has hung. */
const BEHIND_SECONDS = 120;

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "3" },
    seconds: { type: "string", default: "10" },
    transfers: { type: "string", default: "1000" },
    json: { type: "boolean", default: false },
  },
});

interface Load {
  readonly name: string;
  readonly options: Omit<LoadOptions, "server">;
}

const EACH = Math.ceil(Number(values.transfers) / CLIENTS);
const LOADS: readonly Load[] = [
  {
    name: "two machines boot",
    options: { clients: [BOOT_FILES, [OTHERS[0]!, ...BOOT_FILES]], seconds: Number(values.seconds) },
  },
  {
    name: `${EACH * CLIENTS} small files at once`,
    options: { clients: new Array(CLIENTS).fill(new Array(EACH).fill(BOOT_FILES[0])) },
  },
];

interface Measured {
  readonly files: number;
  readonly failed: number;
  readonly filesPerSecond: number;
  /** Milliseconds. */
  readonly dhcp: { readonly median: number; readonly percentile99: number; readonly worst: number };
  /** Queries without an answer. */
  readonly unanswered: number;
  /** Lines of the ledger, and seconds from the end of the load to the last one. */
  readonly lines: number;
  readonly behind: number;
}

interface Place extends RunOptions {
  readonly lan: Lan;
  readonly mountpoint: string;
  /** The path of the ledger, if there is one. */
  readonly log: string;
}

async function measure(load: Load, isWithLedger: boolean, place: Place): Promise<Measured> {
  const { lan, mountpoint, log, env, signal } = place;
  await rm(log, { force: true });
  await using stack = new AsyncDisposableStack();
  const script = isWithLedger ? [`--dhcp-script=${LEDGER_SCRIPT}`] : [];
  const own = { ...env, ICFS_BOOT_LOG: log, ICFS_LEASES: "/dev/null" };
  const dnsmasq = stack.use(await startDnsmasq(lan.server, mountpoint, { env: own, signal }, script));
  const probing: ProbeOptions = { server: SERVER_ADDRESS, mac: DHCP_MAC, name: DNS_NAME };
  const inside = (program: string, options: object) =>
    lan.client.inside(process.execPath, [at(`dnsmasq/${program}.ts`), JSON.stringify(options)]);
  const probe = stack.use(new Process(...inside("probe", probing), env));
  await probe.until(/answered/, { seconds: 20, signal });
  const said = await run(...inside("load", { server: SERVER_ADDRESS, ...load.options }), {
    env,
    signal,
    seconds: (load.options.seconds ?? 0) + BEHIND_SECONDS,
  });
  const { files, failures, seconds }: LoadResult = JSON.parse(said);
  const ended = performance.now();
  let lines = 0;
  while (isWithLedger && lines < files && performance.now() - ended < 1000 * BEHIND_SECONDS) {
    lines = (await readFile(log, "utf8").catch(() => "")).split("\n").length - 1;
    await sleep(100, undefined, { signal });
  }
  const behind = (performance.now() - ended) / 1000;
  await probe.stop();
  await dnsmasq.stop();
  const { dhcp, dns }: ProbeResult = JSON.parse(probe.stdout.trim().split("\n").at(-1)!);
  return {
    files,
    failed: Object.values(failures).reduce((sum, count) => sum + count, 0),
    filesPerSecond: files / seconds,
    dhcp: summaryOf(dhcp),
    unanswered: dhcp.unanswered.length + dns.unanswered.length,
    lines,
    behind: isWithLedger ? behind : 0,
  };
}

async function bench(signal: AbortSignal) {
  await using stack = new AsyncDisposableStack();
  const { workspace, lan, tree } = await makePlace(stack);
  const { directory, env } = workspace;
  const network = await startNetwork(tree, [], stack, { env, signal });
  const options = ["--prefetch", "all", "--ready", "hydrated"];
  const { mountpoint } = await mountTree(network, options, workspace, stack, { env, signal });
  // dnsmasq runs the script as root, so the ledger may be in the workspace.
  const place: Place = { lan, mountpoint, log: join(directory, "boots.log"), env, signal };
  const rows: (string | number)[][] = [];
  const goals: { what: string; goal: string; measured: string; met: boolean }[] = [];
  for (const load of LOADS) {
    const without: Measured[] = [];
    const withLedger: Measured[] = [];
    for (let i = 0; i < Number(values.runs); i++) {
      without.push(await measure(load, false, place));
      withLedger.push(await measure(load, true, place));
      console.error(`${load.name}: ${JSON.stringify([without.at(-1), withLedger.at(-1)])}`);
    }
    for (const [name, list] of [
      ["without", without],
      ["with the ledger", withLedger],
    ] as const) {
      const middle = (of: (one: Measured) => number) => median(sorted(list.map(of))).toFixed(1);
      const sum = (of: (one: Measured) => number) => list.reduce((all, one) => all + of(one), 0);
      rows.push([
        `${load.name}, ${name}`,
        middle(({ dhcp }) => dhcp.median),
        middle(({ dhcp }) => dhcp.percentile99),
        middle(({ dhcp }) => dhcp.worst),
        sum(({ unanswered }) => unanswered),
        middle(({ filesPerSecond }) => filesPerSecond),
        sum(({ failed }) => failed),
        ...[sum(({ files }) => files), sum(({ lines }) => lines), middle(({ behind }) => behind)],
      ]);
    }
    const times = (of: (one: Measured) => number) =>
      median(sorted(withLedger.map((one, i) => of(one) / of(without[i]!))));
    const slower = times(({ dhcp }) => dhcp.percentile99);
    goals.push({
      what: `${load.name}: DHCP, 99 % of answers, times that without`,
      goal: "at most 1.5",
      measured: slower.toFixed(2),
      met: slower <= 1.5,
    });
    const lost = withLedger.reduce((sum, { failed, unanswered }) => sum + failed + unanswered, 0);
    goals.push({
      what: `${load.name}: transfers and questions that failed`,
      goal: "none",
      measured: String(lost),
      met: lost === 0,
    });
    const missed = withLedger.reduce((sum, { files, lines }) => sum + files - lines, 0);
    goals.push({
      what: `${load.name}: files that were sent, without a line`,
      goal: "none",
      measured: String(missed),
      met: missed === 0,
    });
  }
  return { rows, goals };
}

await interruptible("bench", async (signal) => {
  const { rows, goals } = await bench(signal);
  print(
    {
      title: "The boot ledger's cost",
      about: `dnsmasq serves a mount, without and with packaging/dnsmasq-ledger, in turn, ${values.runs} runs of each, medians.`,
      tables: [
        {
          columns: [
            ...["load", "DHCP ms, median", "99 %", "worst", "unanswered", "files/s", "failed"],
            ...["files", "lines", "s until the last line"],
          ],
          rows,
        },
      ],
      goals,
    },
    values.json,
  );
});
