/** A host whose first process is a real systemd, with this machine's own files beneath its own changes. It ends with the test. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Result, run, type Test } from "./icfs.ts";
import { makeNamespaces } from "./namespaces.ts";
import { plain } from "./plain.ts";

const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };
/** The time limit of a command: the machine may be busy. */
const LONG_MS = 60_000;
/** The pause between two checks whether systemd has started. */
const POLL_MS = 20;

export interface SystemdHost {
  /** Runs a command there, as root, or as another user with setpriv(1). */
  run(command: string, ...args: readonly string[]): Promise<Result>;
}

/**
 * Starts it, with only a loopback network of its own.
 *
 * @param script bash, which changes its files before it starts, in the directory that becomes its root. At / it sees this
 * machine's own files
 */
export async function startSystemdHost(t: Test, script: string): Promise<SystemdHost> {
  const group = `icfs-test-${process.pid}`;
  t.teardown(async () => {
    const remove = `mount -t cgroup2 cgroup2 /mnt && find /mnt/${group} -depth -type d -exec rmdir {} +`;
    await run("unshare", ["--mount", "--propagation", "private", "sh", "-c", remove], { env: ENVIRONMENT });
  });
  // An overlay in memory over this machine's files: it takes only as much as changes.
  const init = await makeNamespaces(
    t,
    `ip link set lo up
    mount -t tmpfs tmpfs /mnt
    cd /mnt
    mkdir changes work root cgroup
    mount -t cgroup2 cgroup2 cgroup
    mkdir -p cgroup/${group}
    echo $$ >cgroup/${group}/cgroup.procs
    mount -t overlay overlay -o lowerdir=/,upperdir=changes,workdir=work root
    cd root
    mount -t tmpfs tmpfs run
    mount -t tmpfs tmpfs tmp
    mount --rbind /dev dev
    mount -t sysfs sysfs sys
    echo 0123456789abcdef0123456789abcdef >etc/machine-id
    : >etc/fstab
    rm -rf etc/systemd/system
    mkdir -p etc/systemd/system
    printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\n' >etc/systemd/system/few.target
    ${script}`,
    { more: ["--net", "--ipc", "--uts"], root: "." },
  );
  const first = `mount -t proc proc /proc && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec /lib/systemd/systemd --unit=few.target`;
  const nested = ["unshare", "--cgroup", "--pid", "--mount", "--fork", "--kill-child", "sh", "-c", first];
  const holder = spawn(
    ...plain("/usr/bin/nsenter", ["--target", init, "--all", "--root", "--wd", "--", ...nested]),
    { stdio: "ignore", env: { ...ENVIRONMENT, container: "other" } },
  );
  t.teardown(async () => {
    if (holder.exitCode !== null || holder.signalCode !== null) return;
    holder.kill("SIGKILL");
    await once(holder, "exit");
  });
  const pid = await systemdBelow(holder.pid!);
  const within = (command: string, ...args: readonly string[]) =>
    run(...plain("/usr/bin/nsenter", ["--target", pid, "--all", "--root", "--wd", "--", command, ...args]), {
      env: ENVIRONMENT,
      limit: LONG_MS,
    });
  // systemd does not listen at once.
  for (;;) {
    const { stdout } = await within("systemctl", "is-system-running", "--wait");
    if (/^(running|degraded)/.test(stdout)) break;
    if (holder.exitCode !== null) throw new Error(`systemd has ended with ${holder.exitCode}`);
  }
  return { run: within };
}

/** Waits for systemd among a process's descendants: nsenter(1) has unshare(1) as a child, whose child is in the namespaces. */
async function systemdBelow(holder: number): Promise<string> {
  for (;;) {
    for (let pid = String(holder); ; ) {
      const comm = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
      if (comm === "systemd\n") return pid;
      const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
      const [child] = children.trim().split(" ");
      // It has not started yet; or this was a temporary process, which is gone.
      if (!child) break;
      pid = child;
    }
    await sleep(POLL_MS);
  }
}
