/**
 * Runs a command in the background: the parent starts a copy of the program in its own session, and waits until
 * the copy reports over an IPC channel that it is ready or has failed, or ends without a report.
 *
 * In the parent: `runInBackground`. In the copy: `isBackgroundChild`, then `notifyReady` or `notifyFailed`.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type FileHandle, open } from "node:fs/promises";
import { constants } from "node:os";
import { messageOf, UsageError, UserError } from "../errors.ts";
import { prepareLogDirectory } from "./log-file.ts";

export interface BackgroundRequest {
  /** The arguments after the node executable, the script first. Relative paths in them mean what they do now. */
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Where the copy's stdout and stderr go, created if missing, appended to; /dev/null for nowhere. */
  readonly logFile: string;
  /** Whether the copy stays in this process group. Default: it has a session of its own. */
  readonly sameGroup?: boolean;
  /** Called with the reason when the copy reports that it is not ready yet. */
  readonly waiting?: (reason: string) => void;
}

/** The copy's report once it is ready: anything that JSON can represent. */
export type ReadyMessage = Record<string, unknown>;

type Report =
  | { readonly ready: ReadyMessage }
  | { readonly failed: string; readonly usage: boolean }
  | { readonly waiting: string };

// Tells the copy that it is one. A channel alone is not enough: test runners, for example, start programs with one, too.
const CHILD_VARIABLE = "ICFS_BACKGROUND_CHILD";
// How long a copy may take to end, including unmounting what it has just mounted.
const ENDING_LIMIT_MS = 5000;
// How much of a dead copy's output is shown: its last lines, not a whole log.
const LAST_WORDS_BYTES = 4096;

/**
 * Starts the copy and waits for its report. When it is ready, it continues by itself, and `pid` is its process id.
 *
 * SIGINT and SIGTERM until then end the copy, and then this process.
 *
 * @throws UserError with the copy's reason, or with what it wrote before it died
 */
export async function runInBackground(
  request: BackgroundRequest,
): Promise<{ pid: number; message: ReadyMessage }> {
  await using log = await openLog(request.logFile);
  const { size: logStart } = await log.stat();
  const child = spawn(process.execPath, [...process.execArgv, ...request.argv], {
    detached: request.sameGroup !== true,
    stdio: ["ignore", log.fd, log.fd, "ipc"],
    env: { ...request.env, [CHILD_VARIABLE]: "1" },
  });

  let interrupted = false;
  const interrupt = (signal: NodeJS.Signals) => {
    interrupted = true;
    child.kill("SIGTERM");
    const limit = setTimeout(() => child.kill("SIGKILL"), ENDING_LIMIT_MS);
    child.once("exit", () => {
      clearTimeout(limit);
      process.exit(128 + constants.signals[signal]); // as shells report it
    });
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);

  try {
    const report = await Promise.race([
      lastReport(child, request.waiting),
      // The last message may still be in the channel when the exit is known.
      once(child, "close").then(
        ([code, signal]) => ({ code, signal }) as { code: number | null; signal: string | null },
      ),
    ]);
    // Ready or not, the copy is ending, and so will this process.
    if (interrupted) await new Promise(() => {});
    if ("ready" in report) return { pid: child.pid!, message: report.ready };
    if ("failed" in report) throw report.usage ? new UsageError(report.failed) : new UserError(report.failed);
    const how = report.signal === null ? `with exit code ${report.code}` : `by ${report.signal}`;
    const words = await readFrom(log, logStart);
    throw new UserError(`the background process ended ${how} before it was ready${words && `:\n${words}`}`);
  } finally {
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** The copy's final report; earlier ones are passed on. */
function lastReport(
  child: ChildProcess,
  waiting: BackgroundRequest["waiting"],
): Promise<Exclude<Report, { readonly waiting: string }>> {
  return new Promise((resolve) => {
    child.on("message", (message) => {
      const report = message as Report;
      if ("waiting" in report) waiting?.(report.waiting);
      else resolve(report);
    });
  });
}

async function openLog(file: string): Promise<FileHandle> {
  try {
    prepareLogDirectory(file);
    return await open(file, "a+", 0o640);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `cannot write the daemon's log (${messageOf(error)}): choose another with --log-file`,
    );
  }
}

async function readFrom(log: Awaited<ReturnType<typeof open>>, start: number): Promise<string> {
  const status = await log.stat();
  if (!status.isFile()) return "";
  const from = Math.max(start, status.size - LAST_WORDS_BYTES);
  const { buffer, bytesRead } = await log.read(Buffer.alloc(LAST_WORDS_BYTES), 0, LAST_WORDS_BYTES, from);
  return buffer.toString("utf8", 0, bytesRead).trim();
}

/** Tells whether this process is the copy. */
export function isBackgroundChild(): boolean {
  return process.env[CHILD_VARIABLE] === "1" && process.send !== undefined;
}

/**
 * Reports success to the parent and detaches from it: from now on, the working directory is /, so that the copy
 * keeps no file system busy. Does nothing in a process that was not started by `runInBackground`.
 *
 * @throws Error when the parent has gone, since nobody would know about this process
 */
export async function notifyReady(message: ReadyMessage): Promise<void> {
  if (!isBackgroundChild()) return;
  process.chdir("/");
  await send({ ready: message });
  process.disconnect();
}

/** Tells the parent why the copy is not ready yet. Does nothing where `notifyReady` does not. */
export function notifyWaiting(reason: string): void {
  // notifyReady() notices if the parent no longer listens.
  if (isBackgroundChild() && process.connected) send({ waiting: reason }).catch(() => {});
}

/** Tells the parent why the copy gives up; the caller exits then. Does nothing where `notifyReady` does not. */
export async function notifyFailed(error: unknown): Promise<void> {
  if (!isBackgroundChild() || !process.connected) return;
  await send({ failed: messageOf(error), usage: error instanceof UsageError });
  process.disconnect();
}

function send(report: Report): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send!(report, undefined, undefined, (error: Error | null) => (error ? reject(error) : resolve()));
  });
}
