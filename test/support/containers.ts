/** Runs processes as in containers: each is the first process, with id 1, of its own process table. */
import { fileURLToPath } from "node:url";
import { type Result, run } from "./icfs.ts";

const SLOW_DISK = fileURLToPath(new URL("slow-disk.ts", import.meta.url));

/** Runs a Node program to its end in a container, over a slow disk. @param program a file URL */
export function runInContainer(
  program: URL,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Result> {
  const node = [process.execPath, "--import", SLOW_DISK, fileURLToPath(program), ...args];
  return run("unshare", ["--pid", "--fork", "--kill-child", "--mount-proc", ...node], { env });
}
