/**
 * The real libvirtd, with the network of the original's instructions as it stands there (seed-network.xml): its dnsmasq
 * serves a mounted canister at /srv/tftp, and machines boot from it, by BIOS and by UEFI.
 */
import { createHash } from "node:crypto";
import { glob, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type DoStage, reach } from "../../demo/boot.ts";
import { namesSent } from "../../demo/dnsmasq.ts";
import { STAGES, type Stage } from "../../demo/machine.ts";
import { mountsBelow, type Process, run } from "../../demo/process.ts";
import { GRUB, UEFI_BOOT_FILE } from "../../demo/tree.ts";
import { documented } from "../support/documented.ts";
import { BIN } from "../support/icfs.ts";
import { type Firmware, startDomain, UEFI_FAILURE, uefiStages } from "./domain.ts";
import { startPrivateHost } from "./private-host.ts";
import { publishTree } from "./published-tree.ts";
import { reporting } from "./stages.ts";
import { NOT_FOUND, tftpUrl } from "./tftp-client.ts";

/** As the original's instructions have it: its root is /srv/tftp, and nothing in it knows of icfs. */
const NETWORK = join(import.meta.dirname, "seed-network.xml");
const ROOT = "/srv/tftp";
const SERVER = "192.168.122.1";

/** What is added to it, by `virsh net-edit`, so that it serves machines with either firmware (client architecture 7 is UEFI's, x86-64). */
const NAMESPACE = "xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'";
const BY_ARCHITECTURE = `<dnsmasq:options>
  <dnsmasq:option value='dhcp-match=set:uefi,option:client-arch,7'/>
  <dnsmasq:option value='dhcp-boot=tag:uefi,${UEFI_BOOT_FILE}'/>
 </dnsmasq:options>`;

const KERNEL = ["debian-installer/amd64/linux", "debian-installer/amd64/initrd.gz"];
const BIOS_FILES = ["pxelinux.0", "ldlinux.c32", "pxelinux.cfg/default", ...KERNEL];
const UEFI_FILES = [UEFI_BOOT_FILE, "debian-installer/amd64/grubx64.efi", `${GRUB}/grub.cfg`, ...KERNEL];
const SUMS = `${GRUB}/SHA256SUMS`;

/** Has GRUB fetch each of its modules, and compare the SHA-256 of what has come with that of what was published. Returns their names. */
async function checkModules(tree: string): Promise<string[]> {
  const grub = join(tree, GRUB);
  const names: string[] = [];
  for await (const name of glob("**/*.mod", { cwd: grub })) names.push(name);
  const lines = names.map(async (name) => {
    const sum = createHash("sha256").update(await readFile(join(grub, name)));
    return `${sum.digest("hex")}  ${name}\n`;
  });
  await writeFile(join(tree, SUMS), (await Promise.all(lines)).join(""));
  const configuration = join(grub, "grub.cfg");
  const check = `hashsum --hash sha256 --keep-going --check $prefix/SHA256SUMS --prefix $prefix
echo "modules: $?"
`;
  await writeFile(configuration, `${check}${await readFile(configuration, "utf8")}`);
  return names;
}
const MODULES: Stage = { name: "modules", pattern: /(modules: 0)/, seconds: 120 };

