/** The commands of docs/ROLLOUTS.md, unchanged, one section after the other, on one host, each as the person whom it is for. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { blocksOf, documented } from "../support/documented.ts";
import { HUNG } from "../support/icfs.ts";
import { inOrder } from "../support/in-order.ts";
import { startSandbox } from "../support/sandbox.ts";

t.setTimeout(30 * HUNG);
const step = inOrder(t);

const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
const PEOPLE = ["/root", "/home/ci", "/home/manager"] as const;
const [OWNER, CI, MANAGER] = PEOPLE;

// The test reads from a mount to see whether it has switched, and a mount with a quiet time would wait for such readers.
const environment: NodeJS.ProcessEnv = { CANISTER, ICFS_NETWORK: "local", ICFS_QUIET: "0" };
const host = await startSandbox(t, () => environment);

/** Runs commands as the person with this home, which must succeed. @returns what they have printed */
async function done(t: Test, commands: string, home: string = OWNER): Promise<string> {
  const { code, stdout, stderr } = await host.sh(`export HOME=${home}\n${commands}`);
  t.equal(code, 0, commands, { stdout, stderr });
  return stdout;
}

/** A script that waits until the mount of a channel has this text. */
const shows = (channel: string, text: string) =>
  `until grep ${text} /srv/tftp/${channel}/file; do sleep 0.2; done`;
const release = (text: string) => `mkdir -p tree && echo ${text} > tree/file`;

step("Give out the roles", async (t) => {
  await done(t, `ln -s /opt/icfs/bin/icfs /usr/bin/icfs; mkdir -p ${PEOPLE.join(" ")} /etc/dnsmasq.d`);
  t.match(await host.startNetwork(), { code: 0 });
  await done(t, "icfs deploy --specified-id $CANISTER");
  environment.CI = (await done(t, "icfs identity", CI)).trim();
  environment.MANAGER = (await done(t, "icfs identity", MANAGER)).trim();
  const said = await done(t, await documented("ROLLOUTS.md", "Give out the roles"));
  t.match(said, new RegExp(`${environment.CI}.*\n[^]*${environment.MANAGER}`));
});

step("Publish a build", async (t) => {
  t.match(
    await done(t, `${release("one")}\n${await documented("ROLLOUTS.md", "Publish a build")}`, CI),
    /release 1\b/,
  );
  const { code, stderr } = await host.sh(`HOME=${CI} icfs promote $CANISTER 1 stable`);
  t.match({ code, stderr }, { code: 1, stderr: /may not promote/ });
});

step("Mount the channels", async (t) => {
  const [promote, mount] = (await documented("ROLLOUTS.md", "Mount the channels")).split(/(?=^mkdir)/m);
  await done(t, promote!, MANAGER);
  await done(t, mount!);
  await done(t, `${shows("stable", "one")}\n${shows("canary", "one")}`);
  const fstab = await documented("ROLLOUTS.md", "Mount the channels", "fstab");
  for (const [, source, directory] of fstab.matchAll(/^(\S+) (\S+) icfs /gm))
    await done(
      t,
      `findmnt --noheadings --output TARGET --source ${source!.replace("CANISTER", CANISTER)} | grep -x ${directory}`,
    );
});

step("Choose the machines", async (t) => {
  await done(t, await documented("ROLLOUTS.md", "Choose the machines"));
  await done(t, "dnsmasq --test --conf-file=/etc/dnsmasq.d/icfs-channels.conf");
  const text = await readFile(join(host.root, "etc/dnsmasq.d/icfs-channels.conf"), "utf8");
  t.match(text, "dhcp-boot=tag:canary,canary/pxelinux.0");
});

step("Try a release on a few", async (t) => {
  await done(t, `${release("two")}\n${await documented("ROLLOUTS.md", "Publish a build")}`, CI);
  await done(t, await documented("ROLLOUTS.md", "Try a release on a few"), MANAGER);
  await done(t, `kill -HUP $(icfs status /srv/tftp --json | jq '.[].pid')\n${shows("canary", "two")}`);
  await done(t, "grep one /srv/tftp/stable/file");
});

const TAKE_BACK = await documented("ROLLOUTS.md", "Take it back");
const [back, hup] = TAKE_BACK.split(/(?=^kill)/m);

step("Promote it", async (t) => {
  const said = await done(t, await documented("ROLLOUTS.md", "Promote it"), MANAGER);
  t.match(said, /stable: release 2/);
  await done(t, `${hup}${shows("stable", "two")}`);
});

step("Watch it", async (t) => {
  const said = await done(t, await documented("ROLLOUTS.md", "Watch it"));
  t.match(said, /"channel": "stable",\s+"serial": 2,\s+"release": 2/);
});

step("What each machine got", async (t) => {
  const documentedHere = await documented("ROLLOUTS.md", "What each machine got");
  const [script, list, stale, explain, check] = documentedHere.split(/(?=^icfs )/m) as [string, ...string[]];
  await done(t, "install -D /opt/icfs/packaging/dnsmasq-ledger /usr/libexec/icfs/dnsmasq-ledger");
  await done(t, script);
  await done(t, "dnsmasq --test --conf-file=/etc/dnsmasq.d/icfs-channels.conf");
  // dnsmasq calls the script in this way when the machine has got the file.
  await done(
    t,
    `mkdir -p /var/lib/misc; echo '1790000000 52:54:00:69:63:66 192.168.7.50 * *' >/var/lib/misc/dnsmasq.leases
    pen=$(sed -n 's/^dhcp-script=//p' /etc/dnsmasq.d/icfs-channels.conf)
    $pen tftp 4 192.168.7.50 /srv/tftp/stable/file`,
  );
  t.match(
    await done(t, list!),
    `52:54:00:69:63:66 192.168.7.50: 1 file, 0.0 kB, of release 2 of ${CANISTER}`,
  );
  t.equal(await done(t, stale!), "a reboot would change 0 of 1 machine\n");
  t.match(await done(t, explain!), /release 2 of .*certified by the subnet\n {2}file, .*: as in the release/);
  t.match(await done(t, check!), /^1 line in 1 file, /);
});

step("Take it back", async (t) => {
  t.match(await done(t, back!, MANAGER), /a day on rack 7/);
  await done(t, `${hup}${shows("stable", "one")}`);
  await done(t, "grep two /srv/tftp/canary/file");
  t.match(await done(t, "icfs boots --stale"), "/srv/tftp/stable/file\na reboot would change 1 of 1 machine");
});

step("all blocks are run", async (t) => {
  const shell = (await blocksOf("ROLLOUTS.md")).filter(({ language }) => language === "sh");
  t.equal(shell.length, 14);
});
