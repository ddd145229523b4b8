/**
 * The commands of docs/INSTALL.md to docs/OPERATIONS.md, unchanged, one section after the other, on one host: from nothing to a machine that
 * boots, and the operation of the host from then on. A local network stands in for the main network.
 */
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { BOOT_FAILURE, STAGES, startMachine } from "../../demo/machine.ts";
import { HOST_ADDRESS, TAP } from "../../demo/namespace.ts";
import { debianTree, makeTree } from "../../demo/tree.ts";
import { documented } from "../support/documented.ts";
import { HUNG, run } from "../support/icfs.ts";
import { inOrder } from "../support/in-order.ts";
import { alone, BUILDING } from "../support/make.ts";
import { startSandbox } from "../support/sandbox.ts";

t.setTimeout(30 * HUNG);
const step = inOrder(t);

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DEBIAN_TREE = debianTree().directory;
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
/** Building the package installs npm packages, and may have to wait for another test that builds. */
const LONG = 15 * HUNG;

const environment: NodeJS.ProcessEnv = { CANISTER, ICFS_NETWORK: "local" };
const host = await startSandbox(t, () => environment);

/** Runs a section's commands on the host, which must succeed. @returns what they have printed */
async function done(t: Test, commands: string): Promise<string> {
  const { code, stdout, stderr } = await host.sh(commands, LONG);
  t.equal(code, 0, commands, { stdout, stderr });
  return stdout;
}

/** The commands that start a local network, and those that change the line that "Mount" puts into /etc/fstab. */
async function onLocalNetwork(): Promise<[start: string, line: string]> {
  const commands = await documented("PUBLISH.md", "Try it on a local network");
  return commands.split(/(?=^sed )/m) as [string, string];
}

step("Build the package", async (t) => {
  const commands = await documented("INSTALL.md", "Build the package");
  const built = await run(...alone("bash", ["-ec", commands]), { env: BUILDING, cwd: ROOT, limit: LONG });
  t.equal(built.code, 0, commands, { stderr: built.stderr });
  await cp(join(ROOT, "build"), join(host.root, "root/build"), {
    recursive: true,
    filter: (path) => path.endsWith("build") || /\/icfs_[^/]*\.deb$/.test(path),
  });
});

step("Install", async (t) => {
  const commands = await documented("INSTALL.md", "Install");
  // The local network comes with icfs, so it starts after the installation, and before `icfs doctor` asks it.
  const [install, look] = commands.split(/(?<=^apt install .*\n)/m);
  await done(t, install!);
  const [start] = await onLocalNetwork();
  t.match(await done(t, `${start}\necho $CANISTER`), /^[a-z0-9]{5}(-[a-z0-9]{3,5})+\n$/, "a canister");
  environment.ICFS_ROOT_KEY = "/var/lib/icfs/localnet-4943.key";
  const said = await done(t, look!);
  t.match(said, JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")).version);
  t.match(said, /^ok +mount helper/m);
});

step("Publish", async (t) => {
  // The tree is Debian's, but with the installer on the serial console, where the test can read it.
  const tree = join(host.root, DEBIAN_TREE);
  await rm(tree, { recursive: true });
  await makeTree(tree);
  await done(t, "icfs deploy --specified-id $CANISTER");
  const said = await done(t, await documented("PUBLISH.md", "Publish"));
  t.match(said, /^[a-z0-9]{5}(-[a-z0-9]{1,5})+$/m, "a principal");
});

step("Look before you boot", async (t) => {
  t.equal(
    await done(t, await documented("PUBLISH.md", "Look before you boot")),
    "",
    "icfs lint finds no problem in Debian's tree",
  );
});

step("Machines from a file", async (t) => {
  const said = await done(t, await documented("PUBLISH.md", "Machines from a file"));
  t.match(said, "added   file      debian-installer/amd64/pxelinux.cfg/01-52-54-00-69-63-66\n");
  t.match(said, "added   file      debian-installer/amd64/grub/grub.cfg-01-52-54-00-69-63-67\n");
  t.match(said, "added   file      ipxe/52-54-00-69-63-68.ipxe\n");
});

step("Mount", async (t) => {
  const commands = await documented("MOUNT.md", "Mount");
  const [, line] = await onLocalNetwork();
  const said = await done(t, commands.replace(/^echo .*fstab$/m, line.trimEnd()));
  t.match(said, new RegExp(`/srv/tftp +${CANISTER} +fuse\\.icfs +ro`));
  t.equal((await host.sh(`diff -r --no-dereference ${DEBIAN_TREE} /srv/tftp`)).code, 0);
});

step("Serve it with dnsmasq", async (t) => {
  const conf = await documented("BOOT.md", "Serve it with dnsmasq", "conf");
  const path = join(host.root, "etc/dnsmasq.d/netboot.conf");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, conf.replace("boot0", TAP));
  for (const command of [
    `ip tuntap add ${TAP} mode tap`,
    `ip address add ${HOST_ADDRESS}/24 dev ${TAP}`,
    `ip link set ${TAP} up`,
  ]) {
    await done(t, command);
  }
  await done(t, await documented("BOOT.md", "Serve it with dnsmasq"));
  // Debian's unit starts dnsmasq in the same way, with the rest of Debian's configuration.
  await done(
    t,
    "dnsmasq --conf-file=/etc/dnsmasq.d/netboot.conf --log-facility=/var/log/dnsmasq --user=nobody",
  );
  await using machine = startMachine(host);
  for (const { pattern, seconds } of STAGES) {
    await machine.until(pattern, { seconds, refuse: BOOT_FAILURE });
  }
  const log = await readFile(join(host.root, "var/log/dnsmasq"), "utf8");
  for (const file of ["pxelinux.0", "linux", "initrd.gz"])
    t.match(log, new RegExp(`sent /srv/tftp/\\S*${file} to`));
});

