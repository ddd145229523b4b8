/**
 * A disposable host: this machine's own files under an overlay, with mounts, network, devices and processes of its own.
 * Everything installed, written or mounted in it disappears with the test, and its processes end. This checkout is in /opt/icfs.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HUNG, type Result, run, type Test, temporaryDirectory } from "./icfs.ts";
import { makeNamespaces } from "./namespaces.ts";
import { plain } from "./plain.ts";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));

export interface Sandbox {
  /** Its root directory, accessible from this machine while the test runs. */
  readonly root: string;
  /** Runs `script` with bash in it, to its end. @param limit milliseconds; default: five minutes */
  sh(script: string, limit?: number): Promise<Result>;
  /** Starts `icfs localnet` in it, with the icfs that is installed there. */
  startNetwork(): Promise<Result>;
  /** The command line that runs `command` in its network, with this machine's files. */
  inside(command: string, args: string[]): [string, string[]];
}

/** Milliseconds: a script may be a dozen commands, of which each starts icfs. */
const LONG = 5 * HUNG;

/** The only variables that it takes from this machine's environment. */
const BARE = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LC_ALL: "C.UTF-8",
};

/** @param env additional variables for its commands */
export async function startSandbox(t: Test, env: () => NodeJS.ProcessEnv = () => ({})): Promise<Sandbox> {
  const directory = await temporaryDirectory(t);
  const [layers, root] = [join(directory, "layers"), join(directory, "root")];
  await Promise.all([mkdir(layers), mkdir(root)]);
  // As on a user's terminal, apt's questions are answered with yes; but there is no network, so the packages of this machine must
  // be new enough. /dev is separate, so that making /dev/fuse readable inside changes nothing here.
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
  const sh: Sandbox["sh"] = (text, limit = LONG) =>
    run(...plain("nsenter", [...within, "--", "bash", "-euo", "pipefail", "-c", text]), {
      env: { ...BARE, ...env() },
      limit,
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
