/**
 * Starts a module of this program on a thread. Its name in an import would be changed by the compiler, which makes .js of .ts for
 * what is installed (packaging/tsconfig.json); a URL is not.
 */
import { extname } from "node:path";
import { Worker, type WorkerOptions } from "node:worker_threads";

/**
 * @param beside import.meta.url of a module in the same directory
 * @param name the module's, without its extension
 */
export function startWorker(beside: string, name: string, options?: WorkerOptions): Worker {
  // V8's options are the process's; what it was to import before its own program is nothing to a thread, which it would only delay.
  return new Worker(new URL(name + extname(beside), beside), { execArgv: [], ...options });
}
