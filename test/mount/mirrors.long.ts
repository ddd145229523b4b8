/** Mounts that read from mirrors: files, a web server, one that lies, one that is silent, one that is down, one that is old. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Process } from "../../demo/process.ts";
import { metricsOf } from "../../lib/live/report/metrics.ts";
import { MirrorDirectory } from "../../lib/mirror/directory.ts";
import { mirrorRelease } from "../../lib/mirror/mirror.ts";
import { BIN, run } from "../support/icfs.ts";
import { type MirrorServer, startMirrorServer } from "../support/mirror-server.ts";
import { startMountable, startMountableAssets } from "../support/mountable.ts";
import { eventually, HUNG, sh } from "./mounts.ts";

t.setTimeout(30 * HUNG);

const MiB = 1024 * 1024;
const NGINX = join(import.meta.dirname, "../../build/nginx/usr/sbin/nginx");
const c = await startMountable(t);
await c.publish({
  "pxelinux.0": "loader\n",
  ...Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`file-${i}`, randomBytes(MiB + i)])),
});
const directory = join(c.directory, "mirror");
const rootKey = ["--root-key", Buffer.from(c.rootKey).toString("hex")];
/** Options with which every byte comes from a mirror, or from the network. */
const COLD = ["--max-cache-size", "0", "--prefetch", "none", "--read-timeout", "20", ...rootKey];

const SILENT = { start() {}, add() {} };

/** Brings the mirror up to date, as `icfs mirror` does. */
async function brought(): Promise<void> {
  const address = { network: c.network, rootKey: c.rootKey, canister: c.canister };
  await MirrorDirectory.open(directory, (opened) =>
    mirrorRelease(address, c.source(), opened, SILENT, false),
  );
}

/** Mounts cold, and reads everything. @param urls mirrors */
async function readAll(t: Test, urls: readonly string[], ...more: string[]) {
  const queries = c.proxy.queries;
  const mount = await c.mount(...urls.flatMap((url) => ["--mirror", url]), ...COLD, ...more);
  t.equal((await sh("diff", "-r", c.tree, mount.mountpoint)).stdout, "");
  const status = await mount.status();
  t.match(status, { readers: { errors: 0 } });
  t.same(
    status.mirrors.map(({ url }) => url),
    urls,
  );
  return { mount, status, mirrors: status.mirrors, queries: c.proxy.queries - queries };
}

t.test("a directory alone is enough when the network is gone", async (t) => {
  await brought();
  c.proxy.down = true;
  const refused = c.proxy.refused;
  const { mount, mirrors } = await readAll(t, [`file:${directory}`].map(normal), "--mirror-only");
  t.equal(c.proxy.refused, refused, "the network is not asked");
  t.match(mirrors[0], { wrong: 0, failures: 0, missing: 0 });
  t.ok(mirrors[0]!.chunks >= 7 && mirrors[0]!.bytes > 6 * MiB, JSON.stringify(mirrors));
  const { stdout } = await c.icfs(["status", mount.mountpoint]);
  t.match(
    stdout,
    /^ {2}mirror +file:\S+: \d+ chunks, .* 0 missing, 0 failures, 0 late, 0 limited, 0 wrong$/m,
  );
  await mount.umount();
  c.proxy.down = false;
});

t.test("with --mirror-only no command asks the network", async (t) => {
  await brought();
  let asked = 0;
  const gateway = createServer((_, response) => {
    asked += 1;
    response.writeHead(500).end();
  });
  gateway.listen(0, "127.0.0.1");
  await once(gateway, "listening");
  t.teardown(() => void gateway.close());
  const network = ["--network", `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`];
  const alone = ["--mirror", `file:${directory}`, "--mirror-only", ...rootKey];
  const icfs = (...args: string[]) => c.icfs([...args, ...network, ...alone]);
  t.match(await icfs("ls", c.id), { code: 0, stdout: /pxelinux\.0/ });
  t.match(await icfs("cat", `${c.id}@1`, "pxelinux.0"), { code: 0, stdout: "loader\n" });
  t.match(await icfs("ls", `${c.id}@99`), { code: 1, stderr: /has no release 99/ });
  const verified = await icfs("verify", c.id, c.tree, "--json");
  t.match(verified, { code: 0 });
  const [{ chunks, url }] = JSON.parse(verified.stdout).mirrors;
  t.equal(url, normal(`file:${directory}`));
  t.ok(chunks >= 7, verified.stdout);

  const mount = await c.mount(...network, ...alone, "--refresh", "1", "--ready", "hydrated");
  t.equal((await sh("diff", "-r", c.tree, mount.mountpoint)).stdout, "");
  t.match(await icfs("verify", mount.mountpoint), {
    code: 0,
    stdout: /is the same\nmirror file:.* chunks, /,
  });
  const served = await c.icfs(["verify", mount.mountpoint]);
  t.match(
    served,
    { code: 0, stdout: /is the same\nmirror file:.* chunks, / },
    "verify on a mountpoint uses the mount's own mirrors",
  );
  const { stdout } = await c.icfs(["status", mount.mountpoint]);
  t.match(stdout, /^ {2}network +http:\S+ never asked \(--mirror-only\); of the mirrors: /m);
  await mount.umount();
  t.equal(asked, 0);

  // In a namespace without any network, even without a loopback interface.
  const cat = ["--net", BIN, "cat", c.id, "pxelinux.0", "--network", "ic", ...alone];
  t.match(await run("unshare", cat, { env: c.env }), { code: 0, stdout: "loader\n" });
});

