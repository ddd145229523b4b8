/**
 * A boot server within this machine, with the real libvirtd. It has its own namespaces for mounts, processes and the network
 * (private-host.sh). So it can have what a libvirt network needs, above all /srv/tftp and virbr0, and this machine never sees any
 * of it.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Process, type RunOptions, run } from "../../demo/process.ts";

const SCRIPT = join(import.meta.dirname, "private-host.sh");
/** The limit for each step of the start, such as libvirtd's first answer. Each takes less than a second. */
const START_SECONDS = 30;

/** Prints each message to /dev/log as a line. It is Python, because Node has no Unix datagram sockets. */
const SYSLOG = `
import os, socket
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
os.chmod("/dev/log", 0o666)
print("ready", flush=True)
while True:
    print(log.recv(65536).decode(errors="replace").rstrip("\\0\\n"), flush=True)
`;

export interface PrivateHost extends AsyncDisposable {
  /** The command line that runs `command` on the private host. */
  inside(command: string, args: string[]): [string, string[]];
  /** The same, but with this machine's network, in which the canister is: the private host's network has no way out. */
  online(command: string, args: string[]): [string, string[]];
  /** Its output is the host's syslog. libvirt starts dnsmasq without any other log. */
  readonly syslog: Process;
  /** Runs virsh. @throws Error with its output */
  virsh(...args: string[]): Promise<string>;
}

/** Starts a private host with libvirtd. Disposing it ends everything in it. @throws Error */
export async function startPrivateHost({ env }: RunOptions): Promise<PrivateHost> {
  await using starting = new AsyncDisposableStack();
  const namespaces = ["--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child"];
  // The kernel ends the host when the test is killed.
  const ending = ["--pdeathsig", "KILL", "--", "unshare"];
  const holder = starting.use(new Process("setpriv", [...ending, ...namespaces, "--", "bash", SCRIPT], env));
  await holder.until(/ready/, { seconds: START_SECONDS });
  const [first] = (await readFile(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8")).split(" ");
  const enter =
    (...more: string[]) =>
    (command: string, args: string[]): [string, string[]] => [
      "nsenter",
      ["--target", first!, "--mount", "--pid", ...more, "--", command, ...args],
    ];
  const inside = enter("--net");

  const syslog = starting.use(new Process(...inside("python3", ["-c", SYSLOG]), env));
  await syslog.until(/ready/, { seconds: START_SECONDS });
  const libvirtd = starting.use(new Process(...inside("libvirtd", []), env));
  const virsh = (...args: string[]) =>
    run(...inside("virsh", ["--connect", "qemu:///system", ...args]), { env });
  await answers(virsh, libvirtd);
  const running = starting.move();
  return {
    inside,
    online: enter(),
    syslog,
    virsh,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function answers(virsh: PrivateHost["virsh"], libvirtd: Process): Promise<void> {
  const end = performance.now() + START_SECONDS * 1000;
  for (;;) {
    try {
      await virsh("list");
      return;
    } catch (error) {
      if (performance.now() > end)
        throw new Error(`libvirtd does not answer\n${libvirtd.tail(20)}`, { cause: error });
    }
    await sleep(100);
  }
}
