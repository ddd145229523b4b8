/** A mount under readers, and what it takes from time to time. */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Process } from "../../demo/process.ts";
import { usageOf } from "../usage.ts";
import type { Totals, Trouble } from "./readers.ts";

const READERS = fileURLToPath(new URL("readers.ts", import.meta.url));
const MIB = 1024 * 1024;

/** What is looked at, as people read it; the last two only of icfs. */
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

/** What is watched of a mount: by whom it is served, and where it keeps what it keeps (icfs). */
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
   * Starts readers, which end with the stack.
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

  /** Looks at what it takes now. @throws Error when what serves it, or who reads it, has ended */
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

/** Of all files; of what comes and goes meanwhile, some. */
async function bytesBelow(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(({ parentPath, name }) =>
      lstat(join(parentPath, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
