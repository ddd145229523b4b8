/**
 * A private directory for one run: its files, its mount point, and its own XDG directories, so that icfs neither uses nor touches
 * the identity, state and cache of the user who runs it. Removing it also catches everything left over: processes with it in
 * their environment are ended, and mounts below it unmounted.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mountsBelow, processesWith, run } from "./process.ts";

/**
 * Milliseconds for a process to end by itself when its work is done, and again after it was asked to: on a busy machine it may get no
 * turn for seconds. Nobody waits for it to pass unless something has been left.
 */
const GRACE_MS = 15_000;

export interface Workspace extends AsyncDisposable {
  directory: string;
  /** The environment of every process in this run. */
  env: NodeJS.ProcessEnv;
}

/**
 * Makes the directory `$TMPDIR/NAME-XXXXXX`. Disposing removes it.
 *
 * @throws Error on disposing if something had been left in it, with what that was; it is removed nevertheless.
 */
export async function makeWorkspace(name: string): Promise<Workspace> {
  const directory = await mkdtemp(join(tmpdir(), `${name}-`));
  // dnsmasq's user nobody must be able to reach the mount point.
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
  if (left.length > 0) throw new Error(`left over, and ended by force:\n${left.join("\n")}`);
}

/** Waits until no process of the workspace is left, for {@link GRACE_MS} at most. */
async function ended(directory: string): Promise<void> {
  const until = performance.now() + GRACE_MS;
  while (processesWith(directory).length > 0 && performance.now() < until) await sleep(50);
}
