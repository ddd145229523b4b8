/**
 * dnsmasq, tftpd-hpa, QEMU's own TFTP server and nginx answer a request for a directory from a mount as they do from a disk. For comparison,
 * a copy of the tree on this host's disk is mounted inside the icfs mount.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { startDnsmasq } from "../../demo/dnsmasq.ts";
import { HOST_ADDRESS, makeNamespace } from "../../demo/namespace.ts";
import { Process, run } from "../../demo/process.ts";
import { eventually, HUNG, sh } from "../mount/mounts.ts";
import { startMountable } from "../support/mountable.ts";
import { stackOf } from "../support/stack.ts";
import { startTftpdHpa } from "./tftpd-hpa.ts";

t.setTimeout(10 * HUNG);

/** Directories that ROMs may ask for, and the root. */
const DIRECTORIES = ["pxelinux.cfg", "pxelinux.cfg/", "boot/grub", "empty", ".", "/"];
/** Where the copy on disk is mounted. */
const DISK = "disk";
const NGINX = join(import.meta.dirname, "../../build/nginx/usr/sbin/nginx");
const TFTP_CLIENT = join(import.meta.dirname, "slow-tftp.py");
const SLIRP_CLIENT = join(import.meta.dirname, "slirp-tftp.py");

const c = await startMountable(t);
await c.publish({
  "pxelinux.cfg/default": "default\n",
  "boot/grub/grub.cfg": "grub\n",
  "empty/.keep": "",
  "disk/.keep": "",
});
const { mountpoint, at } = await c.mount();
await run("mount", ["--bind", c.tree, at(DISK)]);
t.teardown(() => sh("umount", "-l", at(DISK)));
const stack = stackOf(t);
const namespace = stack.use(await makeNamespace(`icfs-directories-${process.pid}`));

/** A server's message, without the part of the path that differs between the mount and the disk. */
const plain = (text: string) => text.replaceAll(`${DISK}/`, "").replaceAll("//", "/");

async function sameAsOnDisk(t: Test): Promise<string[]> {
  const names = ["pxelinux.cfg/default", ...DIRECTORIES].flatMap((name) => [name, `${DISK}/${name}`]);
  const command = namespace.inside("python3", [TFTP_CLIENT, HOST_ADDRESS, ...names]);
  const { code, stdout, stderr } = await sh(command[0], ...command[1]);
  t.equal(code, 0, stderr);
  const lines = stdout.trim().split("\n");
  t.match(JSON.parse(lines[0]!), { bytes: 8 }, "a regular file is served from the mount");
  for (let i = 0; i < lines.length; i += 2) t.equal(plain(lines[i]!), plain(lines[i + 1]!), names[i]!);
  return lines.slice(2);
}

t.test("dnsmasq", async (t) => {
  await using _ = await startDnsmasq(namespace, mountpoint);
  for (const answer of await sameAsOnDisk(t)) t.match(JSON.parse(answer), { error: /Is a directory/ });
});

t.test("tftpd-hpa", async (t) => {
  await using _ = await startTftpdHpa(namespace, mountpoint, {});
  for (const answer of await sameAsOnDisk(t)) t.match(JSON.parse(answer), { error: /^\d/ });
});

t.test("QEMU", async (t) => {
  const [qemu, client] = [await freePort(), await freePort()];
  const netdevs = [
    `user,id=user,restrict=on,tftp=${mountpoint}`,
    "hubport,id=server,hubid=0,netdev=user",
    `socket,id=line,udp=127.0.0.1:${client},localaddr=127.0.0.1:${qemu}`,
    "hubport,id=client,hubid=0,netdev=line",
  ];
  const options = ["-machine", "none", "-nodefaults", "-display", "none", "-monitor", "stdio"];
  await using machine = new Process(
    "qemu-system-x86_64",
    [...options, ...netdevs.flatMap((netdev) => ["-netdev", netdev])],
    process.env,
  );
  await machine.until(/\(qemu\)/, { seconds: HUNG / 1000 });
  const names = ["pxelinux.cfg/default", ...DIRECTORIES].flatMap((name) => [name, `${DISK}/${name}`]);
  const { code, stdout, stderr } = await sh("python3", SLIRP_CLIENT, String(qemu), String(client), ...names);
  t.equal(code, 0, stderr);
  const answers: Record<string, string> = JSON.parse(stdout);
  t.equal(answers["pxelinux.cfg/default"], "8 bytes");
  for (const name of DIRECTORIES) {
    t.equal(answers[name], answers[`${DISK}/${name}`], `"${name}"`);
    t.match(answers[name], /^error/);
  }
});

t.test("nginx", async (t) => {
  const configuration = join(c.directory, "nginx.conf");
  const of = (name: string) => join(c.directory, `nginx-${name}`);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${of(kind)};`,
  );
  await writeFile(
    configuration,
    `daemon off; pid ${of("pid")}; error_log ${of("log")} info; user nobody nogroup;
events {}
http { access_log off; ${temporary.join(" ")}
  server { listen ${HOST_ADDRESS}:80; absolute_redirect off; root ${mountpoint}; } }
`,
  );
  await using _ = new Process(
    ...namespace.inside(NGINX, ["-c", configuration, "-e", of("log")]),
    process.env,
  );
  const byHttp = async (name: string): Promise<string> => {
    const options = ["--silent", "--show-error", "--write-out", "\n%{http_code} %{redirect_url}"];
    const command = namespace.inside("curl", [...options, `http://${HOST_ADDRESS}/${name}`]);
    return (await sh(command[0], ...command[1])).stdout;
  };
  await eventually("it serves", async () => (await byHttp("pxelinux.cfg/default")) === "default\n\n200 ");
  for (const name of DIRECTORIES) {
    const [ours, theirs] = [await byHttp(name), await byHttp(`${DISK}/${name}`)];
    t.equal(plain(ours), plain(theirs), `"${name}"`);
    t.match(ours, /\n(301|403) /);
  }
});

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}
