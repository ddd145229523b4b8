/** A copy of this checkout to put faults into. Everything that its tests leave behind is removed. */
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mountsBelow, Process, processesWith, run } from "../../demo/process.ts";
import { type Fault, withFault } from "./fault.ts";

/** How a test file has ended. */
export interface Ended {
  readonly passed: boolean;
  /** The test did not end by itself, and was killed. */
  readonly hung: boolean;
  readonly seconds: number;
  /** What failed first, in the test's own words. */
  readonly failure: string;
}

const WASM = "build/icfs.wasm";
/** The length of `failure`, in characters. */
const SHOWN = 100;
const COMPILE_SECONDS = 120;
/** Milliseconds for processes to end after they were told to. */
const ENDING_MS = 300;

export class Checkout {
  readonly #root: string;
  /** The tests' temporary directory, by which their leftovers are found. */
  readonly #temporary: string;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(root: string, temporary: string) {
    this.#root = root;
    this.#temporary = temporary;
    // tap's own limit suits quicker tests, or tests with the machine to themselves.
    this.#env = {
      ...process.env,
      TMPDIR: temporary,
      TAP_TIMEOUT: "0",
      TAP_FAIL_SKIP: "1",
      TAP_BAIL: "1",
      NO_COLOR: "1",
    };
  }

  /** Copies the files in `from`, committed or not, into a directory that does not exist yet. */
  static async copy(from: string, directory: string): Promise<Checkout> {
    const root = join(directory, "icfs");
    const temporary = join(directory, "tmp");
    mkdirSync(temporary, { recursive: true });
    const list = await run("git", [
      "-C",
      from,
      "ls-files",
      "-z",
      "--cached",
      "--others",
      "--exclude-standard",
    ]);
    for (const file of list.split("\0").filter((name) => name !== "")) {
      // A file that was deleted without a commit is still listed.
      cpSync(join(from, file), join(root, file), { force: true, verbatimSymlinks: true });
    }
    cpSync(join(from, "build"), join(root, "build"), { recursive: true, verbatimSymlinks: true });
    symlinkSync(join(from, "node_modules"), join(root, "node_modules"));
    return new Checkout(root, temporary);
  }

  /** Puts a fault in, does the work, and takes the fault out. @throws Error when the fault does not apply or compile */
  async withFault<T>(fault: Fault, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const files = [fault.file, WASM].map((name) => join(this.#root, name));
    const before = files.map((file) => readFileSync(file));
    try {
      writeFileSync(files[0]!, withFault(before[0]!.toString(), fault));
      if (fault.file.endsWith(".mo")) {
        const compile = ["canister/compile.ts", "canister/main.mo", WASM].map((name) =>
          join(this.#root, name),
        );
        await run(process.execPath, compile, { seconds: COMPILE_SECONDS, signal });
      }
      return await work();
    } finally {
      for (const [i, file] of files.entries()) writeFileSync(file, before[i]!);
    }
  }

  /** Runs a test file. @param seconds after which it counts as hung. @throws the signal's reason */
  async test(file: string, seconds: number, signal: AbortSignal): Promise<Ended> {
    const start = performance.now();
    let hung = false;
    const child = new Process("/usr/bin/env", ["-C", this.#root, process.execPath, file], this.#env);
    const stop = () => void child.stop();
    const timer = setTimeout(() => {
      hung = true;
      stop();
    }, seconds * 1000);
    signal.addEventListener("abort", stop);
    const how = await child.exit;
    signal.removeEventListener("abort", stop);
    clearTimeout(timer);
    await this.#cleanUp();
    signal.throwIfAborted();
    return {
      passed: how === 0,
      hung,
      seconds: (performance.now() - start) / 1000,
      failure: (firstFailure(child.output) ?? child.tail(1))
        .replace(/\p{Cc}/gu, "?")
        .trim()
        .slice(0, SHOWN),
    };
  }

  /** Ends the processes that the tests have left, unmounts their mounts, and empties their directory. */
  async #cleanUp(): Promise<void> {
    for (const mount of mountsBelow(this.#temporary).reverse())
      await run("umount", ["-l", mount]).catch(() => {});
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const left = processesWith(`TMPDIR=${this.#temporary}`);
      if (left.length === 0) break;
      for (const { pid } of left) end(pid, signal);
      await sleep(ENDING_MS);
    }
    rmSync(this.#temporary, { recursive: true, force: true });
    mkdirSync(this.#temporary);
  }
}

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has ended in between.
  }
}

/** The innermost test that failed first: tap prints it before the test that contains it. */
function firstFailure(output: string): string | undefined {
  return /^\s*not ok \d+ - (.*)$/m.exec(output)?.[1];
}
