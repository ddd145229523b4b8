/**
 * A host to try things on, which is thrown away: this machine's own files under an overlay, with mounts, network, devices and processes
 * of its own. What is installed, written or mounted in it is gone with the test, and so is whatever still runs. This checkout is in
 * /opt/icfs.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Result, run, type Test, temporaryDirectory } from "./icfs.ts";
import { makeNamespaces } from "./namespaces.ts";
import { plain } from "./plain.ts";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));

export interface Sandbox {
  /** Its files, as this machine sees them while the test runs: to put something there, or to look. */
  readonly root: string;
  /** Runs bash on `script` in it, to its end. @param limit milliseconds */
  sh(script: string, limit?: number): Promise<Result>;
  /** Starts `icfs localnet` in it, by what icfs it has. */
  startNetwork(): Promise<Result>;
  /** The command line that runs `command` in its network, with this machine's files. */
  inside(command: string, args: string[]): [string, string[]];
}

/** Nothing of this machine's environment, but for these. */
const BARE = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LC_ALL: "C.UTF-8",
};

/** @param env what commands have in their environment besides */
export async function startSandbox(t: Test, env: () => NodeJS.ProcessEnv = () => ({})): Promise<Sandbox> {
  const directory = await temporaryDirectory(t);
  const [layers, root] = [join(directory, "layers"), join(directory, "root")];
  await Promise.all([mkdir(layers), mkdir(root)]);
  // Who types commands in it says yes to apt, but has no network: what is installed on this machine is new enough. /dev is its own: who makes /dev/fuse readable for all in it changes nothing here.
  const script = `mount -t tmpfs tmpfs ${layers}
    mkdir ${layers}/upper ${layers}/work
    mount -t overlay overlay -o lowerdir=/,upperdir=${layers}/upper,workdir=${layers}/work ${root}
    cd ${root}
    mount -t proc proc proc
    mount -t sysfs -o ro sysfs sys
    for own in run tmp var/tmp srv dev; do mount -t tmpfs -o mode=755 tmpfs $own; done
    chmod 1777 tmp var/tmp
    mkdir -p opt/icfs && mount --bind ${CHECKOUT} opt/icfs
    mkdir -p run/lock dev/pts dev/net
    mkdir -m 1777 dev/shm
    mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
    while read name mode major minor; do mknod -m $mode dev/$name c $major $minor; done <<-'END'
	null 666 1 3
	zero 666 1 5
	full 666 1 7
	random 666 1 8
	urandom 666 1 9
	tty 666 5 0
	fuse 600 10 229
	net/tun 666 10 200
	END
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    echo 'APT::Get::Assume-Yes "true"; APT::Get::Upgrade "false";' >etc/apt/apt.conf.d/90test
    ip link set lo up`;
  const init = await makeNamespaces(t, script, { more: ["--net"], root: "." });
  const within = ["--target", init, "--mount", "--net", "--pid", "--root", "--wdns=/root"];
  const sh: Sandbox["sh"] = (text, limit) =>
    run(...plain("nsenter", [...within, "--", "bash", "-euo", "pipefail", "-c", text]), {
      env: { ...BARE, ...env() },
      ...(limit !== undefined && { limit }),
    });
  return {
    root: `/proc/${init}/root`,
    sh,
    startNetwork: () =>
      sh(
        "icfs localnet >/var/log/localnet 2>&1 &\nuntil grep -q http: /var/log/localnet; do sleep 0.2; done",
      ),
    inside: (command, args) => ["nsenter", ["--target", init, "--net", "--", command, ...args]],
  };
}
