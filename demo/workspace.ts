/**
 * A private directory for one run: its files, its mount point, and its own XDG directories, so that icfs neither uses
 * nor touches the identity, state and cache of whoever runs it. Removing it is also the net below everything else:
 * what still runs with it in its environment is ended, what is still mounted in it unmounted.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mountsBelow, processesWith, run } from "./process.ts";

/** Milliseconds a process may take to end by itself after what it did is done, and again after it was asked to. */
const GRACE_MS = 3000;

export interface Workspace extends AsyncDisposable {
  directory: string;
  /** The environment for everything that is started in this run. */
  env: NodeJS.ProcessEnv;
}

/**
 * Makes the directory `$TMPDIR/NAME-XXXXXX`. Disposing removes it.
 *
 * @throws Error on disposing, when something had been left in it, with what that was; it is gone all the same.
 */
export async function makeWorkspace(name: string): Promise<Workspace> {
  const directory = await mkdtemp(join(tmpdir(), `${name}-`));
  // dnsmasq's user nobody has to get through to the mount point.
  await chmod(directory, 0o755);
  const own = Object.entries(process.env).filter(([key]) => !key.startsWith("ICFS_"));
  return {
    directory,
    env: {
      ...Object.fromEntries(own),
      XDG_CONFIG_HOME: join(directory, "config"),
      XDG_STATE_HOME: join(directory, "state"),
      XDG_CACHE_HOME: join(directory, "cache"),
    },
    [Symbol.asyncDispose]: () => removeWorkspace(directory),
  };
}

async function removeWorkspace(directory: string): Promise<void> {
  await ended(directory);
  const processes = processesWith(directory);
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    for (const { pid } of processesWith(directory)) process.kill(pid, signal);
    await ended(directory);
  }
  const mounts = mountsBelow(directory).reverse();
  for (const mount of mounts) await run("umount", ["--lazy", mount]);
  await rm(directory, { recursive: true, force: true });
  const left = [
    ...processes.map(({ pid, command }) => `process ${pid}: ${command}`),
    ...mounts.map((at) => `mount ${at}`),
  ];
  if (left.length > 0) throw new Error(`had been left, and had to be ended by force:\n${left.join("\n")}`);
}

/** Waits until no process of the workspace is there, but not for long. */
async function ended(directory: string): Promise<void> {
  const until = performance.now() + GRACE_MS;
  while (processesWith(directory).length > 0 && performance.now() < until) await sleep(50);
}
