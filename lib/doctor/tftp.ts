/** Which process has UDP port 69: it should be a TFTP server. */
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { type Check, ok, warn } from "./check.ts";

/** 69, in the form of /proc/net/udp. */
const TFTP_PORT = "0045";
/** TFTP servers, and programs that start them on demand. */
const SERVERS = /dnsmasq|tftp|inetd|systemd/;

export const tftp: Check = {
  name: "tftp",
  async run({ host }) {
    const sockets = new Set([
      ...(await boundTo(TFTP_PORT, join(host.files, "proc/net/udp"))),
      ...(await boundTo(TFTP_PORT, join(host.files, "proc/net/udp6"))),
    ]);
    if (sockets.size === 0) {
      return [
        warn(
          "nobody listens on UDP port 69: no TFTP server runs here",
          "start it after the mount, with the mountpoint as its root: dnsmasq --enable-tftp --tftp-root=DIR, or libvirt's network",
        ),
      ];
    }
    const owner = await ownerOf(sockets, join(host.files, "proc"));
    if (owner === undefined) return [ok("somebody listens on UDP port 69; who it is, only root may see")];
    const message = `${owner.name} (process ${owner.pid}) has UDP port 69`;
    if (SERVERS.test(owner.name)) return [ok(message)];
    return [
      warn(`${message}: it is not a TFTP server that is known here`, "end it, if no TFTP server can start"),
    ];
  },
};

/** The inode numbers of sockets with that local port. @param table in the form of /proc/net/udp, proc_pid_net(5) */
async function boundTo(port: string, table: string): Promise<string[]> {
  // Without IPv6 there is no table.
  const text = await readFile(table, "utf8").catch(() => "");
  const rows = text.split("\n").map((line) => line.trim().split(/\s+/));
  return rows.filter((row) => row[1]?.endsWith(`:${port}`)).map((row) => row[9]!);
}

async function ownerOf(
  sockets: ReadonlySet<string>,
  proc: string,
): Promise<{ pid: string; name: string } | undefined> {
  for (const pid of await readdir(proc)) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      for (const descriptor of await readdir(join(proc, pid, "fd"))) {
        const inode = /^socket:\[(\d+)\]$/.exec(await readlink(join(proc, pid, "fd", descriptor)))?.[1];
        if (inode === undefined || !sockets.has(inode)) continue;
        return { pid, name: (await readFile(join(proc, pid, "comm"), "utf8")).trim() };
      }
    } catch {
      // Another user's process, or one that has just ended.
    }
  }
  return undefined;
}
