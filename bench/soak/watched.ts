/** Watches a mount under readers, and samples its use of resources. */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Process } from "../../demo/process.ts";
import { isAbsent } from "../../lib/errors.ts";
import { usageOf } from "../usage.ts";
import type { Totals, Trouble } from "./readers.ts";

const READERS = fileURLToPath(new URL("readers.ts", import.meta.url));
const MIB = 1024 * 1024;

/** The sampled quantities, with names for people; the last two only for icfs. */
export const QUANTITIES = [
  "anonymous memory, MiB",
  "resident memory, MiB",
  "threads",
  "descriptors",
  "cache on disk, MiB",
  "state on disk, KiB",
] as const;
export type Quantity = (typeof QUANTITIES)[number];
export type Sample = Readonly<Partial<Record<Quantity, number>>>;

/** How to watch a mount: the process that serves it, and its directories (icfs). */
export interface Served {
  readonly mountpoint: string;
  readonly pid: number;
  readonly directory?: string;
}

/** What its readers have seen. */
export interface Seen extends Totals {
  readonly troubles: readonly Trouble[];
}

export class Watched {
  readonly name: string;
  readonly samples: Sample[] = [];
  readonly #served: Served;
  readonly #readers: Process;

  /**
   * Starts readers, until the stack ends.
   *
   * @param unit what cannot change while it is open: see readers.ts
   */
  constructor(
    name: string,
    served: Served,
    unit: "releases" | "files",
    stack: AsyncDisposableStack,
    env: NodeJS.ProcessEnv,
  ) {
    this.name = name;
    this.#served = served;
    this.#readers = stack.use(new Process(process.execPath, [READERS, served.mountpoint, unit], env));
  }

  /** Takes a sample. @throws Error when the server or a reader has ended */
  async sample(): Promise<void> {
    const ended = await Promise.race([this.#readers.exit, undefined]);
    if (ended !== undefined)
      throw new Error(`the readers of ${this.name} have ended: ${this.#readers.tail(5)}`);
    const { pid, directory } = this.#served;
    const usage = await usageOf(pid);
    const bytes = async (name: string) =>
      directory === undefined ? undefined : await bytesBelow(join(directory, name));
    const [cache, state] = await Promise.all([bytes("cache"), bytes("state")]);
    this.samples.push({
      "anonymous memory, MiB": usage.anonymous,
      "resident memory, MiB": usage.resident,
      threads: usage.threads,
      descriptors: usage.descriptors,
      ...(cache === undefined ? {} : { "cache on disk, MiB": cache / MIB }),
      ...(state === undefined ? {} : { "state on disk, KiB": state / 1024 }),
    });
  }

  /** Ends the readers. */
  async end(): Promise<Seen> {
    await this.#readers.stop();
    const lines = this.#readers.stdout.trim().split("\n");
    return { ...JSON.parse(lines.at(-1)!), troubles: lines.slice(0, -1).map((line) => JSON.parse(line)) };
  }
}

/** The size of all files. Some may disappear in the meantime, and so may directories. */
async function bytesBelow(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error) => {
    if (isAbsent(error)) return [];
    throw error;
  });
  const sizes = await Promise.all(
    entries.map((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return bytesBelow(path);
      if (!entry.isFile()) return 0;
      return lstat(path).then(
        ({ size }) => size,
        () => 0,
      );
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
