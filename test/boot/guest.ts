/**
 * A Debian host in a virtual machine. It boots from a disk, is on the test's network, and has a shell for the test on its second serial
 * port.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { appendFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GUEST_ADDRESS, GUEST_MAC, type Namespace, TAP } from "../../demo/namespace.ts";
import { Process, run } from "../../demo/process.ts";

/** From the start of QEMU to the shell. That takes a minute on a slow machine, and longer on a busy one. */
const BOOT_SECONDS = 300;
/** The limit for one script: an emulated processor is some ten times slower than a real one. */
const ANSWER_SECONDS = 120;
/** Free space on the disk. */
const FREE_MIB = 512;
/** The shell's unit writes this to the console, the first serial port. */
const SHELL_IS_THERE = "a shell for the test";

/** The shell's serial port, as the guest names it. */
const PORT = "/dev/ttyS1";

/** Files of the guest, by their paths. */
export type Files = Readonly<Record<string, string>>;

const SHELL_UNIT = `[Unit]
Description=The test's shell
[Service]
# Were stderr this line, too, the shell would take it for a person's, and prompt.
StandardError=journal
ExecStart=/bin/sh -c 'exec <${PORT} >${PORT}; stty raw -echo clocal; echo "${SHELL_IS_THERE}" >/dev/ttyS0; exec /bin/sh'
# It need not be asked whether it may end.
TimeoutStopSec=2s
[Install]
WantedBy=multi-user.target
`;

const NETWORK = `[Match]
Type=ether
[Network]
Address=${GUEST_ADDRESS}/24
LinkLocalAddressing=no
IPv6AcceptRA=no
`;

/**
 * Makes a root directory from debootstrap the guest's: adds the network's configuration, the shell and `files`.
 *
 * @param units more units to enable
 */
export async function configure(root: string, files: Files, units: readonly string[] = []): Promise<void> {
  const all: Files = {
    "/etc/hostname": "boothost\n",
    "/etc/systemd/network/lan.network": NETWORK,
    "/etc/systemd/system/test-shell.service": SHELL_UNIT,
    ...files,
  };
  for (const [path, content] of Object.entries(all)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  await appendFile(join(root, "etc/hosts"), `127.0.0.1 boothost\n`);
  const own = ["systemd-networkd", "systemd-networkd-wait-online", "test-shell", ...units];
  await run("systemctl", [`--root=${root}`, "--quiet", "enable", ...own]);
  await run("systemctl", [`--root=${root}`, "--quiet", "mask", "serial-getty@ttyS0.service"]);
}

/** Makes a disk, one file system without partitions, from a root directory. */
export async function makeDisk(root: string, disk: string): Promise<void> {
  const used = Number((await run("du", ["-sm", root])).split("\t")[0]);
  await run("mke2fs", ["-q", "-t", "ext4", "-d", root, disk, `${used + FREE_MIB}M`], { seconds: 300 });
}

export class Guest implements AsyncDisposable {
  /** QEMU; its output is the console. */
  readonly machine: Process;
  readonly #shell: Socket;
  #heard = "";

  private constructor(machine: Process, shell: Socket) {
    this.machine = machine;
    this.#shell = shell;
    shell.setEncoding("utf8").on("data", (text: string) => {
      this.#heard += text.replaceAll("\r", "");
    });
    // The socket fails when the machine ends. The next script's timeout reports that.
    shell.on("error", () => {});
  }

  /**
   * Switches the machine on, with the kernel in `root`, and returns when the shell is ready.
   *
   * @param disk made by makeDisk()
   */
  static async start(
    namespace: Namespace,
    { root, disk, env }: { root: string; disk: string; env: NodeJS.ProcessEnv },
  ): Promise<Guest> {
    const boot = join(root, "boot");
    const named = async (start: string) =>
      join(boot, (await readdir(boot)).find((name) => name.startsWith(start))!);
    const socket = `${disk}.shell`;
    const machine = new Process(
      ...namespace.inside("qemu-system-x86_64", [
        ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536"],
        ...["-nodefaults", "-nographic", "-no-reboot"],
        ...["-kernel", await named("vmlinuz"), "-initrd", await named("initrd.img")],
        ...["-append", "root=/dev/vda rw console=ttyS0 systemd.show_status=1"],
        ...["-drive", `file=${disk},format=raw,if=virtio,cache=unsafe`],
        ...["-serial", "stdio", "-serial", `unix:${socket},server=on,wait=off`],
        ...["-netdev", `tap,id=net,ifname=${TAP},script=no,downscript=no`],
        ...["-device", `virtio-net-pci,netdev=net,mac=${GUEST_MAC}`],
        // Without it, the guest waits for randomness.
        ...["-device", "virtio-rng-pci"],
      ]),
      env,
    );
    try {
      const refuse = /Kernel panic[^\r\n]*|emergency mode[^\r\n]*/;
      await machine.until(new RegExp(SHELL_IS_THERE), { seconds: BOOT_SECONDS, refuse });
      const shell = connect(socket);
      await once(shell, "connect");
      return new Guest(machine, shell);
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  /** Runs a script in the guest's shell. @returns its output, stderr included, and its exit code @throws Error when it takes too long */
  async run(script: string, seconds = ANSWER_SECONDS): Promise<{ code: number; output: string }> {
    const mark = randomUUID();
    this.#heard = "";
    // The mark is sent in two halves, so that the terminal's echo does not contain it.
    this.#shell.write(`( ${script}\n) </dev/null 2>&1; echo "${mark.slice(0, 18)}""${mark.slice(18)} $?"\n`);
    const end = performance.now() + 1000 * seconds;
    for (;;) {
      const [, output, code] = new RegExp(`^([^]*)${mark} (\\d+)\\n`).exec(this.#heard) ?? [];
      if (code !== undefined) return { code: Number(code), output: output! };
      if (performance.now() > end) {
        throw new Error(
          `the guest does not answer within ${seconds} s: ${script}\n${this.#heard}\n${this.machine.tail(30)}`,
        );
      }
      await sleep(100);
    }
  }

  /** Runs a script that must succeed. @returns its output, trimmed @throws Error when it fails */
  async ask(script: string, seconds?: number): Promise<string> {
    const { code, output } = await this.run(script, seconds);
    if (code !== 0) throw new Error(`the guest's ${script} ends with ${code}: ${output}`);
    return output.trim();
  }

  /** Repeats a script until it succeeds. @throws Error with its last output when it has not succeeded after `seconds` */
  async until(script: string, seconds = 300): Promise<string> {
    const end = performance.now() + 1000 * seconds;
    for (;;) {
      const { code, output } = await this.run(script);
      if (code === 0) return output.trim();
      if (performance.now() > end) {
        throw new Error(`in the guest, for ${seconds} s, without success: ${script}: ${output}`);
      }
      await sleep(1000);
    }
  }

  /** Shuts the guest down in order, so that the disk can be booted again. @returns the console's output from then on */
  async powerOff(): Promise<string> {
    const before = this.machine.output.length;
    this.#shell.write("systemctl poweroff\n");
    await this.machine.until(/reboot: Power down|System halted/, { seconds: 300 });
    await this.machine.exit;
    return this.machine.output.slice(before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#shell.destroy();
    await this.machine.stop();
  }
}
