/** The pages at /.icfs/files/, verified as gateways do: they list a release's directories, and link to one another. */
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import type { Entry } from "../../lib/tree/manifest.ts";
import { askHttp, gatewayAgent, type HttpAsked, headerOf, verifyHttp } from "../support/http.ts";
import { ICFS_WASM, sha256, startIcfsCanister, treeOf } from "../support/icfs-canister.ts";

/** A directory (null), a symlink's target, or a file's text. */
type Content = null | { readonly link: string } | string;

const inOrder = (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other));

/** @param contents in which no two files have the same text */
function treeWith(contents: Readonly<Record<string, Content>>) {
  const paths = Object.keys(contents).sort(inOrder);
  const files = paths.filter((path) => typeof contents[path] === "string");
  const { manifest, chunks } = treeOf(
    Object.fromEntries(files.map((path) => [path, contents[path] as string])),
  );
  const others = paths.flatMap((path): Entry[] => {
    const content = contents[path]!;
    if (content === null) return [{ kind: "directory", path, modified: 1n }];
    return typeof content === "string" ? [] : [{ kind: "symlink", path, modified: 1n, target: content.link }];
  });
  const entries = [...manifest.entries, ...others].sort((a, b) => inOrder(a.path, b.path));
  return { manifest: { ...manifest, entries }, chunks };
}

async function startSite(t: Test) {
  const canister = await startIcfsCanister(t, { api: "both" });
  const { id, network, owner } = canister;
  const agent = gatewayAgent(network);
  /** Requests a URL, and verifies the answer. */
  const get = async (url: string, asked: HttpAsked = {}) => {
    const answer = await askHttp(agent, id, url, asked);
    verifyHttp(url, answer, id, network.rootKey, asked.method);
    return answer;
  };
  const ready = async (release: bigint) => {
    while ((await owner.status()).http[0]!.release !== release) await sleep(50);
  };
  return {
    ...canister,
    get,
    ready,
    /** Status and body. */
    text: async (url: string) => {
      const { status, body } = await get(url);
      return `${status} ${Buffer.from(body)}`;
    },
    publishTree: async (contents: Readonly<Record<string, Content>>) => {
      const { manifest, chunks } = treeWith(contents);
      await owner.put(chunks);
      const result = await canister.publish(manifest);
      if (!("ok" in result)) throw new Error(Object.keys(result.err).join());
      await ready(result.ok);
    },
  };
}

const linksIn = (html: string) => [...html.matchAll(/ href="([^"]*)"/g)].map(([, url]) => url!);

/** A page's links to files and directories, without links that lead elsewhere. */
const rowsOf = (html: string) => linksIn(html.slice(html.indexOf("<table"), html.indexOf("</table>")));

/** A page's links to the pages before and after it. */
const turnsOf = (html: string) => {
  const at = html.indexOf('class="turn"');
  return at < 0 ? [] : linksIn(html.slice(at));
};

t.test("a large directory is listed page by page", async (t) => {
  const site = await startSite(t);
  const files = Array.from({ length: 450 }, (_, i) => `d/file-${1000 + i}`);
  const contents: Record<string, Content> = { d: null, "d/2": null, "d/2/x": "a directory called as a page" };
  for (const path of files) contents[path] = path;
  contents["d/index.html"] = "an index, which is listed as what it is";
  await site.publishTree(contents);
  const seen: string[] = [];
  const urls: string[] = [];
  for (let url: string | undefined = "/.icfs/files/d/"; url !== undefined; ) {
    urls.push(url);
    const html = await site.text(url);
    seen.push(...rowsOf(html));
    const turns = turnsOf(html);
    t.equal(turns.length, urls.length === 1 || turns.length === 1 ? 1 : 2);
    if (urls.length > 1) t.equal(turns[0], urls.at(-2), "the first link leads to the page before");
    url = turns[urls.length === 1 ? 0 : 1];
  }
  t.strictSame(urls, ["/.icfs/files/d/", "/.icfs/files/d/-2", "/.icfs/files/d/3"]);
  t.strictSame(seen, ["/.icfs/files/d/2/", ...files.map((path) => `/${path}`), "/d/index.html"]);
  t.match(await site.text("/.icfs/files/d/2/"), ">x</a>");
  t.match(await site.text("/.icfs/files/d/-2"), sha256(Buffer.from("d/file-1300")).toString("hex"));
  for (const url of [
    "/.icfs/files",
    "/.icfs/files/d",
    "/.icfs/files/d/2",
    "/.icfs/files/d/1",
    "/.icfs/files/d/4",
  ]) {
    t.equal((await site.get(url)).status, 404, url);
  }
  for (const url of [
    "/.icfs/files/none/",
    "/.icfs/files/d/3/x",
    "/.icfs/files/d/3/",
    "/.icfs/files/d/file-1000",
  ]) {
    t.equal((await site.get(url)).status, 404, url);
  }
  t.equal((await site.get("/.icfs/files/d/", { method: "POST" })).status, 405);
  t.equal((await site.get("/.icfs/files/d/", { method: "HEAD" })).status, 200);
});

