/**
 * The page at /.icfs/ in a real browser, through the local gateway: its content is right, its links lead to the files whose hashes stand
 * beside them, and markup in names stays text. The tests read the document as the browser has parsed it.
 */
import { join } from "node:path";
import t from "tap";
import { bytesOf, writeTree } from "../publish/trees.ts";
import { dumpDom } from "../support/browser.ts";
import { startCanister } from "../support/canister-network.ts";
import { sha256 } from "../support/icfs-canister.ts";
import { ask, type Received } from "../support/web.ts";

t.setTimeout(1_800_000);

const HOSTILE = [
  "<script>document.title='owned'<",
  '"><img src=x onerror=document.title=1>',
  "' onmouseover='document.title=1",
  "javascript:document.title=1",
  "<!--",
  "&lt;b&gt;",
  "a\u202etxt.exe",
  " spaces  ",
  "%2e%2e",
  "ü?x#y",
];
const NOTE = "<script>document.title='owned'</script>\nsecond line \u202e";

/** All elements in the pages. None of them can run a script, or fetch anything but the style. */
const ELEMENTS = new Set(
  "html head meta link title body main nav p h1 h2 h3 a code pre mark dl dt dd div table tbody tr th td footer".split(
    " ",
  ),
);
const ATTRIBUTES = new Set(["lang", "charset", "name", "content", "rel", "href", "class"]);

interface Tag {
  readonly element: string;
  readonly attributes: readonly [name: string, value: string][];
}

/** The tags of HTML that a browser has written, which quotes each attribute. */
function tagsOf(html: string): Tag[] {
  return [...html.matchAll(/<([a-z]\w*)((?:\s+[^\s=>]+="[^"]*")*)\s*>/gi)].map(([, element, attributes]) => ({
    element: element!,
    attributes: [...attributes!.matchAll(/([^\s=]+)="([^"]*)"/g)].map(([, name, value]) => [
      name!,
      decode(value!),
    ]),
  }));
}

const decode = (html: string) =>
  html.replace(
    /&(lt|gt|quot|nbsp|amp);/g,
    (_, name: string) => ({ lt: "<", gt: ">", quot: '"', nbsp: "\u00a0" })[name] ?? "&",
  );

