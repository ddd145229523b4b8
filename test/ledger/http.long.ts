/**
 * Files that machines get by HTTP, as real servers log them: nginx with examples/nginx.conf before the canister's URL, `icfs serve`, and a
 * mount with --serve. Some transfers break off.
 */
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import t from "tap";
import { freePort } from "../../demo/free-port.ts";
import type { Boot } from "../../lib/ledger/boots.ts";
import { printed, startNginx } from "../boot/http-site.ts";
import { eventually, HUNG } from "../mount/mounts.ts";
import { startServe } from "../serve/serves.ts";
import { startMountable } from "../support/mountable.ts";
import { stackOf } from "../support/stack.ts";

t.setTimeout(30 * HUNG);

const MAC = "52:54:00:69:63:66";
/** More than sockets' buffers take. */
const LARGE = Buffer.alloc(32 * 1024 * 1024, 7);
const c = await startMountable(t);
await c.publish({ "boot.ipxe": "#!ipxe\n", "boot/linux": Buffer.alloc(3_000_000, 1), large: LARGE });

/** Asks as a boot loader does. With `isEnough` it reads only the beginning of the answer. */
async function get(url: string, path: string, isEnough = false): Promise<number> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  let bytes = 0;
  for await (const chunk of socket) {
    bytes += chunk.length;
    if (isEnough) break;
  }
  socket.destroy();
  return bytes;
}

/** A machine's boot: two files, and a part of a third. */
async function boot(url: string): Promise<void> {
  await get(url, "/boot.ipxe");
  await get(url, `/.icfs/at/1/boot/linux?mac=${MAC}`);
  await get(url, "/.icfs/at/1/large", true);
  await get(url, "/none");
  await fetch(`${url}/boot.ipxe`, { method: "HEAD" });
  await fetch(`${url}/.icfs/at/1/large`, { headers: { range: "bytes=5-9" } });
}

async function boots(log: string) {
  const said = await c.icfs(["boots", "--json", "--http-log", log, "--boot-log", join(c.directory, "none")]);
  const list = said.stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Boot);
  return { ...said, list };
}

const files = (list: readonly Boot[]) =>
  list.flatMap(({ mac, transfers }) => transfers.map(({ file, size }) => [mac, file, size]));

const logged = (log: string, requests: number) =>
  eventually("all is logged", async () => {
    const text = await readFile(log, "utf8").catch(() => "");
    return text.split("\n").length > requests;
  });

t.test("nginx in front of the canister's URL", async (t) => {
  const stack = stackOf(t);
  const directory = join(c.directory, "nginx");
  await mkdir(directory);
  const [port, log] = [await freePort(), join(directory, "access.log")];
  const example = await printed(
    c.env,
    ...["nginx", c.id, "--origin", `http://${c.id}.localhost:${new URL(c.url).port}`],
    ...["--listen", `127.0.0.1:${port}`, "--store", join(directory, "cache")],
  );
  const text = example.replace("# access_log /var/log/nginx/icfs.log", `access_log ${log}`);
  t.not(text, example);
  const inside = (command: string, args: string[]): [string, string[]] => [command, args];
  await startNginx(stack, { namespace: { inside }, directory, env: c.env }, text);
  await boot(`http://127.0.0.1:${port}`);
  await logged(log, 6);
  const { list, stderr } = await boots(log);
  t.same(files(list), [
    [MAC, "http:/boot.ipxe", 7],
    [MAC, "http:/boot/linux", 3_000_000],
  ]);
  t.match(list[0]!.transfers[1]!.origin, { canister: c.id, release: 1 });
  t.match(stderr, "broke off, or had a part of a file, left out: 2\n");
  t.match(stderr, "HTTP logs have no chain of hashes");

  const options = ["--http-log", log, "--boot-log", join(c.directory, "none")];
  t.match(await c.icfs(["explain", MAC, ...options]), {
    code: 0,
    stdout: /release 1 of .*certified by the subnet\n {2}boot.ipxe, .*: as in the release \(by HTTP\)/,
  });
  t.match(await c.icfs(["boots", ...options]), { stdout: /: 2 files \(by HTTP: 2\), 3.0 MB, of / });
  await writeFile(log, (await readFile(log, "utf8")).replaceAll(/(?<=x22)[0-9a-f]{64}/g, "00".repeat(32)));
  t.match(await c.icfs(["explain", MAC, ...options]), { code: 1, stdout: /the release has another one/ });
  t.match(await c.icfs(["boots", "--stale", ...options]), {
    stdout: /: http:\/boot\.ipxe, http:\/boot\/linux\na reboot would change 1 of 1 machine\n$/,
  });
  await stack.disposeAsync();
});

t.test("icfs serve", async (t) => {
  const log = join(c.directory, "serve.log");
  const served = await startServe(t, c, "--access-log", log);
  await boot(served.url);
  await logged(log, 4);
  served.process.kill("SIGTERM");
  await served.ended;
  const { list, stderr } = await boots(log);
  t.same(files(list), [
    [MAC, "http:/boot.ipxe", 7],
    [MAC, "http:/boot/linux", 3_000_000],
  ]);
  t.match(list[0]!.transfers[0]!.origin, { canister: c.id, release: 1, header: served.said.header });
  t.match(stderr, "broke off, or had a part of a file, left out: 2\n");
  const options = ["--http-log", log, "--boot-log", join(c.directory, "none")];
  t.match(await c.icfs(["explain", MAC, ...options]), {
    code: 0,
    stdout: /boot\/linux, .*: as in the release/,
  });
});

t.test("a mount with --serve", async (t) => {
  const log = join(c.directory, "mount.log");
  const port = await freePort();
  const mounted = await c.mount(
    "--prefetch",
    "all",
    "--ready",
    "hydrated",
    "--serve",
    String(port),
    "--access-log",
    log,
  );
  await boot(`http://127.0.0.1:${port}`);
  await logged(log, 4);
  await mounted.umount();
  const { list } = await boots(log);
  t.equal(files(list).length, 2);
  t.match(await c.tryMount("--access-log", log), {
    code: 2,
    stderr: /--access-log is for what --serve sends/,
  });
});

t.test("a missing log is an error, and lines without meaning are counted", async (t) => {
  const log = join(c.directory, "hostile.log");
  t.match(await boots(log), { code: 1, stderr: /hostile.log: there is no such log/ });
  await writeFile(log, `\u{1b}[2J\nicfs-http x\n${"x".repeat(100_000)}\n${"\0".repeat(1000)}`);
  const { code, stdout, stderr } = await boots(log);
  t.match({ code, stdout }, { code: 0, stdout: "" });
  t.match(stderr, "lines of HTTP logs that say nothing to icfs: 4\n");
});
