/** Boots a machine from a directory, in a network of its own, with stock dnsmasq that serves the directory. */
import { filesSent, startDnsmasq } from "./dnsmasq.ts";
import { BOOT_FAILURE, STAGES, type Stage, startMachine } from "./machine.ts";
import { makeNamespace } from "./namespace.ts";
import type { Process, RunOptions } from "./process.ts";
import { secondsSince } from "./report.ts";

/** Runs a stage of the boot, and can report it. @param tell describes the result */
export type DoStage = <T>(name: string, work: () => Promise<T>, tell: (result: T) => string) => Promise<T>;

export interface BootOptions extends RunOptions {
  /** The network namespace's name. */
  readonly namespace: string;
  readonly stage: DoStage;
  /** Called with each started process, for its output when something fails. */
  readonly started?: (process: Process) => void;
}

export interface Boot {
  /** The files that were sent completely, relative to the root, once for each transfer. */
  readonly names: readonly string[];
  readonly bytes: number;
  /** From power-on to the installer's first screen. */
  readonly seconds: number;
}

/** Boots the machine from `root`, to the installer's first screen. Leaves nothing running. @throws Error when it does not get there */
export async function boot(
  root: string,
  { namespace: name, stage, started = () => {}, env = process.env, signal }: BootOptions,
): Promise<Boot> {
  const options = { env, signal };
  await using stack = new AsyncDisposableStack();
  const namespace = stack.use(await makeNamespace(name));
  const dnsmasq = await stage(
    "dnsmasq",
    () => startDnsmasq(namespace, root, options),
    () => `DHCP and TFTP in the network namespace ${name}`,
  );
  stack.use(dnsmasq);
  started(dnsmasq);
  const switchedOn = performance.now();
  const machine = stack.use(startMachine(namespace, options));
  started(machine);
  await reach(STAGES, machine, stage, { signal });
  return { ...filesSent(dnsmasq.output, root), seconds: secondsSince(switchedOn) };
}

/** Waits for one stage after another. @throws Error when a stage is not reached in time, or the boot has failed for good */
export async function reach(
  stages: readonly Stage[],
  console: Process,
  stage: DoStage,
  { refuse = BOOT_FAILURE, signal }: { refuse?: RegExp; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  for (const { name, pattern, seconds } of stages) {
    await stage(
      name,
      () => console.until(pattern, { seconds, signal, refuse }),
      ([found, detail]) => detail ?? found,
    );
  }
}
