/**
 * Namespaces for a test: their first process prepares them, and waits. Everything in them ends with it, and it ends with the
 * test, even if that is killed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import type { Test } from "./icfs.ts";

/**
 * Makes namespaces for mounts and processes, and others as requested.
 *
 * @param script bash, which prepares them, up to the first error
 * @param root the first process's new root, relative to the directory in which the script ends. Only then are the namespaces
 * reported as ready: a process that entered earlier would have this machine's own files
 * @returns the first process's id, as nsenter takes it
 */
export async function makeNamespaces(
  t: Test,
  script: string,
  { more = [], root = "/" }: { more?: readonly string[]; root?: string } = {},
): Promise<string> {
  // A namespace with this machine's own icfs mounts would keep them alive.
  const all = `umount --all --types fuse.icfs --lazy || :
    set -e
    ${script}
    exec chroot ${root} sh -c 'echo ready; read line'`;
  const flags = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", ...more];
  const holder = spawn("unshare", [...flags, "bash", "-c", all], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(holder, "exit");
  let isMade = false;
  t.teardown(async () => {
    holder.ref();
    // At the end of its input the first process ends; unshare(1) ends once everything in the namespaces has ended.
    if (isMade) holder.stdin.end();
    else holder.kill("SIGKILL");
    await ended;
  });
  const [said] = await Promise.race([once(holder.stdout, "data"), ended]);
  if (String(said) !== "ready\n") throw new Error("the namespaces could not be made");
  isMade = true;
  // A test's process that ends without a teardown must not wait for the namespaces. They end with it, since it closes its end of
  // the pipe.
  holder.unref();
  for (const pipe of [holder.stdin, holder.stdout]) (pipe as Socket).unref();
  return (await readFile(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8")).trim();
}
