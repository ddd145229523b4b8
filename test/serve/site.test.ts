/** What `icfs serve` answers to real clients over HTTP, and what it never answers. */
import { createHash, randomBytes } from "node:crypto";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { decodeHeaders } from "../../lib/source/icfs/header-list.ts";
import { HUNG, run } from "../support/icfs.ts";
import { inOrder } from "../support/in-order.ts";
import { startMountable } from "../support/mountable.ts";
import { chunkFiles, type Served, startServe } from "./serves.ts";

t.setTimeout(10 * HUNG);
const step = inOrder(t);

const MiB = 1024 * 1024;
const whole = t;
const c = await startMountable(t);
const large = randomBytes(3 * MiB + 5);
await c.publish({ "old.txt": "old\n" });
await writeFile(join(c.tree, "index.html"), "<p>hello\n");
await symlink("pxelinux.0", join(c.tree, "link"));
await c.publish({
  "pxelinux.0": "loader\n",
  "boot/grub.cfg": "menu\n",
  "boot.ipxe": "#!ipxe\n",
  "boot/a & <b>": "odd",
  "boot/iso.efi": "",
  large,
});

let served!: Served;
const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const get = (path: string, init: RequestInit = {}) =>
  fetch(`${served.url}${path}`, { redirect: "manual", ...init });
const curl = (...args: string[]) =>
  run("curl", ["--silent", "--show-error", "--fail", ...args], { env: c.env });
step("all of the release is on this host before it is served", async (t) => {
  served = await startServe(whole, c);
  t.match(served.said, { canister: c.id, release: 2, files: 8 });
  c.proxy.down = true;
  t.equal(sha(Buffer.from(await (await get("/large")).arrayBuffer())), sha(large));
  c.proxy.down = false;
});

step("proofs, headers and chunks are served as by any mirror", async (t) => {
  const release = await get("/.icfs/release");
  t.match(release.headers.get("cache-control"), /max-age=10$/);
  const head = await c.source().restore(Buffer.from(await release.arrayBuffer()));
  t.equal(head.header.number, 2);
  t.equal(
    Date.parse(release.headers.get("last-modified")!),
    1000 * Math.floor(head.certifiedAt.getTime() / 1000),
  );
  const page = Buffer.from(await (await get("/.icfs/headers/1")).arrayBuffer());
  t.same(
    decodeHeaders(page),
    await c.source().headers(1, 1),
    "the headers are the same as from the canister",
  );
  for (const path of [
    "headers/2",
    "headers/0",
    "headers/x",
    "release/1",
    "chunk",
    "",
    "at/1/large",
    "at/x",
    "boot.ipxe/x",
  ]) {
    t.equal((await get(`/.icfs/${path}`)).status, 404, path);
  }
  const chunk = sha(large.subarray(0, MiB));
  const answer = await get(`/.icfs/chunk/${chunk}`);
  t.equal(sha(Buffer.from(await answer.arrayBuffer())), chunk);
  t.match(answer.headers.get("cache-control"), /immutable/);
  const part = await get(`/.icfs/chunk/${chunk}`, { headers: { range: "bytes=-5" } });
  t.ok(
    Buffer.from(await part.arrayBuffer()).equals(large.subarray(MiB - 5, MiB)),
    "a range of a chunk is served",
  );
});

step("a host that knows only this server reads the release from it", async (t) => {
  const rootKey = Buffer.from(c.rootKey).toString("hex");
  const alone = (command: string, release: string, ...more: string[]) =>
    c.icfs(
      [
        ...[command, release, ...more, "--mirror", served.url, "--mirror-only", "--root-key", rootKey],
        ...["--network", "http://127.0.0.1:9"],
      ],
      { env: { ...c.env, XDG_STATE_HOME: join(c.directory, "state-of-another") } },
    );
  t.match(await alone("verify", c.id, c.tree), { code: 0 });
  t.match(
    await alone("ls", `${c.id}@1`),
    { code: 1, stderr: /release 1 of .* is not held/ },
    "a release whose manifest the server does not have cannot be listed",
  );
});

step("curl gets files, through links and odd paths too, and continues a download", async (t) => {
  t.match(await curl(`${served.url}/pxelinux.0`), { code: 0, stdout: "loader\n" });
  t.match(await curl(`${served.url}/link`), { code: 0, stdout: "loader\n" }, "links are followed");
  t.match(await curl(`${served.url}//boot/./grub%2ecfg?a=b`), { code: 0, stdout: "menu\n" });
  t.match(
    await curl("--path-as-is", `${served.url}/boot/../../../../pxelinux.0`),
    { stdout: "loader\n" },
    "no way out",
  );
  t.match(await curl(`${served.url}/`), { stdout: "<p>hello\n" }, "index.html");
  const to = join(c.directory, "downloaded");
  await writeFile(to, large.subarray(0, 1_500_000));
  t.match(await curl("--continue-at", "-", "--output", to, `${served.url}/large`), { code: 0 });
  t.equal(sha(await readFile(to)), sha(large), "an interrupted download is completed");
  t.match(
    await curl("--proxy", served.url, "http://elsewhere.example/pxelinux.0"),
    { stdout: "loader\n" },
    "the server does not act as a proxy",
  );
});

