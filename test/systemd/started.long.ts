/**
 * A real systemd runs icfs-serve@.service and icfs@.service, and a line of fstab: from a mirror in a directory, without a network.
 * units.test.ts checks that systemd accepts the units.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { AnyStatus } from "../../lib/live/report/status.ts";
import { HUNG } from "../support/icfs.ts";
import { inOrder } from "../support/in-order.ts";
import { startMountable } from "../support/mountable.ts";
import { startSystemdHost } from "../support/systemd-host.ts";

t.setTimeout(30 * HUNG);
const step = inOrder(t);

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const c = await startMountable(t);
await c.publish({ "pxelinux.0": "loader\n", initrd: Buffer.alloc(3_000_000, "x") });
const mirror = join(c.directory, "mirror");
const made = await c.icfs(["mirror", c.id, mirror]);
if (made.code !== 0) throw new Error(made.stderr);
const key = Buffer.from(c.rootKey).toString("hex");
/** What a machine without a network would have in /etc/icfs/NAME.conf. */
const conf = `CANISTER=${c.id}
ICFS_MIRRORS=file:/srv/mirror
ICFS_MIRROR_ONLY=yes
ICFS_MAX_STALE=1d
ICFS_ROOT_KEY=${key}
`;
// ProtectHome= and PrivateTmp= may hide the checkout.
const host = await startSystemdHost(
  t,
  `mkdir -p opt/icfs srv/mirror srv/tftp srv/fstab etc/icfs
  mount --bind ${checkout} opt/icfs
  cp -r ${mirror}/. srv/mirror
  chmod -R a+rX srv/mirror
  rm -f usr/bin/icfs
  ln -s /opt/icfs/bin/icfs usr/bin/icfs
  ln -sf /opt/icfs/bin/icfs sbin/mount.icfs
  cp opt/icfs/packaging/systemd/*.service etc/systemd/system
  printf '${conf}ICFS_LISTEN=127.0.0.1:80\\nICFS_METRICS=9099\\n' >etc/icfs/site.conf
  printf '${conf}MOUNTPOINT=/srv/tftp\\n' >etc/icfs/tftp.conf
  printf '%s\\n' '${c.id} /srv/fstab icfs ro,noauto,mirror=file:/srv/mirror,mirror-only,max-stale=1d,root-key=${key}' >etc/fstab`,
);
const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] as const;
const shown = async (unit: string, ...names: string[]) => {
  const { stdout } = await host.run("systemctl", "show", unit, ...names.map((name) => `--property=${name}`));
  return Object.fromEntries(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.split(/=(.*)/s)),
  );
};
const started = async (unit: string) => {
  const result = await host.run("systemctl", "start", unit);
  if (result.code === 0) return;
  const { stdout } = await host.run("systemctl", "status", "--no-pager", "--full", unit);
  throw new Error(`${result.stderr}\n${stdout}`);
};

step("icfs-serve@.service serves on a port below 1024, as a user of its own", async (t) => {
  await started("icfs-serve@site");
  const { MainPID, StatusText } = await shown("icfs-serve@site", "MainPID", "StatusText");
  t.match(StatusText, /^release 1 of \S+ at http:\/\/127\.0\.0\.1:80; all of it is here$/);
  t.match(await host.run("curl", "--silent", "--fail", "http://127.0.0.1/pxelinux.0"), {
    stdout: "loader\n",
  });
  t.match((await host.run("curl", "--silent", "http://127.0.0.1:9099/metrics")).stdout, /^icfs_serve_\w+\{/m);
  const { stdout: status } = await host.run("cat", `/proc/${MainPID}/status`);
  t.match(status, /^Uid:\s+6[1-5]\d{3}\s/m, "the service runs as a dynamic user");
  t.match(status, /^CapEff:\s+0{13}400$/m, "the only capability is CAP_NET_BIND_SERVICE");
  t.match(status, /^NoNewPrivs:\s+1$/m);
  t.match(status, /^Seccomp:\s+2$/m);
  const { stdout: kept } = await host.run("stat", "--format", "%a %U", "/var/cache/icfs-serve/site/");
  t.match(kept, /^700 (?!root)/, "the cache directory is private and does not belong to root");
});

step("icfs status shows the service to root and to others", async (t) => {
  const { MainPID } = await shown("icfs-serve@site", "MainPID");
  for (const who of [[], nobody]) {
    const asked = await host.run("env", ...who, "icfs", "status", "--json");
    const [found, ...more] = JSON.parse(asked.stdout || "[]") as AnyStatus[];
    t.match(
      found,
      { pid: Number(MainPID), hydrated: true, site: { url: "http://127.0.0.1:80" } },
      asked.stderr,
    );
    t.same(more, []);
  }
});

step("the service reloads, restarts after it was killed, and ends gracefully", async (t) => {
  t.match(await host.run("systemctl", "reload", "icfs-serve@site"), { code: 0 });
  const before = await shown("icfs-serve@site", "MainPID");
  await host.run("systemctl", "kill", "--signal=KILL", "icfs-serve@site");
  for (;;) {
    const { ActiveState, MainPID } = await shown("icfs-serve@site", "ActiveState", "MainPID");
    if (ActiveState === "active" && MainPID !== before.MainPID) break;
  }
  t.match(await host.run("curl", "--silent", "--fail", "http://127.0.0.1/pxelinux.0"), {
    stdout: "loader\n",
  });
  t.match(await host.run("systemctl", "stop", "icfs-serve@site"), { code: 0 });
  t.match(await shown("icfs-serve@site", "Result", "ActiveState"), {
    Result: "success",
    ActiveState: "inactive",
  });
  t.equal((await host.run("ls", "/run/icfs-serve")).stdout, "", "no runtime directory is left behind");
});

step("icfs@.service mounts for the whole host", async (t) => {
  await started("icfs@tftp");
  t.match(await host.run("cat", "/srv/tftp/pxelinux.0"), { stdout: "loader\n" });
  t.match(await host.run("icfs", "status", "/srv/tftp"), { code: 0 });
  t.match(await host.run("systemctl", "stop", "icfs@tftp"), { code: 0 });
  t.match(await shown("icfs@tftp", "Result"), { Result: "success" });
  t.match(await host.run("mountpoint", "/srv/tftp"), { code: 32 });
});

step("a line of fstab mounts the canister", async (t) => {
  await started("srv-fstab.mount");
  t.match(await host.run("cat", "/srv/fstab/pxelinux.0"), { stdout: "loader\n" });
  t.match(await host.run("systemctl", "stop", "srv-fstab.mount"), { code: 0 });
});
