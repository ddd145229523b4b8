/**
 * icfs example prints the file of examples/, with a site's own names in it. Other tests run the programs with these files:
 * test/boot/http-site.ts (nginx, dnsmasq), test/boot/channels.long.ts, test/boot/http.boot.ts (iPXE), test/docs/sites.test.ts, test/live/report/prometheus.long.ts.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const GIVEN = "CANISTER";
const ID = "rrkah-fqaaa-aaaaa-aaaaq-cai";
const ROOT = join(import.meta.dirname, "../..");
const PROMTOOL = join(ROOT, "build/prometheus/usr/bin/promtool");
const directory = await temporaryDirectory(t);
const env = cleanEnvironment(directory);
const example = (...args: string[]) => run(BIN, ["example", ...args], { env });

async function printed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await example(...args);
  if (code !== 0 || stderr !== "") throw new Error(`icfs example ${args.join(" ")}: ${code} ${stderr}`);
  return stdout;
}

/** The lines that differ from the file's. */
function changed(text: string, file: string): string[] {
  const before = new Set(file.split("\n"));
  return text.split("\n").filter((line) => !before.has(line));
}

const lines = (await printed()).trimEnd().split("\n");
const files = new Map(lines.map((line) => line.split(/ +/, 2) as [string, string]));
const read = (name: string) => readFile(join(ROOT, "examples", files.get(name)!), "utf8");

t.test("each example is its file with the canister's id filled in", async (t) => {
  t.same(
    [...files.keys()],
    ["nginx", "squid", "dnsmasq", "channels", "ipxe", "machines", "prometheus", "alerts", "grafana"],
  );
  for (const name of files.keys()) {
    const text = await read(name);
    t.equal(await printed(name, ID), text.replaceAll(GIVEN, ID), name);
    const { code, stdout, stderr } = await example(name);
    t.same({ code, stdout }, { code: 0, stdout: text });
    if (text.includes(GIVEN)) t.match(stderr, /^icfs: put your canister's id in the place of CANISTER, /);
  }
});

t.test("nginx: other networks, origins and store directories", async (t) => {
  const file = await read("nginx");
  const local = changed(await printed("nginx", ID, "--network", "local", "--listen", "8080"), file);
  t.ok(local.includes("  server localhost:4943;"));
  t.ok(local.includes("  listen 8080;"));
  t.ok(local.includes(`  proxy_set_header Host ${ID}.localhost:4943;`));
  t.ok(local.includes("    proxy_pass http://icfs;"));
  t.ok(local.includes("    proxy_pass http://127.0.0.1:8080/.kept/boot.efi;"));
  const other = await printed("nginx", ID, "--origin", "http://192.0.2.7:8080", "--store", "/x");
  t.match(other, /^ {2}server 192\.0\.2\.7:8080;$/m);
  t.match(other, /^ {2}proxy_set_header Host 192\.0\.2\.7:8080;$/m);
  t.match(other, /^proxy_cache_path \/x /m);
  t.notMatch(other, /icp0\.io|https:|var.cache/);
  const cdn = await printed("nginx", ID, "--origin", "https://boot.example");
  t.match(cdn, /server boot\.example:443;/);
  t.match(cdn, /proxy_ssl_name boot\.example;/);
});

t.test("squid: other networks, origins and store directories", async (t) => {
  const local = await printed(
    "squid",
    ID,
    "--network",
    "local",
    "--listen",
    "127.0.0.1:8080",
    "--store",
    "/x",
  );
  t.match(local, /^http_port 127\.0\.0\.1:8080 accel/m);
  t.match(local, /^http_port .* defaultsite=rrkah-\S+\.localhost /m);
  t.match(local, /^cache_peer localhost parent 4943 0 .* originserver$/m);
  t.match(local, /^cache_dir \S+ \/x /m);
  t.notMatch(local, /icp0\.io|tls/);
  const cdn = await printed("squid", ID, "--origin", "https://boot.example");
  t.match(cdn, /^cache_peer boot\.example parent 443 0 .* originserver tls$/m);
});

t.test("dnsmasq, iPXE and Prometheus: a site's own names", async (t) => {
  const dnsmasq = changed(
    await printed("dnsmasq", ID, "--site", "10.1.2.3", "--interface", "br0"),
    await read("dnsmasq"),
  ).filter((line) => !line.startsWith("#"));
  t.same(dnsmasq, [
    "interface=br0",
    "dhcp-range=10.1.2.50,10.1.2.150",
    "dhcp-boot=tag:ipxe,http://10.1.2.3/.icfs/boot.ipxe",
    "dhcp-boot=tag:uefi-http,http://10.1.2.3/boot.efi",
  ]);
  const ipxe = await printed("ipxe", ID, "--kernel", "a/vmlinuz", "--initrd", "a/initrd.img");
  t.match(ipxe, /^kernel a\/vmlinuz initrd=initrd\.img .*\ninitrd a\/initrd\.img\nboot$/m);
  const prometheus = await printed("prometheus", ID, "--metrics", "192.0.2.7:9470", "--alerts", "/a.yml");
  t.match(prometheus, /targets: \["192\.0\.2\.7:9470"\]/);
  t.match(prometheus, /^ {2}- \/a\.yml$/m);
});

t.test("wrong usage is refused with advice", async (t) => {
  t.match(await example("apache"), {
    code: 2,
    stdout: "",
    stderr:
      /^icfs: there is no example "apache"; there are nginx, squid, dnsmasq, channels, ipxe, machines, prometheus, alerts, grafana\n$/,
  });
  t.match(await example("nginx", "nonsense"), { code: 2, stdout: "" });
  const odd: string[][] = [
    ["nginx", "--listen", "70000"],
    ["prometheus", "--metrics", "192.0.2.7:70000"],
    ["nginx", "--origin", "http://:secret@192.0.2.7"],
    ["nginx", "--origin", "http://192.0.2.7/#tftp"],
    ["dnsmasq", "--interface", "boot0\ndhcp-script=/x"],
  ];
  for (const given of odd) {
    t.match(await example(...given), { code: 2, stdout: "", stderr: / is invalid\. / }, given.join(" "));
  }
  t.match(await example("squid", ID, "--network", "http://192.0.2.1"), {
    code: 2,
    stderr: /: a cache needs a host name for the canister: give --network a gateway's name/,
  });
});

t.test("alerts: each fires when it should, and the document lists the same alerts", async (t) => {
  const rules = join(directory, "alerts.yml");
  const text = await printed("alerts", ID);
  await writeFile(rules, text);
  const tests = join(directory, "tests.yml");
  const cases = await readFile(new URL("alerts.yml", import.meta.url), "utf8");
  await writeFile(tests, cases.replaceAll("ALERTS", rules));
  t.match(await run(PROMTOOL, ["test", "rules", tests], { env }), { code: 0 });
  const names = [...text.matchAll(/alert: (\w+)/g)].map(([, name]) => name!);
  for (const name of names) t.match(cases, new RegExp(`alertname: ${name}\n +exp_alerts`), name);
  const operations = await readFile(join(ROOT, "docs/OPERATIONS.md"), "utf8");
  const table = operations.split("What to be woken for, or told of:")[1]!.split("\n\n")[1]!;
  const documented = [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, expression]) => expression);
  t.same(
    [...text.matchAll(/expr: (.+)/g)].map(([, expression]) => expression),
    documented,
  );
});
