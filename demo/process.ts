/**
 * Child processes that end reliably: each is in a process group of its own (so that Ctrl-C in a terminal reaches only this
 * process, which ends them in order), its output is kept, every wait for it has a limit, and it can always be stopped.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";

/** Output kept of each process, in characters: a whole boot writes about 50,000. */
const KEPT_OUTPUT = 4_000_000;
/** The end of the output in which until() looks past control sequences, in characters. */
const LOOKED_AT_PLAIN = 64_000;
/** Seconds between asking a process to end and killing it. */
const STOP_SECONDS = 8;
/** Milliseconds between two checks whether a process group has ended. */
const POLL_MS = 20;
/** How many milliseconds an ended process's pipes may stay open: a child that it left behind may hold them. */
const DRAIN_MS = 500;

export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  /** The time limit. */
  seconds?: number;
  /** Ends the process, and the wait for it. */
  signal?: AbortSignal | undefined;
}

/** A command's name in messages: icfs with its subcommand, and nsenter by the command it runs. */
function nameOf(command: string, args: string[]): string {
  const name = basename(command);
  if (name === "icfs") return `icfs ${args[0]}`;
  if (name === "nsenter") return basename(args[args.indexOf("--") + 1]!);
  return name;
}

/** A started process. */
export class Process implements AsyncDisposable {
  /** Its name in messages. */
  readonly name: string;
  /** Resolves, never rejects, when it has ended: to the exit code, or to the reason why there is none. */
  readonly exit: Promise<number | string>;
  /** Its output on stdout and stderr, in order of arrival. */
  output = "";
  /** Its output on stdout alone. */
  stdout = "";
  #child: ChildProcess;
  #ended: number | string | undefined;
  #changed = new EventTarget();

