/** What signals ask of a mount, beside its end (lib/process/lifetime.ts). */

export interface Signalled {
  /** SIGHUP: looks for a new release now. (The daemon opens its log anew, as well: lib/cli/mount-daemon.ts.) */
  refresh(): void;
  /** SIGUSR1: writes `--stats-file`. */
  writeStatistics(): void;
}

/** @param mount undefined while there is none: then a signal asks for nothing */
export function answerSignals(mount: () => Signalled | undefined): void {
  process.on("SIGUSR1", () => mount()?.writeStatistics());
  process.on("SIGHUP", () => {
    // From a terminal it says that this is closed.
    if (process.stdin.isTTY) process.kill(process.pid, "SIGTERM");
    else mount()?.refresh();
  });
}
