/** The original's network, changed as with `virsh net-edit`: machines boot from a mounted canister by UEFI, and by BIOS at the same time. */
import { createHash } from "node:crypto";
import { glob, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { STAGES, type Stage } from "../../demo/machine.ts";
import { GRUB, UEFI_BOOT_FILE } from "../../demo/tree.ts";
import { BIN } from "../support/icfs.ts";
import { UEFI_FAILURE, uefiStages } from "./domain.ts";
import { FILES, NETWORK, ROOT, startLibvirt } from "./libvirt.ts";

/** Added to the network, so that it serves machines with either firmware. Client architecture 7 is UEFI on x86-64. */
const NAMESPACE = "xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'";
const BY_ARCHITECTURE = `<dnsmasq:options>
  <dnsmasq:option value='dhcp-match=set:uefi,option:client-arch,7'/>
  <dnsmasq:option value='dhcp-boot=tag:uefi,${UEFI_BOOT_FILE}'/>
 </dnsmasq:options>`;

const SUMS = `${GRUB}/SHA256SUMS`;
const MODULES: Stage = { name: "modules", pattern: /(modules: 0)/, seconds: 600 };

/** Makes GRUB fetch each of its modules, and compare its SHA-256 with that of the published file. Returns the modules' names. */
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

t.test("libvirt", { timeout: 1_800_000 }, async (t) => {
  let modules: readonly string[] = [];
  const { directory, host, online, mount, isTree, boot, sentDuring } = await startLibvirt(t, async (tree) => {
    modules = await checkModules(tree);
  });
  /** Does what `virsh net-edit` and `virsh net-start` do. */
  const startNetwork = async (change: (xml: string) => string) => {
    const file = join(directory, "network.xml");
    await writeFile(file, change(await readFile(NETWORK, "utf8")));
    await host.virsh("net-define", file);
    await host.virsh("net-start", "default");
  };
  await mount();

  await t.test("a machine boots by UEFI when the network names another boot file", async (t) => {
    await startNetwork((xml) => xml.replace("pxelinux.0", UEFI_BOOT_FILE));
    const sent = await sentDuring(async () => {
      // The boot ends at GRUB: the network's description does not affect the rest.
      await boot(t, "uefi", uefiStages().slice(0, 3), UEFI_FAILURE);
    });
    t.same(
      FILES.uefi.slice(0, 2).filter((name) => !sent.includes(name)),
      [],
      "dnsmasq sends shim and GRUB",
    );
    await host.virsh("net-destroy", "default");
  });

  await t.test("machines boot by BIOS and by UEFI at once from one network", async (t) => {
    await startNetwork((xml) =>
      xml
        .replace("<network>", `<network ${NAMESPACE}>`)
        .replace("</network>", ` ${BY_ARCHITECTURE}\n</network>`),
    );
    const sent = await sentDuring(async () => {
      const [, uefi] = await Promise.all([
        // libvirt.long.ts shows the rest of this boot, and two installers at once would be slow on two cores.
        boot(t, "bios", STAGES.slice(0, 3)),
        boot(t, "uefi", uefiStages(MODULES), UEFI_FAILURE),
      ]);
      const right = uefi.output.match(/\.mod: OK/g) ?? [];
      t.equal(right.length, modules.length, "GRUB verifies the checksum of every module");
    });
    const expected = [...FILES.bios, ...FILES.uefi, SUMS, ...modules.map((name) => `${GRUB}/${name}`)];
    t.same(
      expected.filter((name) => !sent.includes(name)),
      [],
      "dnsmasq sends every file that BIOS and UEFI machines ask for",
    );
    await isTree(t);
  });
  await online(BIN, "umount", ROOT);
});
