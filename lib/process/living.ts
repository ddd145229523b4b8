/** Names for processes that share a directory, even across containers, and whether a named process is alive. */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";

/** Whether /proc shows this process's own PID namespace, and not its container's parent's. */
const SEES_OWN = linkOf("/proc/self") === String(process.pid);
/** A number for that namespace (pid_namespaces(7)), unique on this machine since it was started. */
const NAMESPACE = createHash("sha256")
  .update(`${textOf("/proc/sys/kernel/random/boot_id")} ${linkOf("/proc/self/ns/pid")}`)
  .digest()
  .readUInt32BE();

/** This process, as PID-START-NAMESPACE: its start time distinguishes it from a later one with the same id. */
export function nameOfThisProcess(): string {
  return `${process.pid}-${startOf("self") ?? 0}-${NAMESPACE}`;
}

/**
 * Whether a process is alive.
 *
 * @param name as nameOfThisProcess() has returned it in that process
 * @returns "unseen" when it is in another container, or the text is not such a name
 */
export function stateOfProcess(name: string): "alive" | "gone" | "unseen" {
  const [, pid, started, namespace] = /^(\d+)-(\d+)-(\d+)$/.exec(name) ?? [];
  if (!SEES_OWN || Number(namespace) !== NAMESPACE) return "unseen";
  return startOf(pid!) === started ? "alive" : "gone";
}

/**
 * When a process was started, in clock ticks since boot: field 22 of proc_pid_stat(5). Undefined when it has ended, even if its
 * parent has not asked for its exit code yet.
 */
function startOf(pid: string): string | undefined {
  // The second field is a name in parentheses, which may have spaces and parentheses in it.
  const text = textOf(`/proc/${pid}/stat`);
  const [state, ...rest] = text?.slice(text.lastIndexOf(")") + 2).split(" ") ?? [];
  return state === "Z" || state === "X" ? undefined : rest[18];
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
