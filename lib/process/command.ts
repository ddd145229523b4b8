/** Runs the small commands of the host: umount, fusermount and the like. */

import { spawn } from "node:child_process";

export interface CommandResult {
  /** The exit code, or null when a signal or the time limit ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

export interface CommandOptions {
  /** An open file, which the command has as its descriptor 3. */
  readonly descriptor?: number;
  /** Variables in addition to this process's environment. */
  readonly environment?: NodeJS.ProcessEnv;
  /**
   * Milliseconds until it must have written something to stdout; the limit counts from then. For commands that start slowly on a busy
   * host, for example at boot. Default: the limit counts from the start.
   */
  readonly startMs?: number;
}

/**
 * Runs a command with messages in English. After `limitMs` milliseconds it is killed and no longer waited for: a
 * process that hangs in a dead file system does not even die of SIGKILL.
 *
 * @throws Error when it cannot be started
 */
export function run(
  command: string,
  parameters: readonly string[],
  limitMs: number,
  { descriptor, environment = {}, startMs }: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, {
      stdio: ["ignore", "pipe", "pipe", ...(descriptor === undefined ? [] : [descriptor])],
      env: { ...process.env, LC_ALL: "C", ...environment },
    });
    let stdout = "";
    let stderr = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      if (startMs !== undefined && stdout === "") {
        clearTimeout(limit);
        limit = setTimeout(giveUp, limitMs);
      }
      stdout += text;
    });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const giveUp = () => {
      child.kill("SIGKILL");
      child.unref();
      child.stdout!.destroy();
      child.stderr!.destroy();
      resolve({ code: null, stdout, stderr, timedOut: true });
    };
    let limit = setTimeout(giveUp, startMs ?? limitMs);
    child.once("error", (error) => {
      clearTimeout(limit);
      reject(error);
    });
    child.once("close", (code) => {
      clearTimeout(limit);
      resolve({ code, stdout, stderr, timedOut: false });
    });
  });
}
