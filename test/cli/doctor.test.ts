/** icfs doctor on this host: lines for people, --json and exit codes, with a live mount, and with a mount whose process was killed. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Examined } from "../../lib/doctor/check.ts";
import { hasAccepted } from "../../lib/source/icfs/accepted-releases.ts";
import { startLocalNetwork } from "../../localnet/index.ts";
import { eventually, sh } from "../mount/mounts.ts";
import { exactly } from "../support/exactly.ts";
import { BIN, run } from "../support/icfs.ts";
import { reinstall } from "../support/management.ts";
import { startMountable, startMountableAssets, startMountableIcboot } from "../support/mountable.ts";

const WASM = new URL("../../build/icfs.wasm", import.meta.url);

t.test("icfs doctor", async (t) => {
  const c = await startMountable(t);
  await c.publish({ file: "content" });
  const doctor = async (...args: string[]) => {
    const { code, stdout, stderr } = await c.icfs(["doctor", ...args, "--json"]);
    t.equal(stderr, "");
    const found: Examined[] = JSON.parse(stdout);
    t.equal(code, found.some(({ level }) => level === "fail") ? 1 : 0, "the exit code");
    return { code, of: (name: string) => found.filter(({ check }) => check === name) };
  };

  await t.test("checks the host and a canister before the mount, and changes nothing", async (t) => {
    const { of } = await doctor(c.id);
    t.match(of("fuse"), exactly({ level: "ok", message: "/dev/fuse can be opened" }));
    t.match(of("network"), exactly({ level: "ok", message: `${c.url} answers` }));
    t.match(of("root key"), exactly({ level: "ok" }));
    t.match(of("clock"), exactly({ level: "ok" }));
    const kind = "release 1, of kind icfs, certified by the subnet";
    t.match(of("canister"), exactly({ level: "ok", message: `${c.id} can be read: ${kind}` }));
    t.match(
      of("cache"),
      exactly({ level: "ok", message: `${c.env.XDG_CACHE_HOME}/icfs is not there yet, and can be made` }, {}),
    );
    t.equal(hasAccepted(c.canister, c.rootKey), false, "doctor does not accept the canister's release");
    t.notOk((await readdir(c.directory)).includes("cache"));
  });

  const mounted = await c.mount();
  const { mountpoint } = mounted;

  await t.test("prints lines for people while the canister is mounted", async (t) => {
    const { code, stdout, stderr } = await c.icfs(["doctor", c.id, mountpoint]);
    t.match({ code, stderr }, { code: 0, stderr: "" });
    t.match(stdout, "ok    fuse: /dev/fuse can be opened\n");
    t.match(
      stdout,
      `ok    mount: ${mountpoint} (${c.id}) answers\nok    mount: ${mountpoint} can be read by the user nobody (tried)\n`,
    );
    t.match(stdout, /^(ok|warn) +tftp: /m);
    for (const line of stdout.trimEnd().split("\n"))
      t.match(line, /^((ok {3}|warn|fail) {1,2}[a-z ]+: | {6}\S)/);
    const { of } = await doctor(mountpoint);
    t.equal(of("mount").length, 2, "a mountpoint without a canister gets both mount checks");
    t.same(of("canister"), []);
  });

  await t.test("warns when the mount's network does not answer", async (t) => {
    c.proxy.down = true;
    const [{ pid }] = JSON.parse((await c.icfs(["status", mountpoint, "--json"])).stdout);
    process.kill(pid, "SIGHUP");
    await eventually("it knows", async () => (await mounted.status()).problem !== undefined);
    const { of } = await doctor(mountpoint);
    t.match(of("mount")[2], {
      level: "warn",
      message: new RegExp(`goes on with release 1, as ${c.proxy.url} does`),
    });
    c.proxy.down = false;
    process.kill(pid, "SIGHUP");
    await eventually("it is over", async () => (await mounted.status()).problem === undefined);
    t.equal((await doctor(mountpoint)).of("mount").length, 2);
  });

  await t.test("fails when the mount's process was killed", async (t) => {
    const [{ pid }] = JSON.parse((await c.icfs(["status", mountpoint, "--json"])).stdout);
    process.kill(pid, "SIGKILL");
    await eventually("it is dead", async () => /not connected/.test((await sh("ls", mountpoint)).stderr));
    for (const args of [[c.id, mountpoint], []]) {
      const { code, of } = await doctor(...args);
      t.equal(code, 1);
      const [stale] = of("mount").filter(({ message }) => message.startsWith(mountpoint));
      t.match(stale, { level: "fail", message: /is a stale mount/, advice: /icfs umount/ });
    }
    const { code, stdout } = await c.icfs(["doctor", c.id, mountpoint]);
    t.equal(code, 1);
    t.match(stdout, /^fail {2}mount: .* is a stale mount.*\n {6}mount it again/m);
    await mounted.umount();
  });

  await t.test("finds a TFTP server, in a network namespace of their own", async (t) => {
    const server = [
      "dnsmasq --conf-file=/dev/null --keep-in-foreground --port=0 --user=root --log-facility=/dev/null",
      `--pid-file= --enable-tftp --tftp-root='${c.directory}'`,
    ].join(" ");
    const script = `ip link set lo up; ${server} & until grep -q :0045 /proc/net/udp; do sleep 0.1; done; "$1" doctor; kill $!`;
    const { stdout } = await run("unshare", ["--net", "sh", "-c", script, "sh", BIN], { env: c.env });
    t.match(stdout, /^ok {4}tftp: dnsmasq \(process \d+\) has UDP port 69$/m);
  });

  await t.test("fails for an absent canister, network or directory", async (t) => {
    const absent = "oeagv-5qaaa-aaaah-aar4q-cai";
    t.match(
      (await doctor(absent)).of("canister"),
      exactly({ level: "fail", message: /^there is no canister .* at http.*unless it has --state$/ }),
    );
    const { of } = await doctor(c.id, "--network", "http://127.0.0.1:1");
    t.match(of("network"), exactly({ level: "fail", message: /ECONNREFUSED/, advice: /icfs localnet/ }));
    t.match(of("canister"), exactly({ level: "fail", message: /no network answers/ }));
    t.match(await c.icfs(["doctor", "no canister"]), { code: 2, stdout: "", stderr: /is not a canister id/ });
    t.match(await c.icfs(["doctor", join(c.directory, "no-such-directory")]), {
      code: 1,
      stdout: /^fail {2}mount: .* does not exist\n {6}mkdir -p /m,
    });
  });
});

/** All kinds of canisters, because their mounts notice another network in different ways: by a certificate, or by a node's signature. */
const KINDS = { icfs: startMountable, assets: startMountableAssets, icboot: startMountableIcboot };

