/** The network from the original's instructions, unchanged, over a mounted canister: it starts, and machines boot by BIOS. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { STAGES } from "../../demo/machine.ts";
import { mountsBelow, run } from "../../demo/process.ts";
import { documented } from "../support/documented.ts";
import { BIN } from "../support/icfs.ts";
import { FILES, NETWORK, ROOT, startLibvirt } from "./libvirt.ts";
import { NOT_FOUND, tftpUrl } from "./tftp-client.ts";

const SERVER = "192.168.122.1";

t.test("libvirt", { timeout: 1_800_000 }, async (t) => {
  const before = mountsBelow(ROOT);
  const { directory, env, tree, host, online, mount, isTree, boot, sentDuring } = await startLibvirt(t);

  await t.test("the unchanged network starts over the mount, and starts again", async (t) => {
    await mount();
    t.match(await host.virsh("net-define", NETWORK), /Network default defined/, "net-define");
    t.match(await host.virsh("net-start", "default"), /Network default started/, "net-start");
    t.match(await host.virsh("net-destroy", "default"), /Network default destroyed/, "net-destroy");
    t.match(
      await host.virsh("net-start", "default"),
      /Network default started/,
      "net-start after net-destroy",
    );
    const pid = (await run(...host.inside("cat", ["/run/libvirt/network/default.pid"]), { env })).trim();
    const user = (await run(...host.inside("ps", ["-o", "user=", "-p", pid]), { env })).trim();
    t.match(user, /^(?!root$)./, `dnsmasq is unprivileged: ${user}`);
    t.same(mountsBelow(ROOT), before, "the mounts at this machine's own /srv/tftp are unchanged");
    await isTree(t);

    const commands = await documented("BOOT.md", "Serve it with libvirt");
    const [xml] = (await documented("BOOT.md", "Serve it with libvirt", "xml")).split(/(?<=<\/network>\n)/);
    await host.virsh("net-destroy", "default");
    await host.virsh("net-undefine", "default");
    await writeFile(join(directory, "network.xml"), xml!);
    const said = await run(...host.inside("sh", ["-ec", `cd ${directory}\n${commands}`]), { env });
    t.match(
      said,
      /<tftp root='\/srv\/tftp'\/>/,
      "the documented commands define the network with its TFTP root",
    );
    await host.virsh("net-destroy", "default");
    await host.virsh("net-undefine", "default");
    await host.virsh("net-define", NETWORK);
    await host.virsh("net-start", "default");
  });

  await t.test("a machine boots by BIOS from the unchanged network", async (t) => {
    const sent = await sentDuring(async () => {
      await boot(t, "bios", STAGES);
    });
    t.same(sent, [...FILES.bios].sort(), "dnsmasq sends exactly the files of a BIOS boot");
    await isTree(t);
  });

  await t.test("the network starts without the mount, and serves files once it is mounted", async (t) => {
    // The server's address can also be reached from the host itself.
    const fetch = (name: string) =>
      run(...host.inside("curl", ["--silent", "--show-error", "--max-time", "20", tftpUrl(SERVER, name)]), {
        env,
      });
    const content = await readFile(join(tree, "version.info"), "utf8");
    const notFound = { message: new RegExp(`^curl failed \\(${NOT_FOUND}\\)`) };
    t.equal(await fetch("version.info"), content);
    await online(BIN, "umount", ROOT);
    await t.rejects(fetch("version.info"), notFound, "the file is not found without the mount");
    await host.virsh("net-destroy", "default");
    await host.virsh("net-start", "default");
    await t.rejects(
      fetch("version.info"),
      notFound,
      "the network starts without the mount, and the file is not found",
    );
    await mount();
    t.equal(await fetch("version.info"), content, "the running network serves the file once it is mounted");
    await online(BIN, "umount", ROOT);
  });
});