t.test("a browser shows a release's pages, and hostile names stay text", async (t) => {
  const c = await startCanister(t);
  const tree = join(c.directory, "tree");
  const long = bytesOf(1, 2_500_000);
  const names = [...HOSTILE, "boot.ipxe", "long", "d/deep/file", ...HOSTILE.map((name) => `<i>&/${name}`)];
  await writeTree(
    tree,
    Object.fromEntries(names.map((name) => [name, name === "long" ? long : `#!ipxe ${name}`])),
  );
  const id = c.canister.toText();
  const published = await c.icfs(["publish", tree, id, "--note", NOTE]);
  t.equal(published.code, 0, published.stderr);
  const host = `${id}.localhost`;
  const base = `http://${host}:${new URL(c.url).port}`;

  /** Loads a page, and returns it after all its scripts have run. */
  const look = async (path: string) => {
    const html = await dumpDom(`${base}${path}`, { env: c.env });
    const tags = tagsOf(html);
    t.equal(tags.length, [...html.matchAll(/<[a-z]/gi)].length, "every tag in the document is examined");
    for (const { element, attributes } of tags) {
      if (!ELEMENTS.has(element)) t.fail(`${path} has an element ${element}`);
      for (const [name] of attributes) if (!ATTRIBUTES.has(name)) t.fail(`${path} has an attribute ${name}`);
    }
    const links = tags.flatMap(({ attributes }) =>
      attributes.filter(([name]) => name === "href").map(([, url]) => url),
    );
    for (const url of links) if (!/^\/[\w%./~-]*$/.test(url)) t.fail(`${path} leads to ${url}`);
    t.notMatch(/<title>([^<]*)/.exec(html)?.[1], /owned|^1$/);
    /** Each file's link, with the hash beside it. */
    const files = [...html.matchAll(/<tr><td><a href="([^"]*)">.*?<\/tr>/gs)].map(([row, url]) => ({
      url: url!,
      hash: /<code>([0-9a-f]{64})<\/code>/.exec(row)?.[1],
    }));
    return { html, links, files };
  };
  const fetched = async (url: string): Promise<Received> => {
    const received = await ask(c.url, host, url);
    return received.status === 307 ? fetched(received.headers.location!) : received;
  };
  const follow = async (files: readonly { url: string; hash: string | undefined }[]) => {
    for (const { url, hash } of files) {
      const { status, body } = await fetched(url);
      t.match({ status, hash: sha256(body).toString("hex") }, { status: 200, hash }, url);
    }
  };

  t.match(
    await dumpDom(`data:text/html,<script>document.title="owned"</script>`, { env: c.env }),
    "<title>owned",
    "the browser runs the script of a page that has one",
  );
  const head = (await c.source().head())!;
  t.notMatch(
    (await look("/.icfs/")).html,
    "Channels",
    "the page of a canister without channels does not mention them",
  );
  for (const [name, note] of [
    ["stable", NOTE.replace("\n", " ")],
    ["canary", "n".repeat(1024)],
    ["gone", ""],
  ] as const)
    t.match(await c.icfs(["promote", id, "1", name, "--note", note]), { code: 0 });
  t.match(await c.icfs(["channel", id, "gone", "--delete"]), { code: 0 });
  const page = await look("/.icfs/");
  const rows = [
    ...page.html.matchAll(/<tr><td>([^<]*)<\/td><td>1<\/td><td>(.*?) UTC<\/td><td>(.*?)\s*<\/td>/gs),
  ];
  t.same(
    rows.map(([, name]) => name),
    ["canary", "stable"],
    "channels are listed by name, without deleted ones",
  );
  t.equal(rows[0]![3], `${"n".repeat(100)}…`);
  t.match(rows[1]![3], /^&lt;script&gt;.*<mark>U\+202E<\/mark>$/);
  for (const [, , since] of rows) t.match(since, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  for (const text of [
    id,
    "Release 1",
    head.hash.toString("hex"),
    c.identity.getPrincipal().toText(),
    "&lt;script&gt;document",
  ]) {
    t.match(page.html, text);
  }
  t.match(page.html, "second line <mark>U+202E</mark>");
  for (const text of [
    `icfs mount ${id} /srv/tftp`,
    `icfs verify ${id}`,
    "chain http://NGINX/.icfs/boot.ipxe",
    "http://NGINX/boot.efi",
  ]) {
    t.match(page.html, text);
  }
  const files = page.files.filter(({ hash }) => hash !== undefined);
  t.equal(files.length, HOSTILE.length + 2);
  await follow(files);
  t.match(await fetched("/.icfs/boot.ipxe"), { status: 200 });
  t.equal((await look("/")).html, page.html);

  const directory = page.files.find(({ url }) => url.includes("%3Ci%3E"))!.url;
  const below = await look(directory);
  t.equal(below.files.length, HOSTILE.length);
  await follow(below.files);
  for (const url of new Set([...page.links, ...below.links])) t.equal((await fetched(url)).status, 200, url);

  const style = (await fetched("/.icfs/style.css")).body.toString();
  /** The result of a script in a page of a phone's width. */
  const onPhone = async (path: string, script: string) => {
    const html = (await fetched(path)).body.toString();
    const measured = `<style>${style}</style>${html}<script>parent.document.title = ${script}</script>`;
    const frame = `<iframe width="375" height="700" scrolling="no" srcdoc="${measured.replace(/&/g, "&amp;").replace(/"/g, "&quot;")}">`;
    const dom = await dumpDom(`data:text/html,${encodeURIComponent(`<title></title>${frame}`)}`, {
      env: c.env,
    });
    return /<title>([^<]*)/.exec(dom)?.[1];
  };
  const tooWide =
    "[...document.querySelectorAll('html, .scroll')].filter((e) => e.scrollWidth > e.clientWidth).length";
  for (const path of ["/.icfs/", directory])
    t.equal(await onPhone(path, tooWide), "0", `${path} fits the width of a phone`);
  // A row is two lines high: the date and the time.
  const row = "document.querySelector('.releases tr:last-child')";
  const lines = await onPhone(
    "/.icfs/",
    `Math.round(${row}.clientHeight / parseFloat(getComputedStyle(${row}).lineHeight))`,
  );
  t.equal(lines, "3", "a row of two lines and its spacing are three lines high");
});
