/** AppArmor and SELinux: whether they allow confined TFTP servers to read the mounts. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isAbsent } from "../errors.ts";
import { mountAt } from "../fs/mounting/mountinfo.ts";
import { type Check, ok, warn } from "./check.ts";

/** Where the profile lets dnsmasq read by default, in Debian and Ubuntu. */
const TFTP_DIRECTORIES = ["/var/tftp", "/srv/tftp"];

export const apparmor: Check = {
  name: "apparmor",
  async run({ host, places }) {
    let profiles: string;
    try {
      profiles = await readFile(join(host.files, "sys/kernel/security/apparmor/profiles"), "utf8");
    } catch (error) {
      if (isAbsent(error)) return [ok("not in use")];
      return [warn("only root may see which profiles are loaded", "run `icfs doctor` as root")];
    }
    // Named dnsmasq, and in older releases by its path.
    const mode = /^(?:\/\S*\/)?dnsmasq \((\w+)\)$/m.exec(profiles)?.[1];
    if (mode === undefined) return [ok("it does not confine dnsmasq")];
    if (mode !== "enforce") return [ok(`its profile of dnsmasq is in ${mode} mode, and forbids nothing`)];
    const allowed = await allowedDirectories(host.files);
    const outside = (await places()).filter((place) => !allowed.some((top) => isBelow(place, top)));
    if (outside.length === 0) {
      return [ok(`it confines dnsmasq, which may read ${allowed.join(", ")}`)];
    }
    return outside.map((place) =>
      warn(
        `it confines dnsmasq, which may not read ${place}, but ${allowed.join(", ")}`,
        `mount there, or add the lines "${place}/ r," and "${place}/** r," to /etc/apparmor.d/local/usr.sbin.dnsmasq and run: apparmor_parser -r /etc/apparmor.d/usr.sbin.dnsmasq`,
      ),
    );
  },
};

export const selinux: Check = {
  name: "selinux",
  async run({ host, places, mounts }) {
    const enforce = await readFile(join(host.files, "sys/fs/selinux/enforce"), "utf8").catch(() => undefined);
    if (enforce === undefined) return [ok("not in use")];
    if (enforce.trim() !== "1") return [ok("it is not enforcing")];
    const all = await mounts();
    const labelled = (place: string) =>
      mountAt(all, place)?.superOptions.some((option) => option.startsWith("context=")) === true;
    const unlabelled = (await places()).filter((place) => !labelled(place));
    if (unlabelled.length === 0) return [ok("it is enforcing, and no mount is without a context=")];
    return unlabelled.map((place) =>
      warn(
        `it is enforcing, and ${place} is not labelled for TFTP servers`,
        "a mount needs context=system_u:object_r:tftpdir_t:s0; without, let the server be permissive: semanage permissive -a dnsmasq_t (tftpd_t for tftpd-hpa)",
      ),
    );
  },
};

/** The paths in the installed profile, and those that the host's administrator has added. */
async function allowedDirectories(files: string): Promise<string[]> {
  const read = (name: string) => readFile(join(files, "etc/apparmor.d", name), "utf8").catch(() => "");
  const [profile, local] = [await read("usr.sbin.dnsmasq"), await read("local/usr.sbin.dnsmasq")];
  const named = [...profile.matchAll(/^\s*@\{TFTP_DIR\}\s*\+?=(.*)$/gm)].flatMap(([, list]) =>
    list!.trim().split(/\s+/),
  );
  const added = [...local.matchAll(/^\s*(\/\S*?)\/\*\*\s+[a-z]*r[a-z]*,/gm)].map(([, top]) => top!);
  return [...(named.length > 0 ? named : TFTP_DIRECTORIES), ...added];
}

function isBelow(path: string, top: string): boolean {
  return path === top || path.startsWith(`${top}/`);
}