  constructor(command: string, args: string[], env: NodeJS.ProcessEnv = process.env) {
    this.name = nameOf(command, args);
    const child = spawn(command, args, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const keep = (text: string) => {
      this.output = (this.output + text).slice(-KEPT_OUTPUT);
      this.#changed.dispatchEvent(new Event("change"));
    };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout = (this.stdout + text).slice(-KEPT_OUTPUT);
      keep(text);
    });
    child.stderr.setEncoding("utf8").on("data", keep);
    this.exit = new Promise((resolve) => {
      const end = (how: number | string) => {
        if (this.#ended === undefined) {
          this.#ended = how;
          this.#changed.dispatchEvent(new Event("change"));
        }
        resolve(this.#ended);
      };
      child.on("error", (error) => end(`cannot be started: ${error.message}`));
      child.on("exit", (code, killer) => {
        const how = code ?? `killed by ${killer}`;
        child.on("close", () => end(how));
        setTimeout(() => {
          afterReading(() => {
            child.stdout.destroy();
            child.stderr.destroy();
            end(how);
          });
        }, DRAIN_MS);
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The last `lines` lines of its output as plain text. */
  tail(lines: number): string {
    return plainText(this.output)
      .split("\n")
      .map((line) => line.trimEnd())
      .filter((line) => line !== "")
      .slice(-lines)
      .join("\n");
  }

  /**
   * Waits until its output matches `pattern`, as it is or as plain text: a BIOS on a busy machine may write control sequences
   * between any two characters. The pattern must not end in a repetition, such as \d+: output arrives in pieces, and the first
   * piece that matches may end in the middle of a number.
   *
   * @throws Error when the pattern ends in a repetition, the process ends first, `refuse` matches (the line is quoted), or
   * `seconds` pass; the signal's reason.
   */
  async until(
    pattern: RegExp,
    { seconds, signal, refuse }: { seconds: number; signal?: AbortSignal | undefined; refuse?: RegExp },
  ): Promise<RegExpExecArray> {
    if (/(?<!\\)[*+}]\)*$/.test(pattern.source)) throw new Error(`${pattern}: what follows the repetition?`);
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const look = () => {
      const plain = plainText(this.output.slice(-LOOKED_AT_PLAIN));
      const found = pattern.exec(this.output) ?? pattern.exec(plain);
      const refused = refuse?.exec(this.output) ?? refuse?.exec(plain);
      if (found) resolve(found);
      else if (refused) reject(new Error(`${this.name}: ${refused[0]}`));
      else if (signal?.aborted) reject(signal.reason);
      else if (this.#ended !== undefined) reject(this.#endedEarly(`no ${pattern}`));
    };
    this.#changed.addEventListener("change", look);
    signal?.addEventListener("abort", look);
    const late = () => reject(new Error(`${this.name}: no ${pattern} within ${seconds} s`));
    const timer = setTimeout(() => afterReading(late), seconds * 1000);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#changed.removeEventListener("change", look);
      signal?.removeEventListener("abort", look);
    }
  }

  #endedEarly(missing: string): Error {
    const how = typeof this.#ended === "number" ? `ended with code ${this.#ended}` : this.#ended;
    return new Error(`${this.name} ${how}, ${missing}\n${this.tail(10)}`);
  }

  /**
   * Asks the process and its group to end, kills them if they do not, and resolves when all have ended. A child that a server
   * forked for a client may outlive it, and keep a file of a mount open.
   */
  async stop(): Promise<void> {
    if (this.#ended !== undefined) return;
    this.#kill("SIGTERM");
    const killer = setTimeout(() => this.#kill("SIGKILL"), STOP_SECONDS * 1000);
    await this.exit;
    clearTimeout(killer);
    const until = performance.now() + STOP_SECONDS * 1000;
    while (this.pid !== undefined && hasMembers(this.pid) && performance.now() < until) {
      this.#kill("SIGKILL");
      await sleep(POLL_MS);
    }
  }

  #kill(name: NodeJS.Signals): void {
    try {
      if (this.pid !== undefined) process.kill(-this.pid, name);
    } catch {
      // It has ended meanwhile.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/**
 * Runs a command to its end and resolves to its stdout.
 *
 * @throws Error with the end of its output when it fails or takes longer than `seconds` (30); the signal's reason.
 */
export async function run(
  command: string,
  args: string[],
  { env, seconds = 30, signal }: RunOptions = {},
): Promise<string> {
  signal?.throwIfAborted();
  await using child = new Process(command, args, env);
  const { promise: stopped, resolve } = Promise.withResolvers<"stopped">();
  const stop = () => resolve("stopped");
  const timer = setTimeout(stop, seconds * 1000);
  signal?.addEventListener("abort", stop);
  const how = await Promise.race([child.exit, stopped]);
  clearTimeout(timer);
  signal?.removeEventListener("abort", stop);
  if (how === 0) return child.stdout;
  signal?.throwIfAborted();
  const why =
    how === "stopped" ? `did not end within ${seconds} s` : typeof how === "number" ? `failed (${how})` : how;
  throw new Error(`${child.name} ${why}\n${child.tail(20)}`.trimEnd());
}

/** Text without control sequences, and without control characters other than the end of a line. */
function plainText(text: string): string {
  return stripVTControlCharacters(text).replace(/[^\n\P{Cc}]/gu, "");
}

/** Calls `work` once what has come meanwhile is read: on a busy machine, this process may have had no turn for a long time. */
function afterReading(work: () => void): void {
  // Timers come before pipes, and this after both.
  setImmediate(work);
}

/** Whether the group still has a running process. A zombie does not count. */
function hasMembers(group: number): boolean {
  return readdirSync("/proc").some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      // proc_pid_stat(5): the state, the parent and the group follow the command's name, which may contain anything.
      const [state, , itsGroup] = readFileSync(`/proc/${name}/stat`, "latin1")
        .replace(/^.*\) /s, "")
        .split(" ");
      return Number(itsGroup) === group && state !== "Z" && state !== "X";
    } catch {
      return false; // It has ended meanwhile.
    }
  });
}

/** The processes that were started with `text` in their environment, whoever their parents are now. */
export function processesWith(text: string): { pid: number; command: string }[] {
  const found = [];
  for (const pid of readdirSync("/proc").filter(
    (name) => /^\d+$/.test(name) && Number(name) !== process.pid,
  )) {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, "latin1").includes(text)) continue;
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      if (command !== "") found.push({ pid: Number(pid), command });
    } catch {
      // It has ended, or belongs to another user.
    }
  }
  return found;
}

/** The mount points at or below `directory`. */
export function mountsBelow(directory: string): string[] {
  const points = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    // mountinfo writes blanks and backslashes as octal escapes.
    .map((point) =>
      point.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    );
  return points.filter((point) => point === directory || point.startsWith(`${directory}/`));
}
