/** Names for processes that share a directory, also from containers, and whether the one of a name still lives. */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";

/** Whether /proc shows this process's table of processes, and not that of whoever has started this container. */
const SEES_OWN = linkOf("/proc/self") === String(process.pid);
/** A number for that table (pid_namespaces(7)) on this machine since it was started. */
const NAMESPACE = createHash("sha256")
  .update(`${textOf("/proc/sys/kernel/random/boot_id")} ${linkOf("/proc/self/ns/pid")}`)
  .digest()
  .readUInt32BE();

/** This process, as PID-START-NAMESPACE: by its start it is told from a later one with the same number. */
export function nameOfThisProcess(): string {
  return `${process.pid}-${startOf("self") ?? 0}-${NAMESPACE}`;
}

/** @param name of nameOfThisProcess(), in whichever process. @returns "unseen": it is in another container, or what is no name */
export function stateOfProcess(name: string): "alive" | "gone" | "unseen" {
  const [, pid, started, namespace] = /^(\d+)-(\d+)-(\d+)$/.exec(name) ?? [];
  if (!SEES_OWN || Number(namespace) !== NAMESPACE) return "unseen";
  return startOf(pid!) === started ? "alive" : "gone";
}

/** When a process was started, in clock ticks since the host was: field 22 of proc_pid_stat(5). */
function startOf(pid: string): string | undefined {
  // The second field is a name in parentheses, which may have spaces and parentheses in it.
  const text = textOf(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(")") + 2).split(" ")[19];
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function linkOf(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch {
    return undefined;
  }
}
