/** AppArmor and SELinux, with made-up files of the kernel and of /etc. */
import t from "tap";
import { apparmor, selinux } from "../../lib/doctor/confinement.ts";
import { exactly } from "../support/exactly.ts";
import { hostWith } from "../support/hosts.ts";

const PROFILES = "sys/kernel/security/apparmor/profiles";
const loaded = (text: string) => ({ [PROFILES]: Buffer.from(text) });
const ENFORCED = loaded("man_filter (enforce)\ndnsmasq (enforce)\ndnsmasq//libvirt_leaseshelper (enforce)\n");

t.test("AppArmor: absent, without a profile for dnsmasq, and not enforced", async (t) => {
  const cases: [files: Record<string, Buffer>, message: RegExp][] = [
    [{}, /^not in use$/],
    [loaded("man_filter (enforce)\n"), /does not confine dnsmasq/],
    [loaded("/usr/sbin/dnsmasq (complain)\n"), /in complain mode/],
  ];
  for (const [files, message] of cases) {
    t.match(
      await apparmor.run(await hostWith(t, files, { mountpoint: "/mnt" })),
      exactly({ level: "ok", message }),
    );
  }
  t.match(
    await apparmor.run(await hostWith(t, { [`${PROFILES}/x`]: Buffer.alloc(0) })),
    exactly({ level: "warn", message: /only root may see/ }),
    "a list of profiles that cannot be read gives a warning",
  );
});

t.test("AppArmor: a mountpoint that dnsmasq may not read gets a warning", async (t) => {
  const at = async (mountpoint: string, files = {}) =>
    apparmor.run(await hostWith(t, { ...ENFORCED, ...files }, { mountpoint }));
  for (const allowed of ["/srv/tftp", "/var/tftp/of/one"]) {
    t.match(
      await at(allowed),
      exactly({ level: "ok", message: "it confines dnsmasq, which may read /var/tftp, /srv/tftp" }),
    );
  }
  for (const forbidden of ["/mnt/boot", "/srv/tftp2", "/srv"]) {
    t.match(
      await at(forbidden),
      exactly({
        level: "warn",
        message: `it confines dnsmasq, which may not read ${forbidden}, but /var/tftp, /srv/tftp`,
        advice: new RegExp(`"${forbidden}/\\*\\* r," to /etc/apparmor.d/local/usr.sbin.dnsmasq`),
      }),
    );
  }
  const profile = {
    "etc/apparmor.d/usr.sbin.dnsmasq": Buffer.from("abi <abi/3.0>,\n\n@{TFTP_DIR}=/var/tftp /boot\n"),
  };
  t.match(await at("/boot/x", profile), exactly({ level: "ok" }));
  t.match(
    await at("/srv/tftp", profile),
    exactly({ level: "warn" }),
    "TFTP_DIR in the profile replaces the default directories",
  );
  const local = {
    "etc/apparmor.d/local/usr.sbin.dnsmasq": Buffer.from(
      "# mine\n/mnt/boot/ r,\n/mnt/boot/** r,\n/mnt/other/** w,\n",
    ),
  };
  t.match(await at("/mnt/boot", local), exactly({ level: "ok" }));
  t.match(await at("/mnt/other", local), exactly({ level: "warn" }));
});

t.test("SELinux", async (t) => {
  const at = async (files: Record<string, Buffer>) =>
    selinux.run(await hostWith(t, files, { mountpoint: "/mnt/boot" }));
  const enforce = (text: string) => ({ "sys/fs/selinux/enforce": Buffer.from(text) });
  t.match(await at({}), exactly({ level: "ok", message: "not in use" }));
  t.match(await at(enforce("0")), exactly({ level: "ok", message: "it is not enforcing" }));
  t.match(
    await at(enforce("1")),
    exactly({
      level: "warn",
      message: /^it is enforcing, and \/mnt\/boot/,
      advice: /context=system_u:object_r:tftpdir_t:s0/,
    }),
  );
  const host = await hostWith(t, enforce("1"), { mountpoint: "/mnt/boot" });
  const labelled = {
    id: 2,
    parent: 1,
    device: "0:9",
    root: "/",
    mountpoint: "/mnt/boot",
    options: ["ro"],
    superOptions: ["rw", "context=system_u:object_r:tftpdir_t:s0"],
    type: "fuse.icfs",
    source: "x",
  };
  t.match(
    await selinux.run({ ...host, mounts: async () => [labelled] }),
    exactly({ level: "ok", message: /no mount is without/ }),
  );
});