t.test("a directory's page follows the newest release", async (t) => {
  const site = await startSite(t);
  const same = { a: null, "a/b": null, "a/b/c": "unchanged", e: null, "z.txt": "root" };
  await site.publishTree({ ...same, "a/x": "one" });
  const root = await site.text("/.icfs/files/");
  t.strictSame(rowsOf(root), ["/.icfs/files/a/", "/z.txt"], "an empty directory is not listed");
  const below = await site.text("/.icfs/files/a/b/");
  await site.publishTree({ ...same, "a/x": "another", "a/n": null, "a/n/new": "new" });
  t.equal(await site.text("/.icfs/files/"), root);
  t.equal(await site.text("/.icfs/files/a/b/"), below);
  const changed = await site.text("/.icfs/files/a/");
  t.match(changed, sha256(Buffer.from("another")).toString("hex"));
  t.strictSame(rowsOf(changed), ["/.icfs/files/a/b/", "/.icfs/files/a/n/", "/a/x"]);
  t.match(await site.text("/.icfs/files/a/n/"), ">new</a>");
  await site.network.replace(site.id, "upgrade", ICFS_WASM);
  await site.ready(2n);
  t.equal(await site.text("/.icfs/files/a/"), changed, "the page is the same after an upgrade");
  await site.publishTree({ "z.txt": "root" });
  t.match(await site.text("/.icfs/files/a/"), /^404/);
  t.strictSame(rowsOf(await site.text("/.icfs/files/")), ["/z.txt"]);
});

t.test("a symlink to a directory has no pages, whatever it was before", async (t) => {
  const site = await startSite(t);
  // Two links lead from each directory to the next, so links with pages of their own would need 2^30 pages.
  const deep: Record<string, Content> = { d30: null, "d30/x": "far down" };
  for (let i = 0; i < 30; i++) {
    deep[`d${i}`] = null;
    for (const name of ["one", "two"]) deep[`d${i}/${name}`] = { link: `../d${i + 1}` };
  }
  await site.publishTree({ ...deep, a: { link: "d30" }, r: null, "r/f": "in r" });
  const root = await site.text("/.icfs/files/");
  t.match(root, /<td>a\/<td><td class="quiet">a symlink/);
  t.ok(rowsOf(root).includes("/.icfs/files/d30/"));
  t.match(await site.text("/.icfs/files/a/"), /^404/);
  t.strictSame(rowsOf(await site.text("/.icfs/files/d30/")), ["/d30/x"]);
  t.match(
    await site.text(
      "/d0/one/two/one/two/one/two/one/two/one/two/one/two/one/two/one/two/one/two/one/two/one/two/one/two/one/two/one/two/one/two/x",
    ),
    "200 far down",
  );
  await site.publishTree({ a: null, "a/x": "far down", d30: { link: "a" }, r: { link: "a" } });
  t.strictSame(rowsOf(await site.text("/.icfs/files/")), ["/.icfs/files/a/"]);
  t.strictSame(rowsOf(await site.text("/.icfs/files/a/")), ["/a/x"]);
  for (const url of ["/.icfs/files/d30/", "/.icfs/files/r/"]) t.match(await site.text(url), /^404/, url);
});

t.test("hostile names are shown as plain text", async (t) => {
  const site = await startSite(t);
  const hostile = [
    "<script>alert(1)<",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "a\u202etxt.exe",
    "&amp;\u200b",
  ];
  const contents: Record<string, Content> = { "<i>": null };
  for (const name of hostile) contents[`<i>/${name}`] = name;
  await site.publishTree(contents);
  const html = await site.text("/.icfs/files/%3Ci%3E/");
  t.strictSame([...new Set(html.match(/<[a-z0-9]+/g))].sort(), [
    ...[
      "<a",
      "<code",
      "<div",
      "<h1",
      "<html",
      "<link",
      "<main",
      "<mark",
      "<meta",
      "<nav",
      "<table",
      "<td",
      "<th",
      "<title",
      "<tr",
    ],
  ]);
  t.strictSame(rowsOf(html).map(decodeURIComponent), hostile.map((name) => `/<i>/${name}`).sort(inOrder));
  for (const url of rowsOf(html)) t.match(url, /^\/[\w%./~-]*$/);
  t.match(html, "a<mark>U+202E</mark>txt.exe</a>");
  t.match(html, "&amp;amp;<mark>U+200B</mark></a>");
  t.match(html, "<title>&lt;i&gt;/</title>");
  t.match(headerOf(await site.get("/.icfs/files/%3Ci%3E/"), "content-security-policy"), "default-src 'none'");
  t.match(await site.text("/.icfs/style.css"), "prefers-color-scheme: dark");
});

t.test("the page at /.icfs/ lists the held releases", async (t) => {
  const site = await startSite(t);
  for (const text of ["1", "2", "3"]) await site.publishTree({ a: text });
  const held = async () => {
    const html = await site.text("/.icfs/");
    return [...html.slice(html.indexOf('class="releases"')).matchAll(/<tr><td>(\d+)/g)].map(([, number]) =>
      Number(number),
    );
  };
  t.strictSame(await held(), [3, 2, 1]);
  t.match(await site.text("/.icfs/"), (await site.source.head())!.hash.toString("hex"));
  const { settings } = await site.owner.status();
  await site.owner.keep(1n, true);
  await site.owner.configure({ ...settings, hold_newest: 1, hold_nanoseconds: 0n });
  t.strictSame(await held(), [3, 1]);
});
