/**
 * Debian's tree is published with `--machines` and the built-in templates, and PXELINUX boots a machine by its MAC. The boot gets no further
 * than the kernel, which prints the command line that the template gives it.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { deploy, startLocalnet } from "../../demo/icfs.ts";
import { BOOT_FAILURE, startMachine } from "../../demo/machine.ts";
import { GUEST_ADDRESS, GUEST_MAC, IPV6_PREFIX, makeNamespace, TAP } from "../../demo/namespace.ts";
import { Process, run } from "../../demo/process.ts";
import { debianTree } from "../../demo/tree.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import { BIN, HUNG } from "../support/icfs.ts";
import { stackOf } from "../support/stack.ts";
import { CANISTER } from "./http-site.ts";

t.setTimeout(30 * HUNG);

t.test("a machine boots by its MAC", async (t) => {
  const stack = stackOf(t);
  const { directory, env } = stack.use(await makeWorkspace("icfs-test"));
  const { localnet, url } = await startLocalnet({ env });
  stack.use(localnet);
  await deploy(CANISTER, url, { env });
  const hosts = join(directory, "hosts.csv");
  const machines = [
    "mac,name,kernel,args",
    `${GUEST_MAC.replaceAll(":", "")},web-1,debian-installer/amd64/linux,console=ttyS0 loglevel=6 icfs.machine=web-1`,
    "52:54:00:69:63:67,web-2,debian-installer/amd64/linux,console=ttyS0 loglevel=6 icfs.machine=web-2",
  ];
  await writeFile(hosts, `${machines.join("\n")}\n`);
  const icfs = (...args: string[]) => run(BIN, [...args, "--network", url], { env, seconds: 120 });
  const { directory: tree } = debianTree();
  // These files are large, and the kernel starts without them.
  const without = ["--exclude", "initrd.gz", "--exclude", "*.efi", "--no-lint"];
  await icfs("publish", tree, CANISTER, "--machines", hosts, ...without);
  const mountpoint = join(directory, "tftp");
  await mkdir(mountpoint);
  await icfs("mount", CANISTER, mountpoint);
  stack.defer(async () => void (await run(BIN, ["umount", mountpoint], { env })));

  const namespace = stack.use(await makeNamespace(`icfs-machines-${process.pid}`));
  const options = [
    "--keep-in-foreground",
    "--log-facility=-",
    "--pid-file=",
    "--conf-file=/dev/null",
    "--port=0",
  ];
  options.push(`--interface=${TAP}`, "--bind-dynamic", `--dhcp-range=${GUEST_ADDRESS},${GUEST_ADDRESS}`);
  options.push("--enable-tftp", `--tftp-root=${mountpoint}`, "--dhcp-boot=pxelinux.0");
  // Without a router's advertisement, iPXE waits 13 s for one.
  options.push("--enable-ra", `--dhcp-range=${IPV6_PREFIX},ra-only`);
  options.push("--leasefile-ro", "--user=nobody", "--group=nogroup", "--no-ping");
  const dnsmasq = stack.use(new Process(...namespace.inside("dnsmasq", options), env));
  await dnsmasq.until(/TFTP root is/, { seconds: 20 });

  await using machine = startMachine(namespace, { env });
  const [, name] = await machine.until(/Kernel command line: .*icfs\.machine=([\w-]+)\s/, {
    seconds: 300,
    refuse: BOOT_FAILURE,
  });
  t.equal(name, "web-1");
});
