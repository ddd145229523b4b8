/**
 * How a mount's process is asked about itself: HTTP over a socket that is named for the mount's device number, in the
 * host's runtime directory. Only the user who mounted can ask: file names of a private canister stand in the answers.
 */
import { chmodSync, rmSync, statSync } from "node:fs";
import { createServer, request } from "node:http";
import { dirname, join } from "node:path";
import { makeDirectory } from "../../directories.ts";
import { messageOf, UserError } from "../../errors.ts";
import type { Mount } from "../../fs/mounting/mountinfo.ts";
import type { Log } from "../../log.ts";
import type { MountStatus } from "./status.ts";

/** Milliseconds: the answer is made from memory, by a process that may be verifying something. */
const TIMEOUT_MS = 5000;

function socketOf({ device }: Mount): string {
  // Root's is the same whether an administrator asks or the boot mounted: XDG_RUNTIME_DIR would differ.
  const runtime = process.getuid!() === 0 ? "/run" : process.env.XDG_RUNTIME_DIR || "/tmp";
  const directory = runtime === "/tmp" ? `icfs-${process.getuid!()}` : "icfs";
  return join(runtime, directory, `${device.replace(":", "-")}.sock`);
}

/** Answers whoever asks about a mount, until `close`. A socket that cannot be made is logged, and gone without. */
export function serveControl(mount: Mount, status: () => MountStatus, log: Log): { close(): void } {
  const socket = socketOf(mount);
  const server = createServer((_, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(status()));
  });
  server.on("error", (error) => log.warn(`icfs status cannot ask this mount: ${messageOf(error)}`));
  try {
    makeDirectory(dirname(socket), 0o700);
    // Of a process that was killed; the kernel has given its number to this mount.
    rmSync(socket, { force: true });
    server.listen(socket, () => chmodSync(socket, 0o600)).unref();
  } catch (error) {
    log.warn(`icfs status cannot ask this mount: ${messageOf(error)}`);
  }
  return {
    close() {
      server.close();
      rmSync(socket, { force: true });
    },
  };
}

/** Below /tmp another user may have made it, who could answer anything. @throws Error */
function mustBeOwn(socket: string): void {
  const { uid } = statSync(dirname(socket));
  if (uid !== process.getuid!()) throw new Error(`${dirname(socket)} belongs to another user`);
}

/** What the process that serves a mount says of it. @throws UserError when it does not answer */
export async function askStatus(mount: Mount): Promise<MountStatus> {
  try {
    mustBeOwn(socketOf(mount));
    return await new Promise<MountStatus>((resolve, reject) => {
      const asked = request(
        { socketPath: socketOf(mount), path: "/status", timeout: TIMEOUT_MS },
        async (response) => {
          try {
            const parts: Buffer[] = [];
            for await (const part of response) parts.push(part);
            resolve(JSON.parse(Buffer.concat(parts).toString()) as MountStatus);
          } catch (error) {
            reject(error);
          }
        },
      );
      asked.on("timeout", () => asked.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
      asked.on("error", reject).end();
    });
  } catch (error) {
    throw new UserError(
      `the process that serves ${mount.mountpoint} does not answer (${messageOf(error)}): it was killed, is another user's, or hangs`,
    );
  }
}