t.test("libvirt", { timeout: 900_000 }, async (t) => {
  const before = mountsBelow(ROOT);
  let modules: readonly string[] = [];
  const { directory, env, tree, canister, url, stack } = await publishTree(t, async (tree) => {
    modules = await checkModules(tree);
  });
  const host = stack.use(await startPrivateHost({ env }));
  const online = (program: string, ...args: string[]) =>
    run(...host.online(program, args), { env, seconds: 120 });
  const mount = () =>
    online(BIN, "mount", canister, ROOT, "--network", url, "--log-file", join(directory, "mount.log"));
  const isTree = async (t: Test) =>
    t.resolves(online("diff", "-r", "--no-dereference", tree, ROOT), "the mount has the tree, byte for byte");

  /** Boots a machine, up to the last of `stages`. */
  const boot = async (
    t: Test,
    firmware: Firmware,
    stages: readonly Stage[],
    refuse?: RegExp,
  ): Promise<Process> => {
    const began = performance.now();
    const last = stages.at(-1)!.name;
    const report = reporting(t);
    const stage: DoStage = (name, work, tell) => report(`${firmware}: ${name}`, work, tell);
    const console = await startDomain(host, firmware, directory);
    try {
      await reach(stages, console, stage, refuse === undefined ? {} : { refuse });
    } catch (error) {
      t.comment(console.tail(20));
      throw error;
    } finally {
      await console.stop();
      await host.virsh("destroy", firmware);
    }
    t.comment(
      `${firmware}: ${((performance.now() - began) / 1000).toFixed(1)} s from virsh create to ${last}`,
    );
    return console;
  };
  /** What dnsmasq has sent whole since its log had `from` characters, each once. */
  const sent = (from: number) => [...new Set(namesSent(host.syslog.output.slice(from), ROOT))].sort();
  const now = () => host.syslog.output.length;

  await t.test("the network as it stands starts over the mount, and starts again", async (t) => {
    await mount();
    t.match(await host.virsh("net-define", NETWORK), /Network default defined/, "net-define");
    t.match(await host.virsh("net-start", "default"), /Network default started/, "net-start");
    t.match(await host.virsh("net-destroy", "default"), /Network default destroyed/, "net-destroy");
    t.match(await host.virsh("net-start", "default"), /Network default started/, "net-start, again");
    const pid = (await run(...host.inside("cat", ["/run/libvirt/network/default.pid"]), { env })).trim();
    const user = (await run(...host.inside("ps", ["-o", "user=", "-p", pid]), { env })).trim();
    t.match(user, /^(?!root$)./, `dnsmasq is unprivileged: ${user}`);
    t.same(mountsBelow(ROOT), before, "this machine's own directory is as it was");
    await isTree(t);

    const commands = await documented("OPERATIONS.md", "Serve it with libvirt");
    const [xml] = (await documented("OPERATIONS.md", "Serve it with libvirt", "xml")).split(
      /(?<=<\/network>\n)/,
    );
    await host.virsh("net-destroy", "default");
    await host.virsh("net-undefine", "default");
    await writeFile(join(directory, "network.xml"), xml!);
    const said = await run(...host.inside("sh", ["-ec", `cd ${directory}\n${commands}`]), { env });
    t.match(said, /<tftp root='\/srv\/tftp'\/>/, "as the documentation has it");
    await host.virsh("net-destroy", "default");
    await host.virsh("net-undefine", "default");
    await host.virsh("net-define", NETWORK);
    await host.virsh("net-start", "default");
  });

  await t.test("BIOS, by the network as it stands", async (t) => {
    const from = now();
    await boot(t, "bios", STAGES);
    t.same(sent(from), [...BIOS_FILES].sort(), "dnsmasq has sent these files");
  });

  /** What `virsh net-edit` and a restart of the network do. */
  const changeNetwork = async (change: (xml: string) => string) => {
    const file = join(directory, "network.xml");
    await writeFile(file, change(await readFile(NETWORK, "utf8")));
    await host.virsh("net-destroy", "default");
    await host.virsh("net-define", file);
    await host.virsh("net-start", "default");
  };

  await t.test("UEFI, by the network with another boot file", async (t) => {
    await changeNetwork((xml) => xml.replace("pxelinux.0", UEFI_BOOT_FILE));
    const from = now();
    // To GRUB: from there on, what machines do does not depend on the network's description.
    await boot(t, "uefi", uefiStages().slice(0, 3), UEFI_FAILURE);
    const names = sent(from);
    t.same(
      UEFI_FILES.slice(0, 2).filter((name) => !names.includes(name)),
      [],
      "dnsmasq has sent shim and GRUB",
    );
  });

  await t.test("BIOS and UEFI at once, by one network", async (t) => {
    await changeNetwork((xml) =>
      xml
        .replace("<network>", `<network ${NAMESPACE}>`)
        .replace("</network>", ` ${BY_ARCHITECTURE}\n</network>`),
    );
    const from = now();
    const [, uefi] = await Promise.all([
      // How it goes on has just been seen, and two installers at once are much for two cores.
      boot(t, "bios", STAGES.slice(0, 3)),
      boot(t, "uefi", uefiStages(MODULES), UEFI_FAILURE),
    ]);
    const right = uefi.output.match(/\.mod: OK/g) ?? [];
    t.equal(right.length, modules.length, "GRUB has found every module to be what it was");
    const names = sent(from);
    const expected = [...BIOS_FILES, ...UEFI_FILES, SUMS, ...modules.map((name) => `${GRUB}/${name}`)];
    t.same(
      expected.filter((name) => !names.includes(name)),
      [],
      "dnsmasq has sent all that either asks for",
    );
    await isTree(t);
  });

  await t.test("a mount that goes, and comes later than the network", async (t) => {
    // libvirt's own address is answered on this host, too.
    const fetch = (name: string) =>
      run(...host.inside("curl", ["--silent", "--show-error", "--max-time", "20", tftpUrl(SERVER, name)]), {
        env,
      });
    const content = await readFile(join(tree, "version.info"), "utf8");
    const notFound = { message: new RegExp(`^curl failed \\(${NOT_FOUND}\\)`) };
    t.equal(await fetch("version.info"), content);
    await online(BIN, "umount", ROOT);
    await t.rejects(fetch("version.info"), notFound, "not found without the mount");
    await host.virsh("net-destroy", "default");
    await host.virsh("net-start", "default");
    await t.rejects(fetch("version.info"), notFound, "the network starts without it all the same");
    await mount();
    t.equal(await fetch("version.info"), content, "and serves it without being started again");
    await online(BIN, "umount", ROOT);
  });
});
