/** docs/BOOT.md, "With another DHCP server" and "Over IPv6": dnsmasq accepts its configurations there. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { documented } from "../support/documented.ts";
import { cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const DNSMASQ = "/usr/sbin/dnsmasq";

for (const heading of ["dnsmasq beside a router", "dnsmasq on a router with OpenWrt", "Over IPv6"])
  t.test(heading, async (t) => {
    const directory = await temporaryDirectory(t);
    const file = join(directory, "dnsmasq.conf");
    const env = cleanEnvironment(directory);
    const check = () => run(DNSMASQ, ["--test", `--conf-file=${file}`], { env });
    const text = await documented("BOOT.md", heading, "conf");
    await writeFile(file, text);
    t.match(await check(), { code: 0, stderr: /syntax check OK/ });
    await writeFile(file, `${text}dhcp-boots=x\n`);
    t.not((await check()).code, 0, "dnsmasq rejects an unknown option");
  });
