/** Commands in a directory that holds a Debian, as on a host of its own: with its own mounts and processes, and our network. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type Result, run, type Test } from "./icfs.ts";
import { plain } from "./plain.ts";

/** Milliseconds: apt may have to wait for a mirror. */
const LONG = 300_000;
/** What a shell of root's has there. */
const ENVIRONMENT = {
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C.UTF-8",
  DEBIAN_FRONTEND: "noninteractive",
};

export interface Chroot {
  /** Runs a command in it, as root. @param env the whole environment, instead of a shell's */
  run(command: readonly string[], env?: NodeJS.ProcessEnv): Promise<Result>;
  /** Runs one of this machine's commands, which sees the directory with what is mounted in it. */
  outside(...command: string[]): Promise<Result>;
}

/** Whatever runs there, and is mounted there, ends with the test. */
export async function chroot(t: Test, directory: string): Promise<Chroot> {
  // The machine's own mounts of ours would be kept from ending by a namespace that has them, too.
  const script = `umount --all --types fuse.icfs --lazy
    mount --bind ${directory} ${directory} && mount --bind /dev ${directory}/dev &&
    mount -t proc proc ${directory}/proc && mount -t tmpfs tmpfs ${directory}/run &&
    echo ready && read line`;
  const holder = spawn(
    "unshare",
    ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c", script],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const ended = once(holder, "exit");
  t.teardown(async () => {
    holder.kill("SIGKILL");
    await ended;
  });
  const [said] = await Promise.race([once(holder.stdout, "data"), ended]);
  if (String(said).trim() !== "ready") throw new Error(`no chroot in ${directory}`);
  // The first process in there; the namespace's own end is its end.
  const init = (await readFile(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8")).trim();
  const within = (command: readonly string[], env: NodeJS.ProcessEnv) =>
    run(...plain("/usr/bin/nsenter", ["--mount", "--pid", "--target", init, "--", ...command]), {
      env,
      limit: LONG,
    });
  return {
    run: (command, env = ENVIRONMENT) => within(["/usr/sbin/chroot", directory, ...command], env),
    outside: (...command) => within(command, ENVIRONMENT),
  };
}
