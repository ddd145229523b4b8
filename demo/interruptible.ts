/** A program that cleans up after itself when it is interrupted, and says why it failed. */
import { constants } from "node:os";

/** What went wrong, a line for each error: what failed first, and then what failed in cleaning up. */
function messages(error: unknown): string[] {
  if (error instanceof SuppressedError) return [...messages(error.suppressed), ...messages(error.error)];
  return [error instanceof Error ? error.message : String(error)];
}

/**
 * Does it. The signal comes with SIGHUP, SIGINT and SIGTERM, and when nobody reads on (`make demo | head`); further ones do
 * not disturb the cleaning up. Sets the exit code.
 *
 * @param name stands before the errors on stderr
 */
export async function interruptible(
  name: string,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const interruption = new AbortController();
  let exitCode = 1;
  // The customary exit codes: 128 and the signal's number.
  const interrupt = (why: string, signal: number) => {
    if (interruption.signal.aborted) return;
    exitCode = 128 + signal;
    interruption.abort(new Error(`interrupted (${why})`));
  };
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => interrupt(signal, constants.signals[signal]));
  }
  process.stdout.on("error", () => interrupt("stdout is closed", constants.signals.SIGPIPE));
  try {
    await work(interruption.signal);
  } catch (error) {
    for (const message of messages(error)) console.error(`${name}: ${message}`);
    process.exitCode = exitCode;
  }
}
