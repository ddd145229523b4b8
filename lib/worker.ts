/**
 * Starts a module of this program on a thread. For the installed program, the compiler turns .ts into .js in imports
 * (packaging/tsconfig.json), but not in URLs.
 */
import { extname } from "node:path";
import { Worker, type WorkerOptions } from "node:worker_threads";

/**
 * @param beside import.meta.url of a module in the same directory
 * @param name the module's, without its extension
 */
export function startWorker(beside: string, name: string, options?: WorkerOptions): Worker {
  // V8's options apply to the process anyway, and --import options would only delay the thread.
  return new Worker(new URL(name + extname(beside), beside), { execArgv: [], ...options });
}
