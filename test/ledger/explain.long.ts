/** icfs explain without a network: from what a mount has kept, and from a mirror's directory. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { eventually, HUNG } from "../mount/mounts.ts";
import { startMountable } from "../support/mountable.ts";
import { body, chained, MAC, sha256 } from "./lines.ts";

t.setTimeout(30 * HUNG);

const c = await startMountable(t);
const log = join(c.directory, "boots.log");
const network = ["--network", c.proxy.url, "--root-key", Buffer.from(c.rootKey).toString("hex")];
const explain = (...more: string[]) => c.icfs(["explain", MAC, "--boot-log", log, ...network, ...more]);

await c.publish({ "pxelinux.0": "loader\n", kernel: "one" });
const mounted = await c.mount("--refresh", "0.3", "--quiet", "0");
const headers = new Map<number, string>();

/** Writes a boot log as if a machine had got both files of the release that is served. */
async function booted(release: number, kernel: string): Promise<void> {
  const header = (await mounted.status()).header!;
  headers.set(release, header);
  const of = (path: string, content: string) =>
    body({
      file: mounted.at(path),
      size: String(content.length),
      origin: `${c.id} ${release} ${header} ${sha256(content)} ${path}`,
    });
  await writeFile(log, chained([of("pxelinux.0", "loader\n"), of("kernel", kernel)]).join(""));
}

const PROVED = {
  code: 0,
  stdout:
    /: certified by the subnet\n {2}pxelinux.0, .*: as in the release\n {2}kernel, .*: as in the release\n$/,
  stderr: "",
};

t.test("a boot is proved by the mount's cache, with --offline or without a network", async (t) => {
  await booted(1, "one");
  c.proxy.down = true;
  t.match(await explain(), PROVED);
  t.match(await explain("--offline"), PROVED);
  t.match(await explain("--offline", "--cache-dir", join(c.directory, "empty")), {
    code: 1,
    stdout:
      /: it is not kept in .*empty: leave out --offline, or name a mirror that has it \(`icfs mirror .*@1 DIR`/,
    stderr: /is not proved/,
  });
  c.proxy.down = false;
});

t.test("a release that is no longer kept is proved by the network or a mirror", async (t) => {
  await c.publish({ kernel: "two" });
  await eventually("the mount has followed", async () => (await mounted.status()).release === 2);
  t.match(await explain(), PROVED, "the network proves the release");
  t.match(await c.icfs(["mirror", `${c.id}@1`, join(c.directory, "mirror-1"), ...network]), { code: 0 });
  c.proxy.down = true;
  t.match(await explain("--offline"), { code: 1, stdout: /: it is not kept in / });
  t.match(await explain(), { code: 1, stdout: /kernel, .*: its release is not proved/ });
  const mirror = ["--mirror", `file:${join(c.directory, "mirror-1")}`, "--mirror-only"];
  t.match(await explain(...mirror), PROVED, "a mirror's directory proves the release");
  t.match(await explain("--mirror", "file:/none", "--mirror-only"), {
    code: 1,
    stdout: /its release is not proved/,
  });
  c.proxy.down = false;
});

t.test("the last release is proved even after its mount is gone", async (t) => {
  await booted(2, "two");
  await mounted.umount();
  c.proxy.down = true;
  t.match(await explain("--offline"), PROVED);
  await booted2("00");
  t.match(
    await explain("--offline"),
    { code: 1, stdout: /it is not kept/ },
    "a release with another header is not proved",
  );
  c.proxy.down = false;

  async function booted2(byte: string): Promise<void> {
    const forged = byte.repeat(32);
    await writeFile(
      log,
      chained([body({ size: "3", origin: `${c.id} 2 ${forged} ${sha256("two")} kernel` })]).join(""),
    );
  }
});

t.test("boots --stale compares the other machines when one machine's canister is gone", async (t) => {
  const origin = (id: string, content: string) => `${id} 1 ${headers.get(1)} ${sha256(content)} pxelinux.0`;
  const gone = { file: "/gone/pxelinux.0", origin: origin("aaaaa-aa", "loader\n") };
  const changed = {
    file: "/old/pxelinux.0",
    origin: origin(c.id, "another loader\n"),
    address: "192.168.7.3",
  };
  const bodies = [body(gone), body({ ...changed, mac: "52:54:00:69:63:67" })];
  await writeFile(log, chained(bodies).join(""));
  c.proxy.down = false;
  t.match(await c.icfs(["boots", "--stale", "--boot-log", log, ...network]), {
    code: 1,
    stdout:
      /^52:54:00:69:63:67 192\.168\.7\.3, booted .*: \/old\/pxelinux\.0\na reboot would change 1 of 1 machine\n$/,
    stderr: /52:54:00:69:63:66.*cannot be compared: .*management canister.*\n.*1 machine cannot be compared/,
  });
});
