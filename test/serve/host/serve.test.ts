/** icfs serve while it runs: a damaged disk, another release, its end, and a network that is away. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import t from "tap";
import type { AnyStatus } from "../../../lib/live/report/status.ts";
import { decodeHeaders } from "../../../lib/source/icfs/header-list.ts";
import { eventually } from "../../mount/mounts.ts";
import { HUNG } from "../../support/icfs.ts";
import { inOrder } from "../../support/in-order.ts";
import { startMountable } from "../../support/mountable.ts";
import { chunkFiles, startServe } from "../serves.ts";

t.setTimeout(10 * HUNG);
const step = inOrder(t);

const MiB = 1024 * 1024;
const c = await startMountable(t);
const large = randomBytes(3 * MiB + 5);
await c.publish({ "pxelinux.0": "loader\n" });
await c.publish({ large });
const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

step("chunks that were altered on disk are never served, and are fetched again", async (t) => {
  // The memory is so small that chunks are read from the disk.
  const small = await startServe(t, c, "--memory", "1");
  const hash = sha(large.subarray(MiB, 2 * MiB));
  const file = (await chunkFiles(c)).find((name) => name.endsWith(hash))!;
  const wrong = Buffer.from(large.subarray(MiB, 2 * MiB));
  wrong[77]! ^= 1;
  await writeFile(file, wrong);
  const broken = await fetch(`${small.url}/large`)
    .then((answer) => answer.arrayBuffer())
    .catch((error) => error);
  t.ok(broken instanceof Error, "the download is aborted instead of ending normally");
  await eventually("it is here again", async () =>
    (await readFile(file).catch(() => wrong)).equals(large.subarray(MiB, 2 * MiB)),
  );
  t.equal(sha(Buffer.from(await (await fetch(`${small.url}/large`)).arrayBuffer())), sha(large));
  await writeFile(file, wrong);
  t.equal((await fetch(`${small.url}/.icfs/chunk/${hash}`)).status, 404);
});

step("a download gets one release, even if another goes live meanwhile", async (t) => {
  const other = await startServe(t, c, "--quiet", "0", "--refresh", "0");
  const answer = await fetch(`${other.url}/large`);
  const reader = answer.body!.getReader();
  const first = await reader.read();
  const second = randomBytes(4 * MiB);
  await c.publish({ large: second });
  other.process.kill("SIGHUP");
  await eventually("it is live", async () => {
    const { headers } = await fetch(`${other.url}/large`, { method: "HEAD" });
    return headers.get("etag") === `"${sha(second)}"`;
  });
  const whole = createHash("sha256").update(first.value!);
  for (let next = await reader.read(); !next.done; next = await reader.read()) whole.update(next.value);
  t.equal(whole.digest("hex"), sha(large), "to its end");
  const range = "bytes=10-";
  const rest = await fetch(`${other.url}/large`, { headers: { range, "if-range": `"${sha(large)}"` } });
  t.equal(rest.status, 200, "resuming a download of the old release starts again with the new one");
  t.equal(sha(Buffer.from(await rest.arrayBuffer())), sha(second));
  const before = sha(large.subarray(0, MiB));
  t.equal(
    (await fetch(`${other.url}/.icfs/chunk/${before}`)).status,
    200,
    "a chunk of the old release is still served",
  );
  const headers = await fetch(`${other.url}/.icfs/headers/2`);
  t.same(decodeHeaders(Buffer.from(await headers.arrayBuffer())), await c.source().headers(2, 2));
});

step("a client that closes its side of the connection is answered to the end", async (t) => {
  const { url } = await startServe(t, c, "--refresh", "0", "--memory", "1");
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.end("GET /large HTTP/1.0\r\n\r\n");
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part);
  const answer = Buffer.concat(parts);
  const whole = await (await fetch(`${url}/large`)).arrayBuffer();
  t.equal(sha(answer.subarray(answer.indexOf("\r\n\r\n") + 4)), sha(Buffer.from(whole)));
});

step("icfs status lists the server, for people and for scripts", async (t) => {
  const served = await startServe(t, c, "--refresh", "0");
  const { pid } = served.process;
  const listed = async () => {
    const { stdout } = await c.icfs(["status", "--json"]);
    return (JSON.parse(stdout) as AnyStatus[]).filter((one) => one.pid === pid);
  };
  await fetch(`${served.url}/absent`);
  const [status, ...more] = await listed();
  t.match(status, { canister: c.id, hydrated: true, site: { url: served.url, missing: 1 } });
  t.same([more, status!.mountpoint, status!.readers], [[], undefined, undefined]);
  const { stdout } = await c.icfs(["status"]);
  const [, text] = stdout.split(`${served.url} (icfs serve)\n`);
  t.match(text, new RegExp(`^  release +\\d of ${c.id} `));
  t.match(text, /\n {2}serves +http:.* 1 missing, /);
  served.process.kill("SIGTERM");
  await served.ended;
  t.same(await listed(), [], "a server that has ended is not listed");
  const killed = await startServe(t, c, "--refresh", "0");
  killed.process.kill("SIGKILL");
  await killed.ended;
  const { stderr } = await c.icfs(["status", "--json"]);
  t.notMatch(
    stderr,
    new RegExp(`serve-${killed.process.pid}\\b`),
    "a server that was killed is not mentioned",
  );
});

step("the server ends gracefully: answers under way are finished", async (t) => {
  const served = await startServe(t, c);
  const { port } = new URL(served.url);
  const socket = connect(Number(port), "127.0.0.1");
  await once(socket, "connect");
  // An answer to a slow client is under way.
  socket.write("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  const [begun] = await once(socket, "data");
  socket.pause();
  served.process.kill("SIGTERM");
  await eventually("it says so", () => /takes no more requests/.test(served.log()));
  await t.rejects(fetch(served.url));
  let received = begun.length;
  socket.on("data", (bytes: Buffer) => {
    received += bytes.length;
  });
  socket.resume();
  await once(socket, "close");
  t.ok(received > large.length, "the answer under way is sent completely");
  t.equal(await served.ended, 0);
});

step("without the network, the kept release is served", async (t) => {
  c.proxy.down = true;
  const offline = await startServe(t, c, "--max-stale", "1d");
  t.match(offline.said, { warning: /what was kept on this host/ });
  t.match(await fetch(`${offline.url}/pxelinux.0`).then((answer) => answer.text()), "loader\n");
  const number = Number(offline.said.release);
  const headers = await fetch(`${offline.url}/.icfs/headers/${number - 1}`);
  t.equal(
    decodeHeaders(Buffer.from(await headers.arrayBuffer())).length,
    number - 1,
    "the headers of all earlier releases are served",
  );
  c.proxy.down = false;
});
