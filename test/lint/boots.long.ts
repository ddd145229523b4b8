/**
 * Machines that boot from trees with findings fail as lint says, and get further once the finding is fixed: by BIOS with PXELINUX, and by
 * UEFI with GRUB. Each tree is the one before it with some files changed.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { startDnsmasq } from "../../demo/dnsmasq.ts";
import { startMachine } from "../../demo/machine.ts";
import { makeNamespace, type Namespace } from "../../demo/namespace.ts";
import type { Process } from "../../demo/process.ts";
import { debianTree } from "../../demo/tree.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import { lintDirectory } from "../../lib/publish/lintable-tree.ts";
import { EVERYTHING } from "../../lib/publish/scan.ts";
import { startUefiMachine } from "../boot/http-site.ts";
import { efiProgram, elf } from "../support/linted.ts";
import { stackOf } from "../support/stack.ts";

/** How long a machine may take to show what the test expects: many times what it needs. */
const MS = 300_000;
const BY_ARCHITECTURE = ["--dhcp-match=set:uefi,option:client-arch,7", "--dhcp-boot=tag:uefi,bootx64.efi"];
const DEBIAN = join(debianTree().directory, "debian-installer/amd64");

t.setTimeout(10 * MS);
// While one firmware waits, the other works.
t.jobs = 2;

interface Step {
  /** The files that this step changes, by their paths. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** Lint's findings: kind and place. */
  readonly found: readonly string[];
  /** A part of the machine's console output. */
  readonly shown: RegExp;
  /** The machine then resets, without a message. */
  readonly resets?: boolean;
}

/** Goes through the steps, with a machine for each. */
async function boots(
  t: Test,
  steps: Readonly<Record<string, Step>>,
  start: (namespace: Namespace, directory: string, env: NodeJS.ProcessEnv) => Process | Promise<Process>,
): Promise<void> {
  const stack = stackOf(t);
  const { directory, env } = stack.use(await makeWorkspace("icfs-test"));
  const root = join(directory, "tree");
  await mkdir(root);
  const namespace = stack.use(await makeNamespace(`icfs-lint-${process.pid}-${t.name}`));
  for (const [name, { files, found, shown, resets = false }] of Object.entries(steps)) {
    for (const [path, content] of Object.entries(files)) await put(join(root, path), content);
    t.same(await foundIn(root), found, `${name}: lint's findings`);
    // Each machine gets a dnsmasq of its own: an old one would go on sending what the last machine does not have whole.
    await using dnsmasq = await startDnsmasq(namespace, root, { env }, BY_ARCHITECTURE);
    await using machine = await start(namespace, directory, env);
    // tail() leaves out the terminal's own sequences, which may stand within a word.
    for (const end = performance.now() + MS; !shown.test(machine.tail(100)); await sleep(100)) {
      if (performance.now() > end) throw new Error(`${name}: ${dnsmasq.tail(10)}\n${machine.tail(20)}`);
    }
    t.match(machine.tail(100), shown, `${name}: the machine's output`);
    if (resets) t.equal(await machine.exit, 0, `${name}: the machine resets`);
  }
}

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

async function foundIn(root: string): Promise<string[]> {
  return (await lintDirectory(root, EVERYTHING)).map(
    ({ kind, file, line }) => `${kind} ${file}${line === undefined ? "" : `:${line}`}`,
  );
}

t.test("bios", async (t) => {
  const linux = await readFile(join(DEBIAN, "linux"));
  const config = (kernel: string) =>
    `default a\nprompt 0\nlabel a\n  kernel ${kernel}\n  append console=ttyS0\n`;
  const steps: Record<string, Step> = {
    "a loader without its core": {
      files: {
        "pxelinux.0": await readFile(join(DEBIAN, "pxelinux.0")),
        "pxelinux.cfg/default": config("Linux"),
        linux: "",
      },
      found: ["empty-file linux", "missing-module pxelinux.0", "missing-file pxelinux.cfg/default:4"],
      shown: /Failed to load ldlinux\.c32/,
    },
    "another loader's core": {
      files: { "ldlinux.c32": elf(64) },
      found: ["empty-file linux", "foreign-module pxelinux.0", "missing-file pxelinux.cfg/default:4"],
      shown: /Failed to load ldlinux\.c32/,
    },
    "a name in the wrong case": {
      files: { "ldlinux.c32": await readFile(join(DEBIAN, "boot-screens/ldlinux.c32")) },
      found: ["empty-file linux", "missing-file pxelinux.cfg/default:4"],
      shown: /Loading Linux\b[^\n]*failed: No such file/,
    },
    "an empty kernel": {
      files: { "pxelinux.cfg/default": config("linux") },
      found: ["empty-file linux"],
      shown: /Loading linux\b[^\n]*failed: No such file/,
    },
    "a kernel that breaks off": {
      files: { linux: linux.subarray(0, 100_000) },
      found: ["broken-image linux"],
      shown: /Loading linux/,
      resets: true,
    },
    "a whole one": { files: { linux }, found: [], shown: /Linux version \S+/ },
  };
  await boots(t, steps, (namespace, _, env) => startMachine(namespace, { env }));
});

t.test("uefi", async (t) => {
  const steps: Record<string, Step> = {
    "a program for another processor": {
      files: { "bootx64.efi": efiProgram(0xaa64) },
      found: ["wrong-architecture bootx64.efi"],
      shown: /BdsDxe: failed to load Boot/,
    },
    "GRUB without its configuration": {
      files: {
        "bootx64.efi": await readFile(join(DEBIAN, "grubx64.efi")),
        "grub/grub.cfg": "echo it is read",
      },
      found: ["missing-config bootx64.efi"],
      shown: /grub>/,
    },
    "a configuration with an ampersand": {
      files: { "debian-installer/amd64/grub/grub.cfg": "menuentry a {\n echo url=http://host/?a=1&b=2\n}\n" },
      found: ["syntax debian-installer/amd64/grub/grub.cfg:2"],
      shown: /syntax error/,
    },
    "GRUB with a right one": {
      files: { "debian-installer/amd64/grub/grub.cfg": "echo the configuration is read" },
      found: [],
      shown: /the configuration is read/,
    },
  };
  await boots(t, steps, (namespace, directory, env) =>
    startUefiMachine(namespace, { settings: join(directory, "settings"), env, byTftp: true }),
  );
});
