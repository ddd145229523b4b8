/** What takes how long: a machine's boot from a TFTP root, and the same files read by a client that has nothing else to do. */
import { basename } from "node:path";
import { boot } from "../../demo/boot.ts";
import { startDnsmasq } from "../../demo/dnsmasq.ts";
import { HOST_ADDRESS, makeNamespace } from "../../demo/namespace.ts";
import { type Process, type RunOptions, run } from "../../demo/process.ts";
import { secondsSince } from "../../demo/report.ts";

/** What fits an Ethernet frame, and what boot ROMs ask for. */
const BLOCK_BYTES = "1468";
/** A boot may take so long; then it hangs. */
const BOOT_SECONDS = 300;

/** All in seconds. */
export interface BootTimes {
  /** The files that were sent, in order, relative to the root. */
  readonly names: readonly string[];
  readonly bytes: number;
  /** From power-on to the installer's first screen. */
  readonly whole: number;
  /** From power-on to the machine having an address: it asks for its first file then. */
  readonly before: number;
  /** From then until its last file is sent. */
  readonly tftp: number;
  /** From then to the screen: the machine alone, whatever it was booted from. */
  readonly after: number;
}

/**
 * Boots a machine from `root`.
 *
 * @param namespace a name for the network that it gets
 * @param last the path of the file that it reads last
 * @throws Error when it does not get to the installer
 */
export async function bootFrom(
  root: string,
  { namespace, last, ...options }: RunOptions & { namespace: string; last: string },
): Promise<BootTimes> {
  const processes: Process[] = [];
  const times: Promise<number | undefined>[] = [];
  let switchedOn = 0;
  /** When dnsmasq has written it; undefined: never. A boot that fails says why itself. */
  const written = (dnsmasq: Process, pattern: RegExp) =>
    dnsmasq.until(pattern, { seconds: BOOT_SECONDS, signal: options.signal }).then(
      () => secondsSince(switchedOn),
      () => undefined,
    );
  const { names, bytes, seconds } = await boot(root, {
    ...options,
    namespace,
    stage: (_, work) => work(),
    started(process) {
      processes.push(process);
      const [dnsmasq, machine] = processes;
      if (machine === undefined) return;
      switchedOn = performance.now();
      times.push(
        written(dnsmasq!, /DHCPACK/),
        written(dnsmasq!, new RegExp(`: sent .*/${basename(last)} to`)),
      );
    },
  });
  const [before, sent] = await Promise.all(times);
  if (before === undefined || sent === undefined)
    throw new Error(`dnsmasq has not said that it sent ${last}`);
  return { names, bytes, whole: seconds, before, tftp: sent - before, after: seconds - sent };
}

/** Reads files from `root` by TFTP, one after the other, with curl. @returns seconds */
export async function readFrom(
  root: string,
  names: readonly string[],
  { namespace: name, env, signal }: RunOptions & { namespace: string },
): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const namespace = stack.use(await makeNamespace(name));
  stack.use(await startDnsmasq(namespace, root, { env, signal }));
  const files = names.flatMap((file) => ["--output", "/dev/null", `tftp://${HOST_ADDRESS}/${file}`]);
  const parameters = ["--silent", "--show-error", "--tftp-blksize", BLOCK_BYTES];
  const started = performance.now();
  await run(...namespace.inside("curl", [...parameters, ...files]), { env, signal, seconds: 60 });
  return secondsSince(started);
}