for (const [kind, start] of Object.entries(KINDS)) {
  t.test(`a live mount of ${kind} whose network was replaced`, async (t) => {
    const c = await start(t);
    await c.fill({ file: "content" });
    const { mountpoint, status, umount } = await c.mount("--refresh", "1");
    const before = await c.icfs(["doctor", mountpoint]);
    t.equal(before.code, 0, before.stdout);
    t.match((await status()).rootKey, Buffer.from(c.rootKey).toString("hex"));
    await c.close();
    const other = await startLocalNetwork({ port: Number(new URL(c.url).port) });
    t.teardown(() => other.close());
    const { code, stdout } = await c.icfs(["doctor", mountpoint]);
    t.equal(code, 1);
    t.match(
      stdout,
      new RegExp(
        `^fail +mount: ${mountpoint} goes on with (release|snapshot) .* accepts nothing from ${c.proxy.url} any more: another network`,
        "m",
      ),
      "at once",
    );
    await eventually("the mount knows as well", async () => (await status()).refused === true);
    t.match((await c.icfs(["doctor", mountpoint])).code, 1);
    const said = `${mountpoint} goes on with \\S+ \\S+, and accepts nothing from ${c.proxy.url} any more: another network`;
    t.match(await c.icfs(["status", mountpoint]), {
      code: 0,
      stdout: new RegExp(`^ +network +${c.proxy.url}: ${said}.*icfs umount ${mountpoint}`, "m"),
    });
    t.match(await c.icfs(["verify", mountpoint]), {
      code: 1,
      stdout: "",
      stderr: new RegExp(`^icfs: ${said}.*icfs umount ${mountpoint}.*\n$`, "m"),
    });
    await umount();
  });
}

t.test("a live mount whose canister was replaced", async (t) => {
  const c = await startMountable(t);
  await c.publish({ file: "content" });
  const { mountpoint, status, umount } = await c.mount("--refresh", "1");
  await reinstall(c.publisherAgent, c.canister, await readFile(WASM));
  await eventually("it knows", async () => (await status()).refused === true);
  const { code, stdout } = await c.icfs(["doctor", mountpoint]);
  t.equal(code, 1);
  t.match(
    stdout,
    new RegExp(
      `^fail +mount: ${mountpoint} goes on with release 1, and does not accept what .*: the canister has no release.*\\n .*icfs trust reset ${c.id}`,
      "m",
    ),
  );
  await umount();
});
