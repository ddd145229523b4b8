/** icfs serve with hostile clients, and one icfs serve behind another. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import t, { type Test } from "tap";
import { HUNG } from "../../support/icfs.ts";
import { startMountable } from "../../support/mountable.ts";
import { startServe } from "../serves.ts";

t.setTimeout(30 * HUNG);

const MiB = 1024 * 1024;
const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const c = await startMountable(t);
// More than a socket's buffers hold.
const large = randomBytes(24 * MiB);
await c.publish({ "pxelinux.0": "loader\n", large });

async function connected(t: Test, url: string, said: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  t.teardown(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(said);
  return socket.pause();
}

t.test("clients that read nothing or never end a request keep nobody waiting for long", async (t) => {
  // Memory for two chunks, for all clients.
  const { url, process } = await startServe(t, c, "--memory", "2");
  const sockets: Socket[] = [];
  for (let i = 0; i < 20; i++)
    sockets.push(await connected(t, url, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
  for (let i = 0; i < 200; i++) sockets.push(await connected(t, url, "GET /large HTTP/1.1\r\nHost: "));
  const answer = await fetch(`${url}/large`);
  t.equal(sha(Buffer.from(await answer.arrayBuffer())), sha(large), "an honest client gets the whole file");
  t.equal(await (await fetch(`${url}/pxelinux.0`)).text(), "loader\n");
  for (const socket of sockets) socket.resume();
  await Promise.all(sockets.map((socket) => socket.closed || once(socket, "close")));
  process.kill("SIGTERM");
});

t.test("in a chain of servers, each asks only the one before it", async (t) => {
  const first = await startServe(t, c);
  const key = ["--root-key", Buffer.from(c.rootKey).toString("hex")];
  const own = (name: string) => ["--cache-dir", `${c.directory}/${name}`];
  const { queries } = c.proxy;
  const second = await startServe(t, c, "--mirror", first.url, "--mirror-only", ...key, ...own("second"));
  t.match(second.said, { release: 1, files: 2 });
  t.equal(c.proxy.queries, queries);
  const said = await c.icfs(["cat", c.id, "large", "--mirror", second.url, "--mirror-only", ...key], {
    env: { ...c.env, ICFS_NETWORK: "http://127.0.0.1:9", XDG_STATE_HOME: `${c.directory}/state-of-another` },
  });
  t.equal(said.code, 0, said.stderr);
});

t.test("a release that does not fit the cache is not served", async (t) => {
  const ended = startServe(t, c, "--max-cache-size", "8MiB", "--cache-dir", `${c.directory}/small`);
  await t.rejects(ended, { message: /ended with 1: .*not all of release 1 can be kept/s });
});
