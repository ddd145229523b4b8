/**
 * systemd's own verifier checks icfs@.service and icfs-serve@.service, and the documentation's lines for fstab go through its generator.
 * Nothing is started here: started.long.ts does that, and test/boot/host.boot.ts boots with them.
 */
import { chmod, copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { run, temporaryDirectory } from "../support/icfs.ts";

const unitFile = (name: string) => fileURLToPath(new URL(`../../packaging/systemd/${name}`, import.meta.url));
const MOUNTS = unitFile("icfs@.service");
const SERVES = unitFile("icfs-serve@.service");
const GENERATOR = "/usr/lib/systemd/system-generators/systemd-fstab-generator";
const ID = "oeagv-5qaaa-aaaah-aar4q-cai";
const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };

/** The options that give a unit a mount namespace of its own, by systemd.exec(5), or may do so in another version of systemd. */
const NAMESPACES =
  /^(Bind(ReadOnly)?Paths|DynamicUser|Extension(Directories|Images)|(In)?[Aa]ccessiblePaths|JoinsNamespaceOf|LogNamespace|Mount(APIVFS|Flags|Images)|(No)?ExecPaths|Private\w+|Proc(Subset)|Protect\w+|Read(Only|Write)Paths|Root(Directory|Image\w*|Hash\w*|Verity)|TemporaryFileSystem)=/m;

for (const file of [MOUNTS, SERVES])
  t.test(`systemd-analyze verify finds nothing wrong with ${basename(file)}`, async (t) => {
    const directory = await temporaryDirectory(t);
    const unit = join(directory, basename(file).replace("@", "@test"));
    await copyFile(file, unit);
    const commands = join(directory, "bin");
    await mkdir(commands);
    await writeFile(join(commands, "icfs"), "#!/bin/sh\n");
    await chmod(join(commands, "icfs"), 0o755);
    // As if icfs were installed. Another test checks its manual page.
    const script = `mount -t overlay overlay -o lowerdir=${commands}:/usr/bin /usr/bin && systemd-analyze verify --man=no ${unit}`;
    const verify = () => run("unshare", ["--mount", "--propagation", "private", "sh", "-c", script], { env });
    t.same(await verify(), { code: 0, stdout: "", stderr: "" });
    await writeFile(unit, `${await readFile(file, "utf8")}\n[Service]\nPatience=none\n`);
    t.match((await verify()).stderr, /Unknown key.* 'Patience'/, "an unknown key is reported");
  });

t.test("icfs@.service makes no mount namespace, so its mounts are the host's", async (t) => {
  const text = await readFile(MOUNTS, "utf8");
  t.notMatch(text, NAMESPACES);
  t.match("PrivateTmp=yes\nProtectSystem=full", NAMESPACES);
});

t.test("icfs-serve@.service can do little besides serving", async (t) => {
  const unit = join(await temporaryDirectory(t), "icfs-serve@test.service");
  await copyFile(SERVES, unit);
  // systemd rates from 0, the best, to 100. The unit's points are for the network, and for reading what the host shows to all.
  const analyze = () =>
    run("systemd-analyze", ["security", "--offline=true", "--threshold=20", unit], { env });
  t.match(await analyze(), { code: 0 });
  await writeFile(
    unit,
    (await readFile(SERVES, "utf8")).replace(/^(ProtectSystem|SystemCallFilter)=.*\n/gm, ""),
  );
  t.match(await analyze(), { code: 1 }, "a unit with less protection fails the check");
});

/** The files that the generator makes of lines of fstab, by their names. */
async function generated(t: Test, ...lines: string[]): Promise<Map<string, string>> {
  const directory = await temporaryDirectory(t);
  const file = join(directory, "fstab");
  const units = join(directory, "units");
  await mkdir(units);
  await writeFile(file, lines.map((line) => `${line}\n`).join(""));
  const result = await run(GENERATOR, [units, units, units], {
    env: { ...env, SYSTEMD_FSTAB: file, SYSTEMD_LOG_TARGET: "console" },
  });
  t.same(result, { code: 0, stdout: "", stderr: "" });
  const made = (await readdir(units))
    .filter((name) => /\.(auto)?mount$/.test(name))
    .map((name) => join(units, name));
  // Other units that are loaded write to the output.
  const verified = await run("systemd-analyze", ["verify", "--man=no", "--recursive-errors=no", ...made], {
    env,
  });
  t.same(verified, { code: 0, stdout: "", stderr: "" }, "verified");
  const found = new Map<string, string>();
  for (const name of await readdir(units, { recursive: true })) {
    found.set(name, await readFile(join(units, name), "utf8").catch(() => ""));
  }
  return found;
}

t.test("the documentation's line for fstab makes a mount unit and an automount unit", async (t) => {
  const found = await generated(t, `${ID} /srv/tftp icfs ro,_netdev,nofail,x-systemd.automount 0 0`);
  const mount = found.get("srv-tftp.mount")!;
  t.match(mount, new RegExp(`^What=${ID}$`, "m"));
  t.match(mount, /^Where=\/srv\/tftp$/m);
  t.match(mount, /^Type=icfs$/m);
  t.match(mount, /^Options=ro,_netdev,nofail,x-systemd.automount$/m);
  t.match(found.get("srv-tftp.automount"), /^Where=\/srv\/tftp$/m);
  t.ok(found.has("remote-fs.target.wants/srv-tftp.automount"), "wanted");
  t.notOk(
    [...found.keys()].some((name) => /requires\//.test(name)),
    "no unit requires the mount",
  );
});

t.test("a line without automount makes a mount unit before the services that use it", async (t) => {
  const before = "x-systemd.before=dnsmasq.service,x-systemd.before=libvirtd.service";
  const options = `ro,_netdev,nofail,${before},x-systemd.mount-timeout=5min,retry=4`;
  const found = await generated(t, `${ID} /srv/tftp icfs ${options} 0 0`);
  const mount = found.get("srv-tftp.mount")!;
  t.match(mount, /^Before=dnsmasq.service libvirtd.service$/m);
  t.match(mount, /^TimeoutSec=5min$/m);
  t.notMatch(mount, /^(Before=remote-fs.target|Requires=)/m);
  t.ok(found.has("remote-fs.target.wants/srv-tftp.mount"), "wanted");
});
