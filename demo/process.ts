/**
 * Child processes with an end: each is in a process group of its own (so that Ctrl-C in a terminal reaches only us and
 * we end them in order), its output is kept, every wait for it has a limit, and it can be stopped for certain.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";

/** Output kept of each process, in characters: a whole boot writes about 50,000. */
const KEPT_OUTPUT = 4_000_000;
/** Seconds between asking a process to end and killing it. */
const STOP_SECONDS = 8;
/** Milliseconds between two looks whether a process group has ended. */
const POLL_MS = 20;
/** Milliseconds an ended process's pipes may stay open: something it left behind may hold them. */
const DRAIN_MS = 500;

export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  /** How long it may take. */
  seconds?: number;
  /** Ends it and the wait. */
  signal?: AbortSignal | undefined;
}

/** How a command is called in messages: by its name, icfs by its subcommand too, and nsenter by what it runs. */
function nameOf(command: string, args: string[]): string {
  const name = basename(command);
  if (name === "icfs") return `icfs ${args[0]}`;
  if (name === "nsenter") return basename(args[args.indexOf("--") + 1]!);
  return name;
}

/** A started process. */
export class Process implements AsyncDisposable {
  /** How it is called in messages. */
  readonly name: string;
  /** Resolves, never rejects, when it has ended: the code, or in words why there is none. */
  readonly exit: Promise<number | string>;
  /** What it wrote to stdout and stderr, in the order in which it came. */
  output = "";
  /** What it wrote to stdout alone. */
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
          child.stdout.destroy();
          child.stderr.destroy();
          end(how);
        }, DRAIN_MS);
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The last `lines` lines of its output as plain text. */
  tail(lines: number): string {
    const text = stripVTControlCharacters(this.output).replace(/[^\n\P{Cc}]/gu, "");
    return text
      .split("\n")
      .map((line) => line.trimEnd())
      .filter((line) => line !== "")
      .slice(-lines)
      .join("\n");
  }

  /**
   * Waits until its output contains `pattern`.
   *
   * @throws Error when it ends before, `refuse` matches (the line is quoted), or `seconds` pass; the signal's reason.
   */
  async until(
    pattern: RegExp,
    { seconds, signal, refuse }: { seconds: number; signal?: AbortSignal | undefined; refuse?: RegExp },
  ): Promise<RegExpExecArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const look = () => {
      const found = pattern.exec(this.output);
      const refused = refuse?.exec(this.output);
      if (found) resolve(found);
      else if (refused) reject(new Error(`${this.name}: ${refused[0]}`));
      else if (signal?.aborted) reject(signal.reason);
      else if (this.#ended !== undefined) reject(this.#endedEarly(`no ${pattern}`));
    };
    this.#changed.addEventListener("change", look);
    signal?.addEventListener("abort", look);
    const timer = setTimeout(
      () => reject(new Error(`${this.name}: no ${pattern} within ${seconds} s`)),
      seconds * 1000,
    );
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
   * Asks it and its group to end, kills them when they do not, and returns when it has ended, and with it its group: what
   * a server forked for a client may wait for that client, whoever asks it to end, and have a file of a mount open.
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
      // It has ended in between.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/**
 * Runs a command to its end and returns its stdout.
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

/** Whether a process of the group runs still. An ended one that nobody has waited for does not count. */
function hasMembers(group: number): boolean {
  return readdirSync("/proc").some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      // proc_pid_stat(5): the state, the parent and the group follow the command's name, which may have anything in it.
      const [state, , itsGroup] = readFileSync(`/proc/${name}/stat`, "latin1")
        .replace(/^.*\) /s, "")
        .split(" ");
      return Number(itsGroup) === group && state !== "Z" && state !== "X";
    } catch {
      return false; // It has ended in between.
    }
  });
}

/** The processes that have `text` in the environment they were started with, whoever their parents are now. */
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
      // It has ended, or is not ours to look at.
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
