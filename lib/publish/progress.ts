/** Shows the progress of long work: a bar on a terminal, plain lines elsewhere. Always on stderr: stdout is for results. */
import { SingleBar } from "cli-progress";
import { sizeText } from "../units.ts";

export interface Progress {
  /** Starts a stage of `total` bytes; undefined: a stage that counts names, whose number is unknown. */
  start(stage: string, total: number | undefined): void;
  /** Adds bytes or names that are done. */
  add(count: number): void;
  /** Ends the stage, if one has begun. */
  stop(): void;
}

/** Runs the stage that lists a directory's names. @param list must call its argument for each name */
export async function listing<T>(progress: Progress, list: (named: () => void) => Promise<T>): Promise<T> {
  progress.start("listing", undefined);
  const listed = await list(() => progress.add(1));
  progress.stop();
  return listed;
}

/** The shortest time between two plain lines, so that a log stays readable. */
const LINE_INTERVAL_MS = 5000;

export function createProgress(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? new BarProgress(stream) : new LineProgress(stream);
}

/**
 * Ends the bar, which hides the cursor, before SIGINT or SIGTERM ends this process.
 *
 * @param last called before that as well
 */
export function stopOnSignals(progress: Progress, last: () => void = () => {}): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      progress.stop();
      last();
      process.kill(process.pid, signal);
    });
  }
}

const BYTES = "{stage} [{bar}] {percentage}% {done} of {all}, {eta_formatted} left";
const NAMES = "{stage} {done}";

function doneText(done: number, total: number | undefined): string {
  return total === undefined ? `${done} names` : sizeText(done);
}

class BarProgress implements Progress {
  readonly #stream: NodeJS.WriteStream;
  #bar: SingleBar;
  #total: number | undefined;
  #done = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#bar = this.#barOf("");
  }

  #barOf(format: string): SingleBar {
    return new SingleBar({
      stream: this.#stream,
      format,
      hideCursor: true,
      clearOnComplete: true,
      formatTime: (seconds: number) => `${seconds} s`,
    });
  }

  start(stage: string, total: number | undefined): void {
    this.#bar.stop();
    this.#bar = this.#barOf(total === undefined ? NAMES : BYTES);
    this.#total = total;
    this.#done = 0;
    const all = total === undefined ? "" : sizeText(total);
    this.#bar.start(total ?? 1, 0, { stage: stage.padEnd(9), done: doneText(0, total), all });
  }

  add(count: number): void {
    this.#done += count;
    const value = Math.min(this.#done, this.#total ?? 0);
    this.#bar.update(value, { done: doneText(this.#done, this.#total) });
  }

  stop(): void {
    this.#bar.stop();
  }
}

class LineProgress implements Progress {
  readonly #stream: NodeJS.WriteStream;
  #stage = "";
  #total: number | undefined;
  #done = 0;
  #lastLine = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  start(stage: string, total: number | undefined): void {
    this.#stage = stage;
    this.#total = total;
    this.#done = 0;
    this.#lastLine = performance.now();
    // Listing names mostly takes only a moment.
    if (total !== undefined) this.#stream.write(`${stage}: ${sizeText(total)}\n`);
  }

  add(count: number): void {
    this.#done += count;
    if (performance.now() - this.#lastLine < LINE_INTERVAL_MS) return;
    this.#lastLine = performance.now();
    const of = this.#total === undefined ? "" : ` of ${sizeText(this.#total)}`;
    this.#stream.write(`${this.#stage}: ${doneText(this.#done, this.#total)}${of}\n`);
  }

  stop(): void {}
}
