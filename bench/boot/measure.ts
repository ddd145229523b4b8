/** Measures a machine's boot from a TFTP root, and a client that reads the same files and does nothing else. */
import { basename } from "node:path";
import { boot } from "../../demo/boot.ts";
import { startDnsmasq } from "../../demo/dnsmasq.ts";
import { HOST_ADDRESS, makeNamespace } from "../../demo/namespace.ts";
import { type Process, type RunOptions, run } from "../../demo/process.ts";
import { secondsSince } from "../../demo/report.ts";

/** The block that fits an Ethernet frame, as boot ROMs request. */
const BLOCK_BYTES = "1468";
/** A boot that takes longer has hung. */
const BOOT_SECONDS = 300;

/** All times in seconds. */
export interface BootTimes {
  /** The files that were sent, in order, relative to the root. */
  readonly names: readonly string[];
  readonly bytes: number;
  /** From power-on to the installer's first screen. */
  readonly whole: number;
  /** From power-on until the machine has an address and asks for its first file. */
  readonly before: number;
  /** From then until its last file has been sent. */
  readonly tftp: number;
  /** From then to the screen: the machine's own work, whatever it boots from. */
  readonly after: number;
}

/**
 * Boots a machine from `root`.
 *
 * @param namespace a name for its network
 * @param last the path of the last file that it reads
 * @throws Error when it does not reach the installer
 */
export async function bootFrom(
  root: string,
  { namespace, last, ...options }: RunOptions & { namespace: string; last: string },
): Promise<BootTimes> {
  const processes: Process[] = [];
  const times: Promise<number | undefined>[] = [];
  let switchedOn = 0;
  /** Seconds from power-on until dnsmasq logs the pattern; undefined if it never does. A failed boot reports the reason itself. */
  const logged = (dnsmasq: Process, pattern: RegExp) =>
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
      times.push(logged(dnsmasq!, /DHCPACK/), logged(dnsmasq!, new RegExp(`: sent .*/${basename(last)} to`)));
    },
  });
  const [before, sent] = await Promise.all(times);
  if (before === undefined || sent === undefined) throw new Error(`dnsmasq did not log that it sent ${last}`);
  return { names, bytes, whole: seconds, before, tftp: sent - before, after: seconds - sent };
}

/** Reads files from `root` by TFTP, one after another, with curl. @returns seconds */
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
