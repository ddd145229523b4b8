/** A mount for a measurement, served by a process of its own. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { TransportName } from "../../lib/fs/choose-transport.ts";

const SERVER = fileURLToPath(new URL("serve.ts", import.meta.url));
const LOAD = fileURLToPath(new URL("load.ts", import.meta.url));
/** As the daemon's (lib/cli/mount.ts). */
const SERVER_THREADS = "8";
/** Each reader of the load waits in one. */
const LOAD_THREADS = "40";

export const TRANSPORTS: readonly TransportName[] = ["kernel", "fuse-native"];

/** What a load has done: operations, and in how many seconds. */
export interface Work {
  readonly count: number;
  readonly seconds: number;
}

export class Mounted implements AsyncDisposable {
  readonly #mountpoint: string;
  readonly #server: ChildProcess;

  private constructor(mountpoint: string, server: ChildProcess) {
    this.#mountpoint = mountpoint;
    this.#server = server;
  }

  static async start(transport: TransportName): Promise<Mounted> {
    const mountpoint = await mkdtemp(join(tmpdir(), "icfs-bench-"));
    const server = spawn(process.execPath, [SERVER, mountpoint, transport], {
      stdio: ["ignore", "pipe", "inherit"],
      // Ctrl-C in a terminal is for this process, which ends that one.
      detached: true,
      env: { ...process.env, UV_THREADPOOL_SIZE: SERVER_THREADS },
    });
    const mounted = new Mounted(mountpoint, server);
    await Promise.race([once(server.stdout!, "data"), once(server, "exit")]);
    if (server.exitCode !== null) throw new Error(`cannot mount over ${transport}`);
    return mounted;
  }

  /**
   * Puts a load (load.ts) on the mount.
   * @throws Error when a read failed, or was wrong, or `signal` came
   */
  async load(kind: string, seconds: number, signal: AbortSignal): Promise<Work> {
    const parameters = [LOAD, kind, this.#mountpoint, String(seconds)];
    const env = { ...process.env, UV_THREADPOOL_SIZE: LOAD_THREADS };
    try {
      const { stdout } = await promisify(execFile)(process.execPath, parameters, { env, signal });
      return JSON.parse(stdout);
    } catch (error) {
      // The program says only that it was aborted.
      signal.throwIfAborted();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.exitCode === null && this.#server.signalCode === null) {
      const ended = once(this.#server, "exit");
      this.#server.kill("SIGTERM");
      await ended;
    }
    await rmdir(this.#mountpoint);
  }
}