/** The URL as the status shows it. */
function normal(url: string): string {
  return new URL(url).href;
}

t.test("a mount follows a new release on a mirror served by nginx", async (t) => {
  await brought();
  const of = (name: string) => join(c.directory, `nginx-${name}`);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${of(kind)};`,
  );
  const port = 20_000 + (process.pid % 12_000);
  await writeFile(
    of("conf"),
    `daemon off; pid ${of("pid")}; error_log ${of("log")} info; user root;
events {}
http { access_log off; ${temporary.join(" ")} server { listen 127.0.0.1:${port}; root ${directory}; } }
`,
  );
  await using _ = new Process(NGINX, ["-c", of("conf"), "-e", of("log")], process.env);
  const url = `http://127.0.0.1:${port}`;
  await eventually(
    "nginx answers",
    async () => (await sh("curl", "--silent", "--fail", `${url}/.icfs/release`)).code === 0,
  );
  c.proxy.down = true;
  const following = ["--mirror-only", "--refresh", "1", "--quiet", "0"];
  const { mount } = await readAll(t, [url], ...following);
  await c.publish({ "pxelinux.0": "another loader\n" });
  await brought();
  await eventually("the new one is live", async () => (await mount.status()).release === 2);
  t.ok(await c.same(mount.mountpoint));
  await mount.umount();
  c.proxy.down = false;
});

t.test("a lying mirror is named, counted and put aside", async (t) => {
  await brought();
  const lying = await startMirrorServer(t, directory);
  lying.fault = (path) => (path.includes("/chunk/") ? "lie" : "none");
  const { mount, status, mirrors } = await readAll(t, [lying.url, normal(`file:${directory}`)]);
  t.equal(mirrors[0]!.chunks, 0);
  t.ok(mirrors[0]!.wrong > 0);
  t.ok(mirrors[1]!.chunks > 6);
  t.match(await mount.log(), `the mirror ${lying.url} is put aside: its answer was wrong: chunk `);
  const metrics = await metricsOf(status);
  t.match(
    metrics,
    new RegExp(`^icfs_mirror_wrong_total\\{mirror="${lying.url}",.*\\} ${mirrors[0]!.wrong}$`, "m"),
  );
  t.match(
    metrics,
    new RegExp(`^icfs_mirror_aside\\{mirror="${lying.url}",.*\\} ${mirrors[0]!.aside ? 1 : 0}$`, "m"),
  );
  await mount.umount();
});

t.test("if the only mirror lies once, it is asked again, bypassing caches", async (t) => {
  await brought();
  const lying = await startMirrorServer(t, directory);
  const lied = new Set<string>();
  lying.fault = (path) => {
    if (!path.includes("/chunk/") || lied.has(path)) return "none";
    lied.add(path);
    return "lie";
  };
  const { mount, mirrors } = await readAll(t, [lying.url], "--mirror-only");
  t.equal(mirrors[0]!.wrong, lied.size);
  for (const path of lied) {
    const asked = lying.asked.filter((one) => one.path === path).map(({ cacheControl }) => cacheControl);
    t.same(asked.slice(0, 2), [undefined, "no-cache"]);
  }
  await mount.umount();
});

t.test("mirrors that are down, silent or rate-limiting do not make reads miss deadlines", async (t) => {
  await brought();
  const server = async (fault: ReturnType<MirrorServer["fault"]>) => {
    const mirror = await startMirrorServer(t, directory);
    mirror.fault = () => fault;
    return mirror.url;
  };
  const urls = [await server("drop"), await server("silence"), await server({ status: 503 })];
  const { mount, mirrors, queries } = await readAll(t, urls);
  const [down, silent, limits] = mirrors;
  t.equal(down!.chunks, 0);
  t.match(await mount.log(), `the mirror ${urls[0]} is put aside: `);
  t.ok(down!.failures > 0);
  t.ok(silent!.late > 0 && silent!.chunks === 0, JSON.stringify(silent));
  t.match(limits, { chunks: 0 });
  t.ok(limits!.limited > 0);
  t.ok(queries > 6, "chunks come from the network instead");
  const { fromNetwork } = await mount.status();
  t.ok(fromNetwork!.chunks >= 7 && fromNetwork!.bytes > 6 * MiB, JSON.stringify(fromNetwork));
  t.match(
    await metricsOf(await mount.status()),
    new RegExp(`^icfs_network_chunks_total\\{.*\\} ${fromNetwork!.chunks}$`, "m"),
  );
  await mount.umount();
});

