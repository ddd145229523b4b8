/**
 * Answers status requests to a process that serves a canister: HTTP over a socket in the host's runtime directory. A mount's
 * socket is named for its device number. Only the user who mounted can ask, because the answers contain file names of a possibly
 * private canister. The answers of `icfs serve` contain none; where systemd has made a directory for it, everybody can ask.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, lstatSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { createBoundedServer } from "../../bounded-server.ts";
import { absolute, makeOwnDirectory, mustBeOwn } from "../../directories.ts";
import { isAbsent, messageOf, UserError } from "../../errors.ts";
import type { Mount } from "../../fs/mounting/mountinfo.ts";
import type { Log } from "../../log.ts";
import { http } from "../../node-http.ts";
import type { MountStatus, ServingStatus } from "./status.ts";

/** Milliseconds. The answer comes from memory, but the process may be busy verifying. */
const TIMEOUT_MS = 5000;
/** The limit of an answer. Each gateway or mirror takes a few hundred bytes. */
const MOST_BYTES = 1024 * 1024;
/** The advice when another user owns the directory. */
const SET_ANOTHER = "have its owner remove it, or set XDG_RUNTIME_DIR to a directory of your own";
/** systemd makes a directory here for each instance of icfs-serve@.service. */
const UNITS = "/run/icfs-serve";
/** The socket's name in such a directory. */
const OF_UNIT = "status.sock";
const OF_PROCESS = /^serve-(\d+)\.sock$/;

function runtimeDirectory(): string {
  // For root, the same path for an administrator and for a mount at boot, whose XDG_RUNTIME_DIR would differ.
  const runtime = process.getuid!() === 0 ? "/run" : (absolute("XDG_RUNTIME_DIR") ?? "/tmp");
  return join(runtime, runtime === "/tmp" ? `icfs-${process.getuid!()}` : "icfs");
}

function socketOf({ device }: Mount): string {
  return join(runtimeDirectory(), `${device.replace(":", "-")}.sock`);
}

export interface Control {
  /** Resolves when the socket listens, or cannot be made. */
  readonly listening: Promise<void>;
  close(): void;
}

/** Answers status requests about a mount until `close`. If the socket cannot be made, this is only logged. */
export function serveControl(mount: Mount, status: () => MountStatus, log: Log): Control {
  return answerAt(socketOf(mount), 0o600, status, "this mount", log);
}

/** Answers status requests about `icfs serve`. @param status undefined while nothing is served yet */
export function serveHostControl(status: () => ServingStatus | undefined, log: Log): Control {
  const units = absolute("RUNTIME_DIRECTORY");
  return units === undefined
    ? answerAt(join(runtimeDirectory(), `serve-${process.pid}.sock`), 0o600, status, "this process", log)
    : answerAt(join(units, OF_UNIT), 0o666, status, "this process", log);
}

function answerAt(
  socket: string,
  mode: number,
  status: () => ServingStatus | undefined,
  what: string,
  log: Log,
): Control {
  const listening = Promise.withResolvers<void>();
  const server = createBoundedServer((_, response) => {
    const now = status();
    response.writeHead(now === undefined ? 503 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(now ?? null));
  });
  server.on("error", (error) => {
    log.warn(`icfs status cannot ask ${what}: ${messageOf(error)}`);
    listening.resolve();
  });
  // Listen under a temporary name: libuv removes a socket by the name it was given, and by then another mount may have this one's
  // number. The name is short because a socket path has at most 107 bytes: it fits wherever the final name fits.
  const made = join(dirname(socket), randomBytes(4).toString("hex"));
  let own: number | undefined;
  try {
    if (mode === 0o600) makeOwnDirectory(dirname(socket), SET_ANOTHER);
    server
      .listen(made, () => {
        try {
          chmodSync(made, mode);
          own = lstatSync(made).ino;
          // Replaces the socket of a killed process; the kernel has reused its number for this mount.
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

/**
 * Makes sure that no other user can answer in the mount's place.
 *
 * @param isAnyones whether the owner of a directory made by root may answer as well
 * @throws Error; UserError
 */
function mustBeOwnSocket(socket: string, isAnyones = false): void {
  mustBeOwn(isAnyones ? dirname(dirname(socket)) : dirname(socket), SET_ANOTHER);
  const status = lstatSync(socket);
  if (!status.isSocket()) throw new Error(`${socket} is not a socket`);
  if (!isAnyones && status.uid !== process.getuid!()) throw new Error(`${socket} belongs to another user`);
}

/** The status of a mount, from its process. @throws UserError when it does not answer */
export async function askStatus(mount: Mount): Promise<MountStatus> {
  try {
    mustBeOwnSocket(socketOf(mount));
    return (await ask(socketOf(mount))) as MountStatus;
  } catch (error) {
    throw new UserError(
      `the process that serves ${mount.mountpoint} does not answer (${messageOf(error)}): it was killed, is another user's, or hangs`,
    );
  }
}

/**
 * The status of each `icfs serve` of this user, and of each instance of the systemd unit.
 *
 * @returns each status, or the error instead
 */
export async function askHosts(): Promise<(ServingStatus | UserError)[]> {
  const own = runtimeDirectory();
  const sockets = [
    ...namesIn(own)
      .filter((name) => OF_PROCESS.test(name))
      .map((name) => ({ socket: join(own, name), isUnits: false })),
    ...namesIn(UNITS).map((name) => ({ socket: join(UNITS, name, OF_UNIT), isUnits: true })),
  ];
  const answers = await Promise.all(sockets.map(({ socket, isUnits }) => askHost(socket, isUnits)));
  return answers.filter((answer) => answer !== undefined);
}

/** @returns undefined when the process has gone */
async function askHost(socket: string, isUnits: boolean): Promise<ServingStatus | UserError | undefined> {
  try {
    mustBeOwnSocket(socket, isUnits);
    return ((await ask(socket)) ?? new UserError(`icfs serve (${socket}) has nothing to serve yet`)) as
      | ServingStatus
      | UserError;
  } catch (error) {
    // A killed process leaves its socket.
    if (isAbsent(error) || (error as NodeJS.ErrnoException).code === "ECONNREFUSED") return undefined;
    return new UserError(`icfs serve does not answer at ${socket} (${messageOf(error)})`);
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** @throws Error */
function ask(socketPath: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  // Do not reuse a connection: another process may have the name by now.
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const asked = http.request({ socketPath, path: "/status", signal, agent: false }, async (response) => {
    try {
      const parts: Buffer[] = [];
      let bytes = 0;
      for await (const part of response) {
        bytes += part.length;
        if (bytes > MOST_BYTES) throw new Error(`its answer has more than ${MOST_BYTES} bytes`);
        parts.push(part);
      }
      resolve(JSON.parse(Buffer.concat(parts).toString()));
    } catch (error) {
      reject(error);
    }
  });
  asked
    .on("error", (error) =>
      reject(signal.aborted ? new Error(`no answer within ${TIMEOUT_MS / 1000} s`) : error),
    )
    .end();
  return promise;
}
