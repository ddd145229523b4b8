/**
 * Machines boot to the Debian installer from a canister's URL, without a mount: iPXE runs a script, and UEFI firmware a unified kernel
 * image. The test prints how long that takes, beside the same boots by TFTP from a mount.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { boot, reach } from "../../demo/boot.ts";
import { runDnsmasq } from "../../demo/dnsmasq.ts";
import { deploy, mount, publish, startLocalnet } from "../../demo/icfs.ts";
import { BOOT_FAILURE, STAGES, type Stage, startMachine } from "../../demo/machine.ts";
import { GUEST_ADDRESS, GUEST_MAC, HOST_ADDRESS, makeNamespace, TAP } from "../../demo/namespace.ts";
import type { Process } from "../../demo/process.ts";
import { run } from "../../demo/process.ts";
import { makeTree, UEFI_BOOT_FILE } from "../../demo/tree.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import { stackOf } from "../support/stack.ts";
import { UEFI_FAILURE, uefiStages } from "./domain.ts";
import { CANISTER, example, printed, startHttpSite, startUefiMachine } from "./http-site.ts";
import { reporting } from "./stages.ts";

t.setTimeout(1_800_000);

const [IPXE, , ...KERNEL_AND_INSTALLER] = STAGES;
const FIRMWARE: Stage = { name: "UEFI HTTP Boot", pattern: /(URI: http:\S+)\s/, seconds: 300 };
/** As in examples/boot.ipxe. */
const KERNEL_OPTIONS = "console=ttyS0 loglevel=6 ---";

const stack = stackOf(t);
const { directory, env } = stack.use(await makeWorkspace("icfs-test"));
const tree = join(directory, "tree");
await makeTree(tree);
await writeFile(join(tree, "boot.ipxe"), await printed(env, "ipxe", CANISTER));
const [kernel, initrd] = ["linux", "initrd.gz"].map((name) => join(tree, "debian-installer/amd64", name));
await run(example("boot-image.sh"), [kernel!, initrd!, KERNEL_OPTIONS, join(tree, "boot.efi")], {
  env,
  seconds: 60,
});
const { localnet, url } = await startLocalnet({ env });
stack.use(localnet);
await deploy(CANISTER, url, { env });
await publish(tree, CANISTER, url, { env });

const seconds: Record<string, number> = {};

/** Tests one boot, and records how long it takes. @param machine switches the machine on */
async function timed(
  t: Test,
  name: string,
  machine: () => Process | Promise<Process>,
  stages: readonly Stage[],
  refuse = BOOT_FAILURE,
): Promise<void> {
  const started = performance.now();
  await using running = await machine();
  await reach(stages, running, reporting(t), { refuse });
  seconds[name] = (performance.now() - started) / 1000;
}

t.test("by HTTP", async (t) => {
  const namespace = stack.use(await makeNamespace(`icfs-http-${process.pid}`));
  await using _ = await startHttpSite({ namespace, url, directory: join(directory, "site"), env });
  const settings = join(directory, "uefi-http");
  await t.test("iPXE", (t) =>
    timed(t, "iPXE, HTTP", () => startMachine(namespace, { env }), [IPXE!, ...KERNEL_AND_INSTALLER]),
  );
  await t.test("UEFI", (t) => {
    const machine = () => startUefiMachine(namespace, { settings, env });
    return timed(t, "UEFI, HTTP", machine, [FIRMWARE, ...KERNEL_AND_INSTALLER], UEFI_FAILURE);
  });
});

t.test("by TFTP from a mount", async (t) => {
  const mountpoint = join(directory, "mnt");
  await mkdir(mountpoint);
  stack.use(await mount(CANISTER, mountpoint, url, { env }));
  await t.test("iPXE", async (t) => {
    const booted = await boot(mountpoint, {
      namespace: `icfs-tftp-${process.pid}`,
      stage: reporting(t),
      env,
    });
    seconds["iPXE, TFTP"] = booted.seconds;
  });
  await t.test("UEFI", async (t) => {
    const namespace = stack.use(await makeNamespace(`icfs-tftp-uefi-${process.pid}`));
    const options = [
      // libvirt sets this, too: shim looks for GRUB beside the boot file's name in DHCP's own field, not in an option.
      "--dhcp-no-override",
      ...["--port=0", `--interface=${TAP}`, "--bind-dynamic", `--dhcp-range=${HOST_ADDRESS},static`],
      ...[
        `--dhcp-host=${GUEST_MAC},${GUEST_ADDRESS},set:machine`,
        `--dhcp-boot=tag:machine,${UEFI_BOOT_FILE}`,
      ],
    ];
    await using _ = await runDnsmasq(namespace, mountpoint, options, { env });
    const machine = () =>
      startUefiMachine(namespace, { settings: join(directory, "uefi-tftp"), env, byTftp: true });
    await timed(t, "UEFI, TFTP", machine, uefiStages(), UEFI_FAILURE);
  });
});

t.test("a time is recorded for each boot", async (t) => {
  const named = Object.entries(seconds).map(([name, taken]) => `${name} ${taken.toFixed(1)} s`);
  t.equal(named.length, 4, named.join("; "));
});
