/**
 * Measures boots by HTTP beside boots by TFTP, of the same release of a distant canister: `node bench/http-boot.ts [--runs 3] [--json]`,
 * as root; `make bench-http-boot`. In each run, a machine boots in each way in turn, until its kernel writes its first line; by then it
 * has all of its files. By HTTP, iPXE reads from a stock nginx (examples/nginx.conf), which has nothing at first, and everything in the
 * next boot. By TFTP, iPXE and PXELINUX read from dnsmasq over a mount with nothing kept, and over one that has fetched everything.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { reach } from "../demo/boot.ts";
import { startDnsmasq } from "../demo/dnsmasq.ts";
import { interruptible } from "../demo/interruptible.ts";
import { STAGES, type Stage, startMachine } from "../demo/machine.ts";
import { makeNamespace, type Namespace } from "../demo/namespace.ts";
import { secondsSince } from "../demo/report.ts";
import { makeTree } from "../demo/tree.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { printed, startHttpSite } from "../test/boot/http-site.ts";
import { mountTree, startNetwork } from "./dnsmasq/icfs.ts";
import { median, sorted, spread } from "./median.ts";
import { print } from "./result.ts";

const LATENCY_MS = "80";
const MIB_PER_SECOND = "50";
const [IPXE, PXELINUX, KERNEL] = STAGES as [Stage, Stage, Stage];
/** The way that all others are compared with. */
const FETCHED = "TFTP, all fetched by the mount";

const { values } = parseArgs({
  options: { runs: { type: "string", default: "3" }, json: { type: "boolean", default: false } },
});

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const { directory, env } = workspace;
  const tree = join(directory, "tree");
  await mkdir(tree);
  await makeTree(tree);
  const weather = ["--latency", LATENCY_MS, "--bandwidth", MIB_PER_SECOND];
  const published = await startNetwork(tree, weather, stack, { env, signal });
  await writeFile(join(tree, "boot.ipxe"), await printed(env, "ipxe", published.canister));
  await published.publish();

  /** Seconds from power-on. */
  const bootIn = async (namespace: Namespace, stages: readonly Stage[]): Promise<number> => {
    const switchedOn = performance.now();
    await using machine = startMachine(namespace, { env });
    await reach(stages, machine, (_, work) => work(), { signal });
    return secondsSince(switchedOn);
  };
  const byHttp = async (run: number): Promise<Record<string, number>> => {
    await using here = new AsyncDisposableStack();
    const namespace = here.use(await makeNamespace(`icfs-bench-${process.pid}`));
    const { canister, url } = published;
    const site = { canister, namespace, url, directory: join(directory, `site-${run}`), env };
    here.use(await startHttpSite(site));
    return {
      "HTTP, nothing kept by nginx": await bootIn(namespace, [IPXE, KERNEL]),
      "HTTP, all kept by nginx": await bootIn(namespace, [IPXE, KERNEL]),
    };
  };
  const byTftp = async (options: readonly string[]): Promise<number> => {
    await using here = new AsyncDisposableStack();
    const { mountpoint } = await mountTree(published, options, workspace, here, { env, signal });
    const namespace = here.use(await makeNamespace(`icfs-bench-${process.pid}`));
    here.use(await startDnsmasq(namespace, mountpoint, { env, signal }));
    return await bootIn(namespace, [IPXE, PXELINUX, KERNEL]);
  };

  const taken = new Map<string, number[]>();
  for (let run = 1; run <= Number(values.runs); run++) {
    const all = {
      [FETCHED]: await byTftp(["--ready", "hydrated"]),
      "TFTP, nothing kept by the mount": await byTftp([]),
      ...(await byHttp(run)),
    };
    for (const [way, seconds] of Object.entries(all)) {
      taken.set(way, [...(taken.get(way) ?? []), seconds]);
      console.error(`${way}: ${seconds.toFixed(2)} s`);
    }
  }
  const ratio = (way: string) =>
    median(sorted(taken.get(way)!.map((seconds, i) => seconds / taken.get(FETCHED)![i]!)));
  print(
    {
      title: "Boots by HTTP and by TFTP",
      about: `An emulated machine (QEMU without KVM) boots Debian's kernel and initrd from a canister ${LATENCY_MS} ms and ${MIB_PER_SECOND} MiB/s away, from power-on to the kernel's first line. ${values.runs} runs, each way in turn in each. By HTTP, iPXE asks an nginx on this host (examples/nginx.conf), which verifies nothing. By TFTP, iPXE and PXELINUX ask dnsmasq over a mount.`,
      tables: [
        {
          columns: ["", "s, median", "least", "most", `times ${FETCHED}`],
          rows: Array.from(taken, ([way, seconds]) => [
            way,
            ...spread(sorted(seconds), 2),
            ratio(way).toFixed(2),
          ]),
        },
      ],
      goals: [],
    },
    values.json,
  );
});
