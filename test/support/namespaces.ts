/**
 * Namespaces that are a test's own: a first process makes what is in them, and waits. With it everything in them ends, and it ends with
 * the test, also with one that is killed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import type { Test } from "./icfs.ts";

/**
 * Namespaces for mounts and processes, and those that are asked for besides.
 *
 * @param script bash, which prepares them, to its first error
 * @param root the first process's root from then on, from the directory in which the script ends: before it has that, nobody is told that it
 * is ready. Who entered earlier would have this machine's own files
 * @returns the first process's id, as nsenter takes it
 */
export async function makeNamespaces(
  t: Test,
  script: string,
  { more = [], root = "/" }: { more?: readonly string[]; root?: string } = {},
): Promise<string> {
  // The machine's own mounts of ours would be kept from ending by a namespace that has them, too.
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
    // The first process finds that there is no line; unshare(1) ends when all that was in there has ended, and not before.
    if (isMade) holder.stdin.end();
    else holder.kill("SIGKILL");
    await ended;
  });
  const [said] = await Promise.race([once(holder.stdout, "data"), ended]);
  if (String(said) !== "ready\n") throw new Error("the namespaces could not be made");
  isMade = true;
  // A test that throws before its teardown gets here must not wait for the namespaces: they end with its process, whose end of the pipe
  // closes.
  holder.unref();
  for (const pipe of [holder.stdin, holder.stdout]) (pipe as Socket).unref();
  return (await readFile(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8")).trim();
}
