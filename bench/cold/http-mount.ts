/** Starts a web server, and mounts FUSE file systems over HTTP that read from it, in the foreground. */
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { mountsBelow, Process, run } from "../../demo/process.ts";
import type { Workspace } from "../../demo/workspace.ts";

/** Milliseconds between two checks for the mount. */
const POLL_MS = 20;

const SERVER = fileURLToPath(new URL("web-server.ts", import.meta.url));

export interface WebServer {
  /** With a trailing slash. */
  readonly url: string;
  readonly pid: number;
}

/** Serves a directory until the stack ends. @param line simulated; default: near and without limits */
export async function startWebServer(
  directory: string,
  { env }: Workspace,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
  line: { latencyMs: number; mibPerSecond: number } = {
    latencyMs: 0,
    mibPerSecond: Number.POSITIVE_INFINITY,
  },
): Promise<WebServer> {
  const parameters = [SERVER, directory, String(line.latencyMs), String(line.mibPerSecond)];
  const server = stack.use(new Process(process.execPath, parameters, env));
  const [, url] = await server.until(/(http:\S+)\s/, { seconds: 10, signal });
  return { url: url!, pid: server.pid! };
}

/** The command of the foreground process, for a URL and a mountpoint. */
export type HttpMountCommand = (web: string, mountpoint: string) => [string, ...string[]];

/** rclone without options: `--vfs-cache-mode off`, 16 MiB of buffer for each open file. */
export const RCLONE: HttpMountCommand = (web, mountpoint) => {
  const options = ["--config", "/dev/null", "--read-only", "--http-url", web];
  return ["rclone", "mount", ...options, ":http:", mountpoint];
};

export interface HttpMount {
  readonly mountpoint: string;
  /** The process that serves the mount. */
  readonly pid: number;
}

/**
 * Mounts `web` at a new directory of the workspace, until the stack ends.
 *
 * @throws Error when the command ends before something is mounted; the signal's reason
 */
export async function mountOverHttp(
  command: HttpMountCommand,
  web: string,
  { directory, env }: Workspace,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<HttpMount> {
  const mountpoint = await mkdtemp(join(directory, "http-"));
  const [program, ...args] = command(web, mountpoint);
  const server = stack.use(new Process(program, args, env));
  stack.defer(async () => {
    if (mountsBelow(mountpoint).length > 0) await run("umount", [mountpoint], { env });
  });
  while (mountsBelow(mountpoint).length === 0) {
    signal.throwIfAborted();
    const ended = await Promise.race([server.exit, sleep(POLL_MS)]);
    if (ended !== undefined) throw new Error(`${program} has ended: ${server.tail(5)}`);
  }
  return { mountpoint, pid: server.pid! };
}
