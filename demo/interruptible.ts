/** Runs a program that cleans up when it is interrupted, and says why it failed. */
import { constants } from "node:os";

/** The errors, one per line: the first failure, and then those of the clean-up. */
function messages(error: unknown): string[] {
  if (error instanceof SuppressedError) return [...messages(error.suppressed), ...messages(error.error)];
  return [error instanceof Error ? error.message : String(error)];
}

/**
 * Does the work. Its signal is aborted by SIGHUP, SIGINT and SIGTERM, and when nobody reads the output (`make demo | head`);
 * further signals do not disturb the clean-up. Sets the exit code.
 *
 * @param name precedes the errors on stderr
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