t.test("a mirror with an old proof", async (t) => {
  const old = join(c.directory, "old");
  await brought();
  await cp(directory, old, { recursive: true });
  const file = normal(`file:${old}`);
  const past = join(c.directory, "past.mjs");
  // The hosts' clocks are an hour ahead, so the proof is an hour old for them.
  await writeFile(
    past,
    "const { now } = Date; Date = class extends Date { constructor(...a) { super(...(a.length ? a : [now() + 3600e3])); } static now() { return now() + 3600e3; } };\n",
  );
  const env = { ...c.env, NODE_OPTIONS: `--import=${past}` };
  /** From the mirror alone. */
  const ls = (...more: string[]) =>
    c.icfs(["ls", c.id, "--mirror", file, "--mirror-only", ...rootKey, ...more], { env });
  t.match(await ls(), {
    code: 1,
    stderr: /was certified 6\d min(utes)? ago: --max-stale TIME|certified 1 h ago|--max-stale TIME/,
  });
  t.match(await ls("--max-stale", "10m"), { code: 1, stderr: /ago, which --max-stale does not allow/ });
  t.match(await ls("--max-stale", "2h"), { code: 0, stdout: /pxelinux\.0/ });

  // The host refuses anything older than the release that it has accepted since.
  await c.publish({ newer: "newer\n" });
  t.match(await c.icfs(["ls", c.id]), { code: 0, stdout: /newer/ });
  const back = await ls("--max-stale", "2h");
  t.match(back, {
    code: 1,
    stderr: /release \d+ is older than release \d+, which this host accepted before/,
  });
  // A mirror that is behind is not at fault: the network is asked, and the mirror's chunks are still used.
  const { stdout, code } = await c.icfs(["cat", c.id, "newer", "--mirror", file]);
  t.match({ stdout, code }, { stdout: "newer\n", code: 0 });
});

t.test("invalid mirror options and dead mirrors are refused", async (t) => {
  const only = await c.tryMount("--mirror-only", ...rootKey);
  t.match(only, { code: 2, stderr: /--mirror-only needs a mirror: name one with --mirror URL/ });
  const noLogin = ["http://me:secret@x/", "http://:secret@x/"];
  const noPath = ["file:here", "file:/a%", "file:/a%2Fb", "file:/a%00"];
  for (const url of ["nowhere", "ftp://x/", "http://x/?y", ...noLogin, ...noPath]) {
    const refused = await c.tryMount("--mirror", url);
    t.match(refused, { code: 2, stderr: /--mirror <URL>.* is invalid/ }, url);
  }
  const keyless = await c.icfs(["ls", c.id, "--mirror", `file:${directory}`, "--mirror-only"]);
  t.match(keyless, { code: 2, stderr: /--mirror-only asks no network: give it with --root-key/ });
  const nothingKept = ["--max-cache-size", "0"];
  const dead = await c.tryMount(
    "--mirror",
    "http://127.0.0.1:9",
    "--mirror-only",
    ...rootKey,
    ...nothingKept,
  );
  t.match(dead, {
    code: 1,
    stderr: /^icfs: no mirror answers: http:\/\/127\.0\.0\.1:9: connect ECONNREFUSED/,
  });
});

t.test("ICFS_MIRRORS names several mirrors, separated by blanks", async (t) => {
  await brought();
  const env = { ...c.env, ICFS_MIRRORS: `http://127.0.0.1:9  file:${directory}`, ICFS_MIRROR_ONLY: "yes" };
  const { code, stdout } = await c.icfs(["cat", c.id, "pxelinux.0", ...rootKey], { env });
  t.match({ code, stdout }, { code: 0, stdout: "another loader\n" });
});

t.test("only icfs canisters have mirrors", async (t) => {
  const assets = await startMountableAssets(t);
  await assets.fill({ file: "file\n" });
  const refused = await assets.icfs(["ls", assets.id, "--mirror", `file:${directory}`]);
  t.match(refused, { code: 1, stderr: /mirrors are for icfs canisters, .* is an asset canister/ });
  const mirrored = join(assets.directory, "mirror");
  t.match(await assets.icfs(["mirror", assets.id, mirrored]), {
    code: 1,
    stderr: /mirrors are for icfs canisters/,
  });
  t.notOk(existsSync(mirrored), "a refused mirror leaves no directory behind");
});
