/** The canister's answers over HTTP (docs/PROTOCOL.md, "HTTP"), verified as the main network's gateways do. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import t from "tap";
import { decodeHeaders } from "../../lib/source/icfs/header-list.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { exactly } from "../support/exactly.ts";
import { headerOf, verifyHttp } from "../support/http.ts";
import { sha256 } from "../support/icfs-canister.ts";
import { type Content, publishTree, readPieces, ready, startSite, treeWith } from "../support/site.ts";

const MIB = 1024 * 1024;

t.test("files of any name are served", async (t) => {
  const site = await startSite(t);
  const files: Record<string, string> = {
    "/": "index",
    "/a": "one letter",
    "/pxelinux.cfg/default": "boot",
    "/a-b": "between a directory and what is in it",
    "/d/": "index of d",
    "/d/x%20y%25.txt": "a space and a percent sign",
    "/%C3%BC": "an umlaut",
    "/d/%F0%9F%92%BE": "four bytes",
    "/empty": "",
    "/a%26b%3Fc%23d": "what URLs are cut at",
    [`/${"n".repeat(255)}`]: "the longest name",
  };
  const contents: Record<string, Content> = { d: null, "pxelinux.cfg": null };
  for (const [url, text] of Object.entries(files)) {
    contents[decodeURIComponent(url.endsWith("/") ? `${url}index.html` : url).slice(1)] = Buffer.from(text);
  }
  await publishTree(site, contents);
  for (const [url, text] of Object.entries(files)) {
    for (const at of [url, `/.icfs/at/1${url}`]) {
      const answer = await site.get(at);
      t.equal(answer.status, 200, at);
      t.equal(Buffer.from(answer.body).toString(), text);
      t.equal(headerOf(answer, "etag"), `"${sha256(Buffer.from(text)).toString("hex")}"`);
    }
  }
  t.equal(await site.text("//d//x%20y%25.txt?query#fragment"), files["/d/x%20y%25.txt"]);
  t.equal(headerOf(await site.get("/"), "content-type"), "text/html; charset=utf-8");
  t.equal(headerOf(await site.get("/a"), "content-type"), "application/octet-stream");
  t.match(headerOf(await site.get("/.icfs/at/1/a"), "cache-control"), /immutable/);
  t.notMatch(headerOf(await site.get("/a"), "cache-control"), /immutable/);
  const head = await site.get("/a", { method: "HEAD" });
  t.equal(head.status, 200);
  for (const url of [
    "/none",
    "/a/",
    "/a/b",
    "/d",
    "/d/none/x",
    "/pxelinux.cfg/",
    "/.icfs",
    "/.icfs/at/2/a",
    "/.icfs/at/1",
    "/.icfs/at/1/none",
    "/.icfs/at/01/a",
    "/%3C$%3E",
    "/%3C*%3E",
    "/a/%3C$%3E",
    "/a/%3C*%3E",
    "/d/%3C$%3E",
    "/.icfs/release/x",
    "/zz",
    "/%00",
  ]) {
    t.equal((await site.get(url)).status, 404, url);
  }
});

t.test("methods, versions and conditional requests", async (t) => {
  const site = await startSite(t);
  await publishTree(site, { a: Buffer.from("content"), long: randomBytes(MIB + 1) });
  for (const url of [
    "/a",
    "/long",
    "/none",
    "/",
    "/.icfs/at/1/a",
    "/.icfs/at/1/long",
    "/.icfs/",
    "/.icfs/release",
  ]) {
    const answer = await site.get(url, { method: "POST" });
    t.equal(answer.status, 405, url);
    t.equal(headerOf(answer, "allow"), "GET, HEAD");
  }
  const etag = headerOf(await site.get("/a"), "etag")!;
  for (const known of [etag, `"other", W/${etag}`, "*"]) {
    const answer = await site.get("/a", { headers: [["If-None-Match", known]] });
    t.match(answer, { status: 304, body: new Uint8Array() }, known);
    t.equal(headerOf(answer, "etag"), etag);
  }
  t.equal((await site.get("/a", { headers: [["if-none-match", '"other"']] })).status, 200);
  const listed: [string, string][] = [
    ["if-none-match", '"other"'],
    ["If-None-Match", etag],
  ];
  t.equal(
    (await site.get("/a", { headers: listed })).status,
    304,
    "If-None-Match may be split over two headers",
  );
  for (const version of [[], [1]] as [][] | [number][]) {
    const answer = await site.ask("/a", { version });
    t.equal(answer.status, 400);
    t.match(Buffer.from(answer.body).toString(), /version 2/);
  }
});

t.test("files of more than 1 MiB are served in pieces below their release's URL", async (t) => {
  const site = await startSite(t);
  const long = randomBytes(3 * MIB + 5);
  const whole = randomBytes(2 * MIB);
  const one = randomBytes(MIB);
  await publishTree(site, { d: null, "d/long name": long, whole, one, link: { link: "d/long name" } });
  const sent = await site.get("/d/long%20name");
  t.equal(sent.status, 307);
  t.equal(headerOf(sent, "location"), "/.icfs/at/1/d/long%20name");
  t.equal(headerOf(await site.get("/link"), "location"), "/.icfs/at/1/d/long%20name");
  t.equal((await site.get("/one")).status, 200);
  await readPieces(t, site, "/.icfs/at/1/d/long%20name", long);
  await readPieces(t, site, "/.icfs/at/1/link", long);
  await readPieces(t, site, "/.icfs/at/1/whole", whole);
  const toldOf = `?canisterId=${site.id}`;
  const byQuery = await site.get(`/d/long%20name?a=b&canisterId=${site.id}#fragment`);
  t.match(byQuery, { status: 307 }, "a request that names the canister in its query is redirected");
  t.equal(headerOf(byQuery, "location"), `/.icfs/at/1/d/long%20name${toldOf}`);
  for (const query of ["?canisterId", "?x=canisterId=", "#?canisterId=x", `?CanisterId=${site.id}`])
    t.equal(headerOf(await site.get(`/link${query}`), "location"), "/.icfs/at/1/d/long%20name", query);
  const head = await site.get(`/link${toldOf}`, { method: "HEAD" });
  t.equal(headerOf(head, "location"), `/.icfs/at/1/d/long%20name${toldOf}`);
});

t.test("byte ranges", async (t) => {
  const site = await startSite(t);
  const size = 2 * MIB;
  await publishTree(site, { file: randomBytes(size) });
  const url = "/.icfs/at/1/file";
  const range = async (value: string, more: [string, string][] = [], method = "GET") => {
    const answer = await site.get(url, { method, headers: [["Range", value], ...more] });
    return [answer.status, headerOf(answer, "content-range")];
  };
  const first = [206, `bytes 0-${MIB - 1}/${size}`];
  const second = [206, `bytes ${MIB}-${size - 1}/${size}`];
  const refused = [416, undefined];
  for (const [value, expected] of [
    ["bytes=0-", first],
    [`bytes=${MIB - 1}-${MIB}`, first],
    [`bytes=${MIB}-${MIB}`, second],
    ["bytes=-5", second],
    [`bytes=-${10 * size}`, first],
    [`bytes=1000000-${"9".repeat(40)}`, first],
    ["Bytes=1048576-", second],
    // Of several ranges, the first that can be satisfied is answered.
    [`bytes=${MIB}-,0-1`, second],
    [`bytes=${size}-, \t${MIB}-${MIB},0-1`, second],
    ["bytes=-0,0-0", first],
    [`bytes=, ,${MIB}-,`, second],
    // None of these ranges can be satisfied.
    [`bytes=${size}-`, refused],
    ["bytes=-0", refused],
    [`bytes=${"9".repeat(40)}-`, refused],
    [`bytes=${size}-${size},-0`, refused],
    // These are not valid ranges.
    ["bytes=5", refused],
    ["bytes=5-3", refused],
    ["bytes=0-1,5-3", refused],
    ["bytes=-", refused],
    ["bytes=", refused],
    ["bytes=,", refused],
    ["bytes", refused],
    ["bytes=0-1-2", refused],
    ["bytes=--5", refused],
    ["bytes=0 - 1", refused],
    ["bytes=0-=1", refused],
    ["bytes=+5-", refused],
    ["bytes=0x5-", refused],
    ["bytes=1_000-", refused],
    ["bytes=5.0-", refused],
    // Too long to read.
    [`bytes=${Array.from({ length: 60 }, (_, i) => `${i}-${i}`).join(",")}`, refused],
    [`bytes=${"9".repeat(500_000)}-`, refused],
    [`bytes=-${"9".repeat(500_000)}`, refused],
    // A range in another unit is ignored.
    ["lines=5-6", first],
    ["=5-6", first],
  ] as const) {
    t.strictSame(await range(value), expected, value.slice(0, 60));
  }
  const etag = headerOf(await site.get(url), "etag")!;
  t.strictSame(await range("bytes=-5", [["If-Range", etag]]), second);
  for (const other of ['"other"', `W/${etag}`, "Sat, 29 Nov 2025 12:00:00 GMT"])
    t.strictSame(
      await range("bytes=-5", [["if-range", other]]),
      first,
      `the range is ignored if If-Range is not the file's tag: ${other}`,
    );
  t.strictSame(await range("bytes=-5", [], "HEAD"), first, "the range of a HEAD request is ignored");
});

t.test("links are followed as readers follow them", async (t) => {
  const site = await startSite(t);
  await publishTree(site, {
    a: null,
    "a/deep": null,
    "a/deep/file.txt": Buffer.from("text"),
    "a/up": { link: ".." },
    b: { link: "a/deep" },
    b2: { link: "b" },
    "c.html": { link: "b/file.txt" },
    here: { link: "." },
    z: null,
    "z/to-a": { link: "../a" },
    "z/index.html": { link: "../c.html" },
  });
  for (const url of [
    "/b/file.txt",
    "/b2/file.txt",
    "/c.html",
    "/z/to-a/deep/file.txt",
    "/z/",
    "/.icfs/at/1/b2/file.txt",
  ]) {
    t.equal(await site.text(url), "text", url);
  }
  t.equal(headerOf(await site.get("/c.html"), "content-type"), "text/html; charset=utf-8");
  for (const url of ["/here/c.html", "/a/up/c.html", "/here", "/z/to-a/up/c.html"]) {
    t.equal((await site.get(url)).status, 404, `${url} leads in a circle and is not found`);
  }
});

t.test("a link into a later directory does not leave that directory incomplete", async (t) => {
  const site = await startSite(t);
  await publishTree(site, {
    a: { link: "x/sub/deep" },
    x: null,
    "x/file": Buffer.from("file"),
    "x/sub": null,
    "x/sub/deep": null,
    "x/sub/deep/back": { link: "../.." },
    "x/sub/deep/file": Buffer.from("deep"),
  });
  for (const url of ["/a/file", "/x/sub/deep/file", "/.icfs/at/1/x/sub/deep/file"]) {
    t.equal(await site.text(url), "deep", url);
  }
  t.equal(await site.text("/x/file"), "file");
  t.equal(
    (await site.get("/x/sub/deep/back/file")).status,
    404,
    "a link that leads in a circle is not found",
  );
});

t.test("a tree without files", async (t) => {
  const site = await startSite(t);
  for (const release of [1, 2, 3]) {
    await publishTree(site, { d: null });
    for (const url of ["/d", "/d/x", `/.icfs/at/${release}/x`])
      t.equal((await site.get(url)).status, 404, url);
    t.equal((await site.source.head())!.header.number, release);
  }
  await publishTree(site, { a: Buffer.from("a file") });
  t.equal(await site.text("/a"), "a file");
});

t.test("names reserved by the certification tree are not served", async (t) => {
  const site = await startSite(t);
  await publishTree(site, {
    "<$>": Buffer.from("a"),
    "<*>": null,
    "<*>/x": Buffer.from("b"),
    "<a>": Buffer.from("c"),
  });
  for (const url of ["/%3C$%3E", "/%3C*%3E", "/%3C*%3E/x"]) t.equal((await site.get(url)).status, 404, url);
  t.equal(await site.text("/%3Ca%3E"), "c");
});

t.test(
  "the next release is served, the one before stays, and older ones stay if they are kept",
  async (t) => {
    const site = await startSite(t);
    const long = randomBytes(MIB + 1);
    const unchanged = { d: null, "d/e": null, "d/e/f": Buffer.from("same"), long };
    await publishTree(site, {
      ...unchanged,
      a: Buffer.from("1"),
      gone: Buffer.from("gone"),
      kind: Buffer.from("file"),
    });
    const head = await site.source.head();
    await publishTree(site, {
      ...unchanged,
      a: Buffer.from("2"),
      b: Buffer.from("new"),
      kind: null,
      "kind/x": Buffer.from("x"),
    });
    t.equal(await site.text("/a"), "2");
    t.equal(await site.text("/b"), "new");
    t.equal(await site.text("/kind/x"), "x");
    t.equal((await site.get("/kind")).status, 404);
    t.equal((await site.get("/gone")).status, 404);
    t.equal(headerOf(await site.get("/long"), "location"), "/.icfs/at/2/long");
    t.equal(await site.text("/.icfs/at/1/a"), "1");
    t.equal(await site.text("/.icfs/at/1/gone"), "gone");
    t.equal(await site.text("/.icfs/at/1/kind"), "file");
    t.equal(await site.text("/.icfs/at/2/d/e/f"), "same");
    await publishTree(site, { ...unchanged, a: Buffer.from("3") });
    t.equal(
      (await site.get("/.icfs/at/1/a")).status,
      404,
      "a release is no longer served once there are two newer ones",
    );
    await site.owner.keep(1n, true);
    while ((await site.get("/.icfs/at/1/a")).status !== 200) await sleep(50);
    t.equal(await site.text("/.icfs/at/1/a"), "1", "a kept release is served");
    t.equal((await site.get("/.icfs/at/1/long")).status, 206);
    await site.owner.keep(1n, false);
    t.equal((await site.get("/.icfs/at/1/a")).status, 404);
    const parent: [Uint8Array] = [(await site.source.head())!.hash];
    t.match(await site.owner.rollback({ to: 1n, parent, note: "" }), { ok: 4n });
    t.equal(await site.text("/a"), "1", "a rollback");
    t.equal(await site.text("/gone"), "gone");
    t.equal(headerOf(await site.get("/long"), "location"), "/.icfs/at/4/long");
    const again: [Uint8Array] = [(await site.source.head())!.hash];
    t.match(await site.owner.rollback({ to: 4n, parent: again, note: "" }), { ok: 5n });
    t.equal(
      headerOf(await site.get("/long"), "location"),
      "/.icfs/at/5/long",
      "after a rollback to the current tree, redirects name the new release",
    );
    t.equal((await site.get("/.icfs/at/5/long")).status, 206);
    t.ok(head);
    const { settings } = await site.owner.status();
    await site.owner.configure({ ...settings, hold_newest: 1, hold_nanoseconds: 0n });
    t.equal((await site.get("/.icfs/at/3/a")).status, 404, "a release that is no longer held is not served");
  },
);

t.test("releases share the pages they have in common, and leave nothing behind", async (t) => {
  const site = await startSite(t);
  const files = (changed: string) => ({
    ...Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`f${1000 + i}`, Buffer.from("the same in all")]),
    ),
    long: Buffer.alloc(MIB + 1, 1),
    changed: Buffer.from(changed),
  });
  const bytes = async () => Number((await site.owner.status()).http[0]!.bytes);
  const empty = await bytes();
  await publishTree(site, files("first"));
  const one = (await bytes()) - empty;
  t.ok(one > 300 * 200, `a release takes ${one} bytes`);
  await site.owner.keep(1n, true);
  await publishTree(site, files("second"));
  await site.owner.keep(2n, true);
  const two = await bytes();
  await publishTree(site, files("third"));
  await publishTree(site, files("fourth"));
  const four = await bytes();
  t.ok(
    two - empty - one < one / 20,
    `a next release with one changed file takes ${two - empty - one} bytes more`,
  );
  t.ok(four - two < one / 20, `two more releases take ${four - two} bytes while the two before are kept`);
  await site.owner.keep(1n, false);
  await site.owner.keep(2n, false);
  await site.owner.serve_http(false);
  t.ok((await bytes()) < 200, "pages take fewer than 200 bytes when nothing is served any more");
});

t.test("an old answer does not verify with a new proof", async (t) => {
  const site = await startSite(t);
  await publishTree(site, { a: Buffer.from("1"), b: Buffer.from("b") });
  const old = await site.get("/a");
  await publishTree(site, { a: Buffer.from("2"), b: Buffer.from("b") });
  const now = await site.get("/a");
  const { id, network } = site;
  verifyHttp("/a", now, id, network.rootKey);
  const mixed = { ...now, body: old.body, headers: now.headers };
  t.throws(() => verifyHttp("/a", mixed, id, network.rootKey));
  const swapped = now.headers.map((header) =>
    header[0] === "etag" ? (["etag", headerOf(old, "etag")!] as [string, string]) : header,
  );
  t.throws(() => verifyHttp("/a", { ...old, headers: swapped }, id, network.rootKey));
  t.throws(() => verifyHttp("/b", now, id, network.rootKey), "another file's answer");
});

t.test("the boot script, the page, chunks, headers and the head's proof", async (t) => {
  const site = await startSite(t);
  t.match(await site.text("/"), /Nothing has been published/);
  t.equal((await site.get("/.icfs/boot.ipxe")).status, 404);
  await publishTree(site, {
    "boot.ipxe": null,
    "boot.ipxe/x": Buffer.from("x"),
    "boot.efi": { link: "boot.ipxe" },
  });
  t.equal(
    (await site.get("/.icfs/boot.ipxe")).status,
    404,
    "a directory named boot.ipxe is not served as a script",
  );
  t.equal(
    (await site.text("/.icfs/")).match(/This release has none/g)?.length,
    2,
    "the page says that the release has no script and no image",
  );
  const chunk = Buffer.from("#!ipxe\n");
  await publishTree(site, { "boot.ipxe": chunk, "<b>&\"'.txt": Buffer.from("hostile") });
  t.equal(await site.text("/.icfs/boot.ipxe"), "#!ipxe\nchain /.icfs/at/2/boot.ipxe\n");
  const page = await site.text("/.icfs/");
  t.match(page, site.id.toText());
  t.match(page, /&lt;b&gt;&amp;&quot;&#39;\.txt/);
  t.match(page, "%3Cb%3E%26%22%27.txt");
  t.notMatch(page, "<b>");
  t.equal(await site.text("/"), page, "/ is the same page when the release has no index.html");
  const hash = sha256(chunk).toString("hex");
  t.ok(Buffer.from((await site.get(`/.icfs/chunk/${hash}`)).body).equals(chunk));
  t.equal((await site.get(`/.icfs/chunk/${"0".repeat(64)}`)).status, 404);
  for (const url of [
    `/.icfs/chunk/${hash.toUpperCase()}x`,
    "/.icfs/chunk",
    "/.icfs/chunk/",
    `/.icfs/chunk/${hash}/x`,
  ]) {
    t.equal((await site.get(url)).status, 404, url);
  }
  for (let release = 3; release <= 4; release++) await publishTree(site, { "boot.ipxe": chunk });
  const reader = site.source;
  for (const from of [1, 3, 4]) {
    const answer = await site.get(`/.icfs/headers/${from}`);
    t.same(decodeHeaders(answer.body), await reader.headers(from, 1000), `headers from ${from} down`);
    t.notMatch(headerOf(answer, "cache-control"), /immutable/);
  }
  for (const number of ["0", "5", "01", "-1", "1e0", "", "x", "1/", "1/2", "9".repeat(21)])
    t.equal((await site.get(`/.icfs/headers/${number}`)).status, 404, `headers/${number}`);
  t.equal((await site.get("/.icfs/headers/1", { method: "POST" })).status, 405);
  const release = await site.get("/.icfs/release");
  t.ok(Buffer.from(release.body).includes(Buffer.from("ICFSHDR")), "the head's proof");
  t.match(headerOf(release, "cache-control"), /max-age=\d+$/);
});

t.test("a private canister, and one with HTTP switched off, refuse every request", async (t) => {
  const site = await startSite(t);
  await publishTree(site, { a: Buffer.from("content") });
  const { owner } = site;
  const refused = async (why: RegExp) => {
    for (const url of [
      "/",
      "/a",
      "/none",
      "/.icfs/",
      "/.icfs/at/1/a",
      "/.icfs/release",
      "/.icfs/headers/1",
      `/.icfs/chunk/${sha256(Buffer.from("content")).toString("hex")}`,
    ]) {
      const answer = await site.get(url);
      t.equal(answer.status, 403, url);
      t.match(Buffer.from(answer.body).toString(), why);
    }
    t.equal((await site.get("/a", { method: "POST" })).status, 403, "a POST request is refused as well");
  };
  const parent: [Uint8Array] = [(await site.source.head())!.hash];
  await owner.restrict(true);
  await refused(/private/);
  const { manifest, chunks } = treeWith({ a: Buffer.from("secret") });
  const pieces = await owner.put([Buffer.concat(encodeManifest(manifest)), ...chunks]);
  t.match(await owner.publish({ manifest: pieces.slice(0, 1), parent, note: "" }), { ok: 2n });
  await refused(/private/);
  await owner.restrict(false);
  await ready(site);
  t.equal(await site.text("/a"), "secret");
  await owner.serve_http(false);
  await refused(/owner/);
  t.match((await owner.status()).http, exactly({ on: false, release: 0n }));
  const stranger = site.as(Ed25519KeyIdentity.generate());
  await t.rejects(stranger.serve_http(true));
  await owner.serve_http(true);
  await ready(site);
  t.equal(await site.text("/a"), "secret");
});
