/**
 * The whole story on one machine: a local network, a canister with Debian's netboot tree in it, the canister mounted,
 * stock dnsmasq serving the mount, and a virtual machine that boots from it to the installer's first screen.
 *
 *     node demo/demo.ts                    as root, on Debian; `make demo` installs what it needs
 *     node demo/demo.ts --directory DIR    the same boot from a plain directory, for comparison
 *
 * Exits 0 only when the installer's first screen was reached. In any case, nothing is left behind.
 */
import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { sizeText } from "../lib/units.ts";
import { boot } from "./boot.ts";
import { deploy, type Mount, mount, mountLog, publish, type Statistics, startLocalnet } from "./icfs.ts";
import { interruptible } from "./interruptible.ts";
import { GUEST_ADDRESS } from "./namespace.ts";
import type { Process } from "./process.ts";
import { Report, secondsSince } from "./report.ts";
import { debianTree, makeTree } from "./tree.ts";
import { makeWorkspace, type Workspace } from "./workspace.ts";

/** The canister id in the examples; a local network allows any. */
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
/** Lines shown of each log when something fails. */
const TAIL_LINES = 20;

interface Run {
  workspace: Workspace;
  /** Ends everything that was started, newest first. */
  stack: AsyncDisposableStack;
  /** The started processes, for their output when something fails. */
  processes: Process[];
  report: Report;
  signal: AbortSignal;
}

/** Checks that the host has everything the demo needs. @throws an error that names what is missing */
function checkHost(): void {
  const missing = [];
  if (process.getuid?.() !== 0) missing.push("root (it makes a network namespace and a mount)");
  for (const path of ["/dev/fuse", "/dev/net/tun"]) if (!existsSync(path)) missing.push(path);
  if (missing.length > 0) throw new Error(`this needs ${missing.join(", ")}`);
}

/** From the local network to the mount: the canister's tree at `mountpoint`. */
async function mountCanister(
  mountpoint: string,
  { workspace, stack, processes, report, signal }: Run,
): Promise<Mount> {
  const { directory, env } = workspace;
  const options = { env, signal };
  const tree = join(directory, "tree");
  await report.stage(
    "tree",
    () => makeTree(tree),
    () => `Debian ${debianTree().release}'s netboot tree, for a serial console`,
  );
  const { localnet, url } = await report.stage(
    "local network",
    () => startLocalnet(options),
    ({ url }) => url,
  );
  stack.use(localnet);
  processes.push(localnet);
  const canister = await report.stage(
    "deploy",
    () => deploy(CANISTER, url, options),
    (id) => `canister ${id}`,
  );
  await report.stage(
    "publish",
    () => publish(tree, canister, url, options),
    ({ release, files, bytes, chunks, url }) =>
      `release ${release}: ${files} files, ${sizeText(bytes)} in ${chunks} chunks, also at ${url}`,
  );
  await mkdir(mountpoint);
  const mounted = await report.stage(
    "mount",
    () => mount(canister, mountpoint, url, options),
    () => mountpoint,
  );
  return stack.use(mounted);
}

/** Boots the machine from `root`, and reports how that went. */
async function bootFrom(root: string, { workspace, processes, report, signal }: Run): Promise<void> {
  const { names, bytes, seconds } = await boot(root, {
    namespace: `icfs-demo-${process.pid}`,
    stage: (name, work, tell) => report.stage(name, work, tell),
    started: (process) => processes.push(process),
    env: workspace.env,
    signal,
  });
  report.line();
  report.line(`The installer's first screen, ${seconds.toFixed(1)} s after switching the machine on.`);
  report.line(`TFTP: ${names.length} files, ${sizeText(bytes)} to ${GUEST_ADDRESS}`);
}

function tellStatistics(report: Report, statistics: Statistics): void {
  const { release, header, chunksVerified, bytesVerified, cacheHits, cacheMisses } = statistics;
  report.line(`From the canister: release ${release}, ${header}`);
  report.line(`${chunksVerified} chunks, ${sizeText(bytesVerified)} verified`);
  report.line(`The cache answered ${cacheHits} of ${cacheHits + cacheMisses} reads`);
}

/** Prints the end of the mount's log, and of each process's output. */
function tellLogs(mountpoint: string, { processes, report }: Run): void {
  const log = mountLog(mountpoint);
  if (existsSync(log)) {
    const lines = readFileSync(log, "utf8").trimEnd().split("\n");
    report.line(`\n--- the end of the mount's log:\n${lines.slice(-TAIL_LINES).join("\n")}`);
  }
  for (const process of processes) {
    report.line(`\n--- ${process.name}, the end of its output:\n${process.tail(TAIL_LINES)}`);
  }
}

async function demo(directory: string | undefined, report: Report, signal: AbortSignal): Promise<void> {
  checkHost();
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-demo"));
  const mountpoint = join(workspace.directory, "mnt");
  const all: Run = { workspace, stack, processes: [], report, signal };
  try {
    if (directory !== undefined) {
      await bootFrom(resolve(directory), all);
    } else {
      const mounted = await mountCanister(mountpoint, all);
      await bootFrom(mountpoint, all);
      tellStatistics(report, await mounted.end());
    }
  } catch (error) {
    if (!signal.aborted) tellLogs(mountpoint, all);
    throw error;
  }
}

const { values } = parseArgs({ options: { directory: { type: "string" } } });

await interruptible("demo", async (signal) => {
  const started = performance.now();
  const report = new Report();
  await demo(values.directory, report, signal);
  report.line(`Everything is cleaned up. ${secondsSince(started).toFixed(1)} s in all.`);
});
