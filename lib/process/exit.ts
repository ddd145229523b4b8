/** Ends a process, even if threads still run in it. */

import { flushCompileCache } from "node:module";

/**
 * Ends this process at once. process.exit() waits for the threads of Node's pool, and a thread that reads /dev/fuse waits for
 * the last user of a busy mount, perhaps for ever. Executing another program ends all threads.
 */
export function exitProcess(code: number): never {
  flushCompileCache();
  if (process.execve !== undefined) {
    // As in process.exit(): the log may still have something to write.
    process.emit("exit", code);
    process.execve("/bin/sh", ["sh", "-c", `exit ${code}`], {});
  }
  process.exit(code);
}
