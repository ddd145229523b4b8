/** How far long work has come: a bar on a terminal, plain lines elsewhere. Always on stderr: stdout is for results. */
import { SingleBar } from "cli-progress";
import { megabytes } from "../units.ts";

export interface Progress {
  /** Begins a stage of `total` bytes. */
  start(stage: string, total: number): void;
  add(bytes: number): void;
  /** Ends the stage; nothing happens when none has begun. */
  stop(): void;
}

/** A plain line at most so often, so that a log stays readable. */
const LINE_INTERVAL_MS = 5000;

export function createProgress(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? new BarProgress(stream) : new LineProgress(stream);
}

/** Ends the bar, which hides the cursor, before SIGINT or SIGTERM ends this process. */
export function stopOnSignals(progress: Progress): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      progress.stop();
      process.kill(process.pid, signal);
    });
  }
}

class BarProgress implements Progress {
  readonly #bar: SingleBar;

  constructor(stream: NodeJS.WriteStream) {
    this.#bar = new SingleBar({
      stream,
      format: "{stage} [{bar}] {percentage}% {done} of {all}, {eta_formatted} left",
      hideCursor: true,
      clearOnComplete: true,
      formatTime: (seconds: number) => `${seconds} s`,
    });
  }

  #total = 0;
  #done = 0;

  start(stage: string, total: number): void {
    this.#total = total;
    this.#done = 0;
    this.#bar.start(total, 0, { stage: stage.padEnd(9), done: megabytes(0), all: megabytes(total) });
  }

  add(bytes: number): void {
    this.#done += bytes;
    this.#bar.update(Math.min(this.#done, this.#total), { done: megabytes(this.#done) });
  }

  stop(): void {
    this.#bar.stop();
  }
}

class LineProgress implements Progress {
  readonly #stream: NodeJS.WriteStream;
  #stage = "";
  #total = 0;
  #done = 0;
  #lastLine = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  start(stage: string, total: number): void {
    this.#stage = stage;
    this.#total = total;
    this.#done = 0;
    this.#lastLine = Date.now();
    this.#stream.write(`${stage}: ${megabytes(total)}\n`);
  }

  add(bytes: number): void {
    this.#done += bytes;
    if (Date.now() - this.#lastLine < LINE_INTERVAL_MS) return;
    this.#lastLine = Date.now();
    this.#stream.write(`${this.#stage}: ${megabytes(this.#done)} of ${megabytes(this.#total)}\n`);
  }

  stop(): void {}
}
