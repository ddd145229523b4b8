/**
 * How a mount's process is asked about itself: HTTP over a socket that is named for the mount's device number, in the
 * host's runtime directory. Only the user who mounted can ask: file names of a private canister stand in the answers.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, lstatSync, renameSync, rmSync } from "node:fs";
import { request } from "node:http";
import { dirname, join } from "node:path";
import { createBoundedServer } from "../../bounded-server.ts";
import { absolute, makeOwnDirectory, mustBeOwn } from "../../directories.ts";
import { messageOf, UserError } from "../../errors.ts";
import type { Mount } from "../../fs/mounting/mountinfo.ts";
import type { Log } from "../../log.ts";
import type { MountStatus } from "./status.ts";

/** Milliseconds: the answer is made from memory, by a process that may be verifying something. */
const TIMEOUT_MS = 5000;
/** What to do when somebody else has the directory first. */
const SET_ANOTHER = "have its owner remove it, or set XDG_RUNTIME_DIR to a directory of your own";

function socketOf({ device }: Mount): string {
  // Root's is the same whether an administrator asks or the boot mounted: XDG_RUNTIME_DIR would differ.
  const runtime = process.getuid!() === 0 ? "/run" : (absolute("XDG_RUNTIME_DIR") ?? "/tmp");
  const directory = runtime === "/tmp" ? `icfs-${process.getuid!()}` : "icfs";
  return join(runtime, directory, `${device.replace(":", "-")}.sock`);
}

export interface Control {
  /** Resolves when it can be asked, or cannot be made. */
  readonly listening: Promise<void>;
  close(): void;
}

/** Answers whoever asks about a mount, until `close`. A socket that cannot be made is logged, and gone without. */
export function serveControl(mount: Mount, status: () => MountStatus, log: Log): Control {
  const socket = socketOf(mount);
  const listening = Promise.withResolvers<void>();
  const server = createBoundedServer((_, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(status()));
  });
  server.on("error", (error) => {
    log.warn(`icfs status cannot ask this mount: ${messageOf(error)}`);
    listening.resolve();
  });
  // libuv removes a socket by the name that it was given: by then another mount may have this one's number.
  // So short because a socket's whole path has 107 bytes at most: where the name that it is to have fits, this one does.
  const made = join(dirname(socket), randomBytes(4).toString("hex"));
  let own: number | undefined;
  try {
    makeOwnDirectory(dirname(socket), SET_ANOTHER);
    server
      .listen(made, () => {
        try {
          chmodSync(made, 0o600);
          own = lstatSync(made).ino;
          // In place of what a process has left that was killed; the kernel has given its number to this mount.
          renameSync(made, socket);
          listening.resolve();
        } catch (error) {
          server.emit("error", error);
        }
      })
      .unref();
  } catch (error) {
    server.emit("error", error);
  }
  return {
    listening: listening.promise,
    close() {
      server.close();
      server.closeAllConnections();
      if (own !== undefined && lstatSync(socket, { throwIfNoEntry: false })?.ino === own) {
        rmSync(socket, { force: true });
      }
    },
  };
}

/** Others could answer anything. @throws Error; UserError */
function mustBeOwnSocket(socket: string): void {
  mustBeOwn(dirname(socket), SET_ANOTHER);
  const status = lstatSync(socket);
  if (!status.isSocket()) throw new Error(`${socket} is no socket`);
  if (status.uid !== process.getuid!()) throw new Error(`${socket} belongs to another user`);
}

/** What the process that serves a mount says of it. @throws UserError when it does not answer */
export async function askStatus(mount: Mount): Promise<MountStatus> {
  try {
    mustBeOwnSocket(socketOf(mount));
    return await new Promise<MountStatus>((resolve, reject) => {
      const asked = request(
        // Not over a connection of before: another mount may have the name by now.
        { socketPath: socketOf(mount), path: "/status", timeout: TIMEOUT_MS, agent: false },
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
