/**
 * Helpers for tests over real mounts. The tests' own process never touches a mount with a call of its own: `sh` and
 * `serve` use processes, asynchronously. Whatever a test leaves is taken away in its teardown.
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, realpath, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Mount, mountAt, readMounts } from "../../lib/fs/mountinfo.ts";

interface Test {
  teardown(work: () => Promise<void>): void;
}

export const FIXTURE = fileURLToPath(new URL("serve-fixture.ts", import.meta.url));

/** Beyond this, in milliseconds, something hangs: nothing here takes a tenth of it. */
export const HUNG = 60_000;

export interface Result {
  /** The exit code; -1 when it was killed because it hung. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program that may touch a mount, with messages in English. Never rejects. */
export function sh(program: string, ...parameters: string[]): Promise<Result> {
  return new Promise((resolve) => {
    const options = { timeout: HUNG, maxBuffer: 1 << 28, env: { ...process.env, LC_ALL: "C.UTF-8" } };
    execFile(program, parameters, options, (error, stdout, stderr) => {
      resolve({ code: error ? (typeof error.code === "number" ? error.code : -1) : 0, stdout, stderr });
    });
  });
}

/** An empty directory to mount on; what is mounted there is taken away at the end of the test. */
export async function mountpointFor(t: Test): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "icfs-mount-")));
  t.teardown(async () => {
    while (mountAt(await readMounts(), path)) {
      const { code } = await sh("umount", "-l", path);
      if (code !== 0) break;
    }
    await rmdir(path);
  });
  return path;
}

export interface Served {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Resolves when the process has ended, to its exit code or signal. */
  readonly ended: Promise<number | string>;
  /** What it has written on stderr so far. */
  stderr(): string;
}

/** Starts the fixture; resolves when it is mounted, or has ended instead. The process is ended with the test. */
export async function serve(t: Test, mountpoint: string, ...more: string[]): Promise<Served> {
  const child = spawn(process.execPath, [FIXTURE, mountpoint, ...more], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await Promise.race([once(child.stdout, "data"), ended]);
  return { process: child, pid: child.pid!, ended, stderr: () => stderr };
}

export async function mountedAt(mountpoint: string): Promise<Mount | undefined> {
  return mountAt(await readMounts(), mountpoint);
}

/** Waits for something that happens in another process. @throws Error when it does not */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  // By the clock: to look may take longer than the pauses.
  const end = performance.now() + HUNG;
  while (performance.now() < end) {
    if (await condition()) return;
    await sleep(50);
  }
  throw new Error(`waited in vain: ${what}`);
}
