/** Prints a line for each stage when it is reached. On a terminal, the current stage is shown as well. */

/** Width of the column of stage names. */
const NAME_WIDTH = 14;

export class Report {
  #terminal = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;

  /** Prints one line of plain text. */
  line(text = ""): void {
    console.log(text);
  }

  /** Does the work, and prints the stage's seconds, its name, and the result as described by `tell`. */
  async stage<T>(name: string, work: () => Promise<T>, tell: (result: T) => string): Promise<T> {
    const padded = name.padEnd(NAME_WIDTH);
    const started = performance.now();
    if (this.#terminal) process.stdout.write(`       …  \x1b[2m${padded}\x1b[0m`);
    try {
      const result = await work();
      const seconds = `${secondsSince(started).toFixed(1).padStart(6)} s`;
      if (this.#terminal)
        console.log(`\r\x1b[K\x1b[32m${seconds}\x1b[0m  \x1b[1m${padded}\x1b[0m  ${tell(result)}`);
      else console.log(`${seconds}  ${padded}  ${tell(result)}`);
      return result;
    } catch (error) {
      const seconds = `${secondsSince(started).toFixed(1).padStart(6)} s`;
      if (this.#terminal) console.log(`\r\x1b[K\x1b[31m${seconds}  ${padded}  not reached\x1b[0m`);
      else console.log(`${seconds}  ${padded}  not reached`);
      throw error;
    }
  }
}

/** Seconds since a time, by performance.now(). */
export function secondsSince(started: number): number {
  return (performance.now() - started) / 1000;
}
