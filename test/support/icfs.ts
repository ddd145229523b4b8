/** bin/icfs as a child process, away from the user's own keys and state. Never synchronous: its network may be this process. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TRANSPORT } from "./transport.ts";
import "./untracked.js";

export interface Test {
  teardown(work: () => Promise<void> | void): void;
}

export const BIN = fileURLToPath(new URL("../../bin/icfs", import.meta.url));

/** Beyond this, in milliseconds, something hangs: nothing here takes a tenth of it. */
export const HUNG = 60_000;

export interface Result {
  /** The exit code; as in a shell, 128 and the signal's number when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The whole environment. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Milliseconds after which it hangs. Default: HUNG. */
  readonly limit?: number;
  /** Gets the child once it runs. */
  readonly started?: (child: ChildProcess) => void;
}

/** Runs a program to its end; it is killed when it hangs. Rejects only when it cannot be started. */
export function run(program: string, args: readonly string[], options: RunOptions): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: options.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: ["ignore", "pipe", "pipe"],
      timeout: options.limit ?? HUNG,
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
      // Again when it is not empty: the daemon of a mount that was taken away a moment ago may be writing its last.
      await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    } catch (error) {
      // tap does not say what was wrong.
      console.error(error);
      throw error;
    }
  });
  return directory;
}

/** An environment without any option of icfs in it but the transport, with `home` in place of the user's directories. */
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
