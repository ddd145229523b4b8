/** Processes as containers have them: each the first one, with the number 1, of a table of processes that is its own. */
import { fileURLToPath } from "node:url";
import { type Result, run } from "./icfs.ts";

const SLOW_DISK = fileURLToPath(new URL("slow-disk.ts", import.meta.url));

/** Runs a program of Node's to its end in a container, over a slow disk. @param program a file's URL */
export function runInContainer(
  program: URL,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Result> {
  const node = [process.execPath, "--import", SLOW_DISK, fileURLToPath(program), ...args];
  return run("unshare", ["--pid", "--fork", "--kill-child", "--mount-proc", ...node], { env });
}
