/**
 * Runs bin/icfs as a child process, away from the user's own keys and state. Never synchronously: its network may be this
 * process.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TRANSPORT } from "./transport.ts";
import "./untracked.js";

/** The part of a tap test that these helpers use. */
export interface Test {
  teardown(work: () => Promise<void> | void): void;
}

export const BIN = fileURLToPath(new URL("../../bin/icfs", import.meta.url));

/** Milliseconds after which a process is taken to have hung: nothing here takes a tenth of that. */
export const HUNG = 60_000;
/** The same for a process that works all the time, on a machine that has much else to do. */
const HUNG_AT_WORK = 3 * HUNG;

export interface Result {
  /** The exit code; 128 plus the signal's number when a signal ended it, as in a shell. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The complete environment. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Milliseconds after which it is killed. Default: three times HUNG, since it may have work to do. */
  readonly limit?: number;
  /** Called with the child once it runs. */
  readonly started?: (child: ChildProcess) => void;
}

/** Runs a program to its end, and kills it if it takes too long. Rejects only when it cannot be started. */
export function run(program: string, args: readonly string[], options: RunOptions): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: options.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: ["ignore", "pipe", "pipe"],
      timeout: options.limit ?? HUNG_AT_WORK,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", reject);
    child.once("close", (code, signal) =>
      resolve({ code: code ?? 128 + constants.signals[signal!], stdout, stderr }),
    );
    child.once("spawn", () => options.started?.(child));
  });
}

/** An empty directory, removed at the end of the test. */
export async function temporaryDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "icfs-test-"));
  t.teardown(async () => {
    try {
      // Retried while it is not empty: the daemon of a mount that has just been unmounted may still be writing.
      await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    } catch (error) {
      // tap would not show the error.
      console.error(error);
      throw error;
    }
  });
  return directory;
}

/** An environment without any options of icfs except the transport, and with `home` instead of the user's directories. */
export function cleanEnvironment(home: string): NodeJS.ProcessEnv {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ICFS_")));
  return {
    ...env,
    LC_ALL: "C.UTF-8",
    HOME: home,
    XDG_CONFIG_HOME: join(home, "config"),
    XDG_STATE_HOME: join(home, "state"),
    XDG_CACHE_HOME: join(home, "cache"),
    ICFS_TRANSPORT: TRANSPORT,
  };
}