step("ranges and conditional requests are answered", async (t) => {
  const whole = await get("/large", { method: "HEAD" });
  const etag = whole.headers.get("etag")!;
  t.equal(etag, `"${sha(large)}"`);
  t.equal(whole.headers.get("content-length"), String(large.length));
  t.equal(whole.headers.get("accept-ranges"), "bytes");
  const parts: [range: string, status: number, from: number, to: number][] = [
    ["bytes=0-0", 206, 0, 1],
    [`bytes=${MiB - 2}-${MiB + 1}`, 206, MiB - 2, MiB + 2],
    ["bytes=-7", 206, large.length - 7, large.length],
    [`bytes=-${2 * large.length}`, 206, 0, large.length],
    [`bytes=${3 * MiB}-`, 206, 3 * MiB, large.length],
    [`bytes=5-${10 * MiB}`, 206, 5, large.length],
    ["bytes=0-1,5-6", 200, 0, large.length],
    ["lines=0-1", 200, 0, large.length],
  ];
  for (const [range, status, from, to] of parts) {
    const answer = await get("/large", { headers: { range } });
    t.equal(answer.status, status, range);
    t.equal(sha(Buffer.from(await answer.arrayBuffer())), sha(large.subarray(from, to)), range);
    const said = status === 206 ? `bytes ${from}-${to - 1}/${large.length}` : null;
    t.equal(answer.headers.get("content-range"), said, range);
  }
  for (const what of [`${large.length}-`, "-0", "5-2", "a-b", "0x1-5", "1e1-20", "0-5-9", "--5", ""]) {
    const refused = await get("/large", { headers: { range: `bytes=${what}` } });
    t.equal(refused.status, 416, what);
    t.equal(refused.headers.get("content-range"), `bytes */${large.length}`, what);
  }
  const range = "bytes=0-1";
  t.equal((await get("/large", { headers: { range, "if-range": etag } })).status, 206);
  for (const ifRange of ['"another"', `W/${etag}`, new Date().toUTCString()]) {
    const answer = await get("/large", { headers: { range, "if-range": ifRange } });
    t.equal(answer.status, 200, ifRange);
    await answer.body?.cancel();
  }
  t.equal((await get("/large", { headers: { "if-none-match": `"x", ${etag}` } })).status, 304);
  t.equal(
    (await get("/boot/iso.efi", { headers: { range } })).status,
    416,
    "a range of an empty file cannot be satisfied",
  );
});

step("files have media types, directories have listings, and missing paths are errors", async (t) => {
  t.equal((await get("/boot/iso.efi")).headers.get("content-type"), "application/efi");
  t.equal((await get("/boot/grub.cfg")).headers.get("content-type"), "text/plain; charset=utf-8");
  t.equal((await get("/pxelinux.0")).headers.get("content-type"), "application/octet-stream");
  const moved = await get("//boot");
  t.same([moved.status, moved.headers.get("location")], [301, "/boot/"]);
  const listing = await (await get("/boot/")).text();
  t.match(listing, '<a href="./a%20%26%20%3Cb%3E">a &amp; &lt;b&gt;</a>');
  t.equal(await (await get("/boot/a%20%26%20%3Cb%3E")).text(), "odd");
  for (const [path, status] of Object.entries({
    "/none": 404,
    "/pxelinux.0/": 404,
    "/pxelinux.0/x": 404,
    "/%": 400,
  })) {
    t.equal((await get(path)).status, status, path);
  }
  const post = await get("/pxelinux.0", { method: "POST", body: "x" });
  t.same([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
});

step("the boot script keeps a boot to one release", async (t) => {
  const script = await (await get("/.icfs/boot.ipxe")).text();
  t.equal(script, "#!ipxe\nchain /.icfs/at/2/boot.ipxe\n");
  const pinned = await get("/.icfs/at/2/boot/grub.cfg");
  t.equal(await pinned.text(), "menu\n");
  t.match(pinned.headers.get("cache-control"), /immutable/);
  t.match(await (await get("/.icfs/at/2/boot/")).text(), "grub.cfg");
  t.equal((await get("/.icfs/at/2/boot")).headers.get("location"), "/.icfs/at/2/boot/");
});

step("a chunk that is not in the release is neither fetched nor served from disk", async (t) => {
  const { queries } = c.proxy;
  t.equal((await get(`/.icfs/chunk/${sha(randomBytes(9))}`)).status, 404);
  // As if it were another canister's chunk.
  const other = randomBytes(1000);
  const [file] = await chunkFiles(c);
  const store = join(file!, "../..", sha(other).slice(0, 2));
  await run("mkdir", ["-p", store], { env: c.env });
  await writeFile(join(store, sha(other)), other);
  t.equal((await get(`/.icfs/chunk/${sha(other)}`)).status, 404);
  t.equal(c.proxy.queries, queries);
});
