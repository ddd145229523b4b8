/** Tells whether a process is about to die: a process that waits in the kernel dies only when the wait ends. */

import { readFileSync } from "node:fs";

const SIGKILL = 9n;

/** @param pid from a request: a thread's id */
export function isBeingKilled(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    // Whichever signal ends a process, the kernel sends SIGKILL to each of its threads (proc_pid_status(5)).
    return [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)].some(
      ([, mask]) => (BigInt(`0x${mask}`) >> (SIGKILL - 1n)) % 2n === 1n,
    );
  } catch {
    // Gone already, or in a process table that this process does not see.
    return false;
  }
}
