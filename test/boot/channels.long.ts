/**
 * One dnsmasq, configured by `icfs example channels`, serves one mount of all channels to two machines. The example lists one machine for
 * canary. Each boots a script by the iPXE in its network card, and the script prints its release.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { deploy, publish, startLocalnet } from "../../demo/icfs.ts";
import { startMachine } from "../../demo/machine.ts";
import { GUEST_MAC, IPV6_PREFIX, makeNamespace, TAP } from "../../demo/namespace.ts";
import { Process, run } from "../../demo/process.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import { eventually } from "../mount/mounts.ts";
import { BIN, HUNG } from "../support/icfs.ts";
import { stackOf } from "../support/stack.ts";
import { CANISTER, printed } from "./http-site.ts";

t.setTimeout(30 * HUNG);

const OTHER_MAC = GUEST_MAC.replace(/..$/, "67");

t.test("a machine listed for canary boots the canary release, any other the stable one", async (t) => {
  const stack = stackOf(t);
  const { directory, env } = stack.use(await makeWorkspace("icfs-test"));
  const { localnet, url } = await startLocalnet({ env });
  stack.use(localnet);
  const icfs = (...args: string[]) => run(BIN, [...args, "--network", url], { env, seconds: 120 });
  await deploy(CANISTER, url, { env });
  const tree = join(directory, "tree");
  await mkdir(tree);
  // The machine fetches the second file from the directory of the first.
  await writeFile(join(tree, "pxelinux.0"), "#!ipxe\nchain menu.ipxe\n");
  for (const release of [1, 2]) {
    await writeFile(join(tree, "menu.ipxe"), `#!ipxe\necho this is release ${release}\npoweroff\n`);
    await publish(tree, CANISTER, url, { env });
  }
  await icfs("promote", CANISTER, "1", "stable");
  await icfs("promote", CANISTER, "2", "canary");
  const root = join(directory, "tftp");
  await mkdir(root);
  await icfs("mount", CANISTER, root, "--all-channels", "--refresh", "1", "--quiet", "0");
  stack.defer(async () => void (await run(BIN, ["umount", root], { env })));

  const namespace = stack.use(await makeNamespace(`icfs-channels-${process.pid}`));
  const example = await printed(env, "channels", CANISTER, "--interface", TAP);
  t.match(example, `dhcp-host=${GUEST_MAC},set:canary`);
  const configuration = join(directory, "dnsmasq.conf");
  await writeFile(configuration, example.replace("tftp-root=/srv/tftp", `tftp-root=${root}`));
  const options = ["--keep-in-foreground", `--conf-file=${configuration}`, "--log-facility=-", "--pid-file="];
  // Without a router's advertisement, iPXE waits 13 s for one.
  const router = ["--enable-ra", `--dhcp-range=${IPV6_PREFIX},ra-only`];
  options.push("--leasefile-ro", "--user=nobody", "--group=nogroup", "--no-ping", ...router);
  const dnsmasq = stack.use(new Process(...namespace.inside("dnsmasq", options), env));
  await dnsmasq.until(/TFTP root is/, { seconds: 20 });

  const boots = async (t: Test, mac: string, release: number) => {
    await using machine = startMachine(namespace, { env }, { mac });
    const [, booted] = await machine.until(/this is release (\d)/, { seconds: 120, refuse: /Boot failed/ });
    t.equal(booted, `${release}`, mac);
  };
  await t.test("canary", (t) => boots(t, GUEST_MAC, 2));
  await t.test("stable", (t) => boots(t, OTHER_MAC, 1));
  await icfs("promote", CANISTER, "canary", "stable");
  const menu = join(root, "stable/menu.ipxe");
  await eventually("the mount has followed", async () =>
    (await readFile(menu, "utf8")).includes("release 2"),
  );
  await t.test("stable, after canary is promoted to it", (t) => boots(t, OTHER_MAC, 2));
});
