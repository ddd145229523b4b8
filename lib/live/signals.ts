/** What signals ask of a mount or of `icfs serve`, other than to end (lib/process/lifetime.ts). */

export interface Signalled {
  /** SIGHUP: checks for a new release now. (The daemon reopens its log as well: lib/cli/mount-daemon.ts.) */
  refresh(): void;
  /** SIGUSR1: writes `--stats-file`. */
  writeStatistics(): void;
}

/** @param mount undefined while nothing is mounted or served: then signals do nothing */
export function answerSignals(mount: () => Signalled | undefined): void {
  process.on("SIGUSR1", () => mount()?.writeStatistics());
  process.on("SIGHUP", () => {
    // SIGHUP from a terminal means that the terminal was closed.
    if (process.stdin.isTTY) process.kill(process.pid, "SIGTERM");
    else mount()?.refresh();
  });
}