step("Files of dnsmasq's own", async (t) => {
  const said = await done(t, await documented("BOOT.md", "Files of dnsmasq's own"));
  t.match(said, /Uid: \( *\d+\/ dnsmasq\)/);
});

step("Serve it with tftpd-hpa", async (t) => {
  await done(t, await documented("BOOT.md", "Serve it with tftpd-hpa"));
  t.equal((await host.sh(`diff -r --no-dereference ${DEBIAN_TREE} /srv/tftp`)).code, 0);
});

step("Boot from the canister's own URL", async (t) => {
  const said = await done(t, await documented("HTTP.md", "Boot from the canister's own URL"));
  const [newest, file, pinned, ...content] = said.trim().split("\n");
  t.match(newest, new RegExp(`^http://${CANISTER}\\.localhost:\\d+/$`));
  t.strictSame([file, pinned], [`${newest}pxelinux.cfg/default`, `${newest}.icfs/at/1/pxelinux.cfg/default`]);
  const published = await readFile(join(host.root, DEBIAN_TREE, "pxelinux.cfg/default"), "utf8");
  t.equal(content.join("\n"), published.trim(), "the canister's URL serves the published file");
});

step("Machines with UEFI HTTP Boot", async (t) => {
  await done(t, `cp -rL ${DEBIAN_TREE} tree`);
  await done(t, await documented("HTTP.md", "Machines with UEFI HTTP Boot"));
  t.match(await done(t, "objdump --section-headers tree/boot.efi"), /\.cmdline .*\.initrd .*\.linux /s);
});

step("Releases and channels", async (t) => {
  await done(t, `mkdir DIRECTORY && cp -L ${DEBIAN_TREE}/pxelinux.0 DIRECTORY/`);
  const said = await done(t, await documented("PUBLISH.md", "Releases and channels"));
  t.match(said, /kernel 6\.1\.0-40/);
  t.match(await done(t, "icfs releases $CANISTER"), /^release 3 /m, "rolled back");
});

step("New releases", async (t) => {
  t.match(await done(t, await documented("MOUNT.md", "New releases")), new RegExp(CANISTER));
});

step("Look after the canister", async (t) => {
  environment.PRINCIPAL = "aaaaa-aa";
  const said = await done(t, await documented("OPERATIONS.md", "Look after the canister"));
  t.match(said, /publisher/);
});

step("Watch a mount", async (t) => {
  const said = await done(t, await documented("OPERATIONS.md", "Watch a mount"));
  t.match(said, new RegExp(CANISTER));
});

step("Upgrade it, or take it away", async (t) => {
  await done(t, await documented("INSTALL.md", "Upgrade or remove"));
  t.match(await host.sh("ls /var/cache/icfs /usr/bin/icfs"), { code: 2, stdout: "" });
});
