/**
 * Where AppArmor keeps dnsmasq from a mountpoint, `icfs doctor` gives advice, which Debian's own profile and its parser understand.
 * Nothing is loaded into the kernel.
 */
import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import t from "tap";
import { apparmor } from "../../lib/doctor/confinement.ts";
import { chroot } from "../support/chroot.ts";
import { debianRoot } from "../support/debian-root.ts";
import { documented } from "../support/documented.ts";
import { exactly } from "../support/exactly.ts";
import { hostWith } from "../support/hosts.ts";
import { temporaryDirectory } from "../support/icfs.ts";

t.setTimeout(1_800_000);

const root = join(await temporaryDirectory(t), "root");
await debianRoot(root);
const debian = await chroot(t, root);
const PLACE = "/mnt/boot";
const MOUNT = join(import.meta.dirname, "../../docs/MOUNT.md");

t.test("the doctor's advice", async (t) => {
  t.match(await debian.run(["apt-get", "update"]), { code: 0 });
  const packages = ["apparmor", "apparmor-profiles"];
  t.match(await debian.run(["apt-get", "install", "--yes", "--no-install-recommends", ...packages]), {
    code: 0,
  });
  const profiles = join(root, "sys/kernel/security/apparmor/profiles");
  await mkdir(dirname(profiles), { recursive: true });
  await writeFile(profiles, "dnsmasq (enforce)\n");
  const host = await hostWith(t, {}, { mountpoint: PLACE, files: root });

  const [{ level, advice } = {}] = await apparmor.run(host);
  t.equal(level, "warn");
  const lines = [...advice!.matchAll(/"(\/[^"]*)"/g)].map(([, line]) => line!);
  const [, file] = /to (\/etc\/apparmor\.d\/local\/\S+)/.exec(advice!)!;
  const [, command] = /run: (apparmor_parser -r \S+)$/.exec(advice!)!;
  t.same(lines, [`${PLACE}/ r,`, `${PLACE}/** r,`]);
  const [parser, , profile] = command!.split(" ") as [string, string, string];
  // The parser does everything except to load the result into the kernel.
  await writeFile(join(root, "etc/apparmor/parser.conf"), "skip-kernel-load\nskip-cache\n");
  const loads = () => debian.run(command!.split(" "));
  // The rules as the parser reads them, with everything included.
  const rules = async () => (await debian.run([parser, "--preprocess", profile])).stdout;
  t.match(await loads(), { code: 0 });
  t.notMatch(await rules(), PLACE);

  await appendFile(join(root, file!), lines.map((line) => `${line}\n`).join(""));
  t.match(await loads(), { code: 0 });
  for (const line of lines) t.ok((await rules()).includes(line), line);
  t.match(
    await apparmor.run(host),
    exactly({ level: "ok" }),
    "the doctor reports ok once the rules are loaded",
  );

  const documentation = await documented("MOUNT.md", "AppArmor");
  t.ok(documentation.includes(command!), "the documentation has the same command");
  await writeFile(join(root, file!), "");
  t.match(await debian.run(["sh", "-ec", documentation]), { code: 0 });
  for (const line of lines) t.ok((await rules()).includes(line), line);

  const [, rule] = /^`(\/usr\/libexec\/icfs\/dnsmasq-ledger \w+,)`/m.exec(await readFile(MOUNT, "utf8"))!;
  await appendFile(join(root, file!), `${rule}\n`);
  t.match(await loads(), { code: 0 }, "the profile loads with the boot ledger's rule");
  t.ok((await rules()).includes(rule!), `${rule}`);

  await appendFile(join(root, file!), "not a rule\n");
  t.not((await loads()).code, 0, "the parser reads that file: a bad line makes it fail");
});
