/** A measurement that cleans up after itself when it is interrupted. */
import { constants } from "node:os";
import { messageOf } from "../../lib/errors.ts";

/** Does it, and says on stderr why it failed, if it did. The signal comes with SIGINT and SIGTERM. */
export async function interruptible(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const interruption = new AbortController();
  let exitCode = 1;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      exitCode = 128 + constants.signals[name]; // as shells report it
      interruption.abort(new Error(`interrupted (${name})`));
    });
  }
  try {
    await work(interruption.signal);
  } catch (error) {
    console.error(`bench: ${messageOf(interruption.signal.aborted ? interruption.signal.reason : error)}`);
    process.exitCode = exitCode;
  }
}
