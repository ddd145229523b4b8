/** A process that a test communicates with: its stderr is kept, and it is killed when the test ends. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import type { Test } from "./icfs.ts";

export interface Spawned {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** Its stderr so far. */
  stderr(): string;
}

/** Starts a program. */
export function spawned(
  t: Test,
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Spawned {
  const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return { child, ended, stderr: () => stderr };
}
