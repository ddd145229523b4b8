/**
 * Helpers for tests over real mounts. The tests' own process never touches a mount with a call of its own: `sh`, `serve` and
 * the readers use processes, asynchronously. Each test's teardown removes what it leaves.
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, realpath, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Mount, mountAt, readMounts } from "../../lib/fs/mounting/mountinfo.ts";
import { spawned } from "../support/spawned.ts";

interface Test {
  teardown(work: () => Promise<void>): void;
}

export const FIXTURE = fileURLToPath(new URL("serve-fixture.ts", import.meta.url));

/** Milliseconds after which something hangs: nothing here takes a tenth of it. */
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

/** An empty directory to mount on. At the end of the test anything mounted there is unmounted. */
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
  /** What the process has written on stderr so far. */
  stderr(): string;
}

/** Starts the fixture. Resolves when it is mounted, or has ended instead. The process ends with the test. */
export async function serve(t: Test, mountpoint: string, ...more: string[]): Promise<Served> {
  const { child, ended, stderr } = spawned(t, process.execPath, [FIXTURE, mountpoint, ...more]);
  await Promise.race([once(child.stdout, "data"), ended]);
  return { process: child, pid: child.pid!, ended, stderr };
}

export async function mountedAt(mountpoint: string): Promise<Mount | undefined> {
  return mountAt(await readMounts(), mountpoint);
}

/** Waits for something that happens in another process. @throws Error when it does not */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  // By the clock, since the condition may take longer than the pauses. It is tried once more after the end: this process may have been late.
  const end = performance.now() + HUNG;
  for (let isLast = false; !isLast; await sleep(50)) {
    isLast = performance.now() >= end;
    if (await condition()) return;
  }
  throw new Error(`waited without success: ${what}`);
}

/**
 * Waits until other processes have done so many things. They may take any time, as long as they make progress.
 *
 * @param count how many they have done
 * @throws Error that says how far they came, when they got no further, or too far
 */
export async function grows(
  what: string,
  wanted: number,
  count: () => number | Promise<number>,
): Promise<void> {
  for (let reached = await count(); reached !== wanted; ) {
    let now = reached;
    const has = async () => {
      now = await count();
      return now !== reached;
    };
    await eventually(`${what}: ${reached} of ${wanted}, and no more`, has);
    if (now > wanted) throw new Error(`${what}: ${now}, and ${wanted} were expected`);
    reached = now;
  }
}

/** Ways to read a file, for waitingReader(): through the page cache, page by page, and past it. */
export const WAYS_TO_READ = {
  "read()": "os.read(os.open(path, os.O_RDONLY), 4096)",
  "read() of much": "os.read(os.open(path, os.O_RDONLY), 300000)",
  O_DIRECT: "os.preadv(os.open(path, os.O_RDONLY | os.O_DIRECT), [mmap.mmap(-1, 4096)], 0)",
  mmap: "mmap.mmap(os.open(path, os.O_RDONLY), 300000, prot=mmap.PROT_READ)[0]",
};

export interface WaitingReader {
  readonly child: ChildProcess;
  /** Resolves to its exit code, or the signal that has ended it. */
  readonly ended: Promise<[number | null, string | null]>;
  /** `reading`, and then the output of the read once there is one. */
  said(): string;
}

/**
 * A process that waits in a read of `path`, in the kernel.
 *
 * @param how the read, in Python
 * @param before what the process does before it, in Python
 */
export async function waitingReader(t: Test, path: string, how: string, before = ""): Promise<WaitingReader> {
  const script = `
import mmap, os, signal, sys
path = sys.argv[1]
${before}
print("reading", flush=True)
got = ${how}
signal.setitimer(signal.ITIMER_REAL, 0)
print(len(got) if isinstance(got, bytes) else got, flush=True)
`;
  const child = spawn("python3", ["-c", script, path], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "close") as Promise<[number | null, string | null]>;
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  t.teardown(async () => void child.kill("SIGKILL"));
  await eventually("it reads", () => said !== "");
  // Asleep: the process waits for the answer.
  await eventually("it waits", async () =>
    /\) [SD] /.test(await readFile(`/proc/${child.pid}/stat`, "utf8")),
  );
  return { child, ended, said: () => said };
}

/** A process that has a file of the mount open, or works in it, until the test ends. Resolves once it does so. */
export async function occupy(t: Test, script: string): Promise<void> {
  const child = spawn(
    "python3",
    ["-c", `import os, sys, time\n${script}\nprint("ready", flush=True)\ntime.sleep(600)`],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  t.teardown(async () => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
}

export interface Holder {
  /** Lets it read the file to its end. Resolves to the SHA-256 of the whole file, or the error's name. */
  rest(): Promise<string>;
  /** Ends the process. */
  close(): Promise<void>;
}

/** A process that has a file open. Resolves when it has read the first byte. */
export async function holding(t: Test, path: string): Promise<Holder> {
  const script = `
import errno, hashlib, os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
whole = hashlib.sha256(os.read(file, 1))
print("open", flush=True)
sys.stdin.readline()
try:
    while piece := os.read(file, 100000):
        whole.update(piece)
    print(whole.hexdigest(), flush=True)
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
sys.stdin.readline()
`;
  const child = spawn("python3", ["-c", script, path], { stdio: ["pipe", "pipe", "inherit"] });
  t.teardown(async () => void child.kill("SIGKILL"));
  // Python may write a line in two pieces.
  const lines = createInterface({ input: child.stdout });
  const said = once(lines, "line");
  const ended = once(child, "exit").then(([code, signal]) => {
    throw new Error(`who was to hold ${path} has ended: ${signal ?? code}`);
  });
  await Promise.race([said, ended]);
  ended.catch(() => {});
  return {
    async rest() {
      const answer = once(lines, "line");
      child.stdin.write("\n");
      return String((await answer)[0]);
    },
    async close() {
      child.kill("SIGKILL");
      await ended.catch(() => {});
    },
  };
}
