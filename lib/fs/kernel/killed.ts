/** Tells whether a process is about to die: one that waits in the kernel does so only when what it waits for ends. */

import { readFileSync } from "node:fs";

const SIGKILL = 9n;

/** @param pid as the kernel has it in a request: a thread's */
export function isBeingKilled(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    // Whatever signal ends a process, the kernel sends SIGKILL to each of its threads (proc_pid_status(5)).
    return [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)].some(
      ([, mask]) => (BigInt(`0x${mask}`) >> (SIGKILL - 1n)) % 2n === 1n,
    );
  } catch {
    // Gone already, or in a process table that this process does not see.
    return false;
  }
}
