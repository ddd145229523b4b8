/** The gateway in front of a canister that certifies whatever a test wants, on a local network. */
import { randomBytes } from "node:crypto";
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import t, { type Test } from "tap";
import {
  type CertifiedPath,
  certifiedSite,
  certifierAt,
  certifierWasm,
  type Header,
  type HttpAnswer,
  NOTHING_CERTIFIED,
  type Site,
  startCertifier,
} from "../../support/certifier.ts";
import { type Asking, ask } from "../../support/web.ts";
import { agentFor, deploy, startNetwork } from "../setup.ts";

const log: string[] = [];
const certifier = await startCertifier(t, { log: (line) => log.push(line) });
const { canister, url, actor } = certifier;
const HOST = `${canister}.localhost:${new URL(url).port}`;
const get = (path: string, asking?: Asking) => ask(url, HOST, path, asking);

const text = (content: string, status = 200, headers: Header[] = []): HttpAnswer => ({
  status,
  headers: [["Content-Type", "text/plain"], ...headers],
  body: Buffer.from(content),
});

async function certify(...paths: CertifiedPath[]): Promise<Site> {
  const site = certifiedSite(paths);
  await actor.certify(site.root);
  return site;
}

t.test("a certified answer is served at any host that names the canister", async (t) => {
  const hello = text("hello", 200, [
    ["ETag", '"1"'],
    ["Cache-Control", "max-age=5"],
  ]);
  const site = await certify({ path: "/hello", answer: hello });
  await certifier.answer("GET /hello", site.proved("/hello", hello));
  const hosts = [
    HOST,
    HOST.toUpperCase(),
    `${canister}.icp0.io`,
    `${canister}.boot.example:80`,
    `${canister}`,
  ];
  for (const host of hosts) {
    const { status, headers, body } = await ask(url, host, "/hello");
    t.match({ status, body: body.toString() }, { status: 200, body: "hello" }, host);
    t.match(headers, {
      etag: '"1"',
      "cache-control": "max-age=5",
      "content-type": "text/plain",
      "content-length": "5",
    });
    t.ok(headers["ic-certificate"], "the certificate is passed on, so that clients can verify it again");
  }
  const byQuery = `/hello?canisterId=${canister}`;
  await certifier.answer(`GET ${byQuery}`, site.proved("/hello", hello));
  t.match(await ask(url, new URL(url).host, byQuery), { status: 200 });
  t.match(await get(`http://${HOST}/hello`), { status: 200 }, "the request line may have the whole URL");
});

t.test("the API stays at its paths, and a host that names no canister has no other pages", async (t) => {
  t.match(await get("/api/v2/status"), { status: 200, headers: { "content-type": "application/cbor" } });
  const found = await ask(url, new URL(url).host, "/nothing");
  t.match(found, { status: 404, headers: { "content-type": "text/plain; charset=utf-8" } });
  t.match(found.body.toString(), "http://ID.localhost");
});

t.test("only certified headers reach clients", async (t) => {
  const only = "certified_response_headers:ResponseHeaderList{headers:[]}";
  const expression = `default_certification(ValidationArgs{certification:Certification{no_request_certification:Empty{},response_certification:ResponseCertification{${only}}}})`;
  const some: HttpAnswer = {
    status: 200,
    body: Buffer.from("plain"),
    headers: [["IC-CertificateExpression", expression]],
  };
  const site = await certify({ path: "/plain", answer: some });
  await certifier.answer(
    "GET /plain",
    site.proved("/plain", { ...some, headers: [["Set-Cookie", "a=b"], ...some.headers] }),
  );
  const received = await get("/plain");
  t.match(received, { status: 200, headers: { "set-cookie": undefined, "content-type": undefined } });
});

t.test("connection headers do not reach clients, whether certified or not", async (t) => {
  const odd = text("odd", 200, [
    ["Transfer-Encoding", "chunked"],
    ["Connection", "x"],
    ["Content-Length", "9"],
  ]);
  const site = await certify({ path: "/odd", answer: odd });
  await certifier.answer("GET /odd", site.proved("/odd", odd));
  const { headers, body } = await get("/odd");
  t.match(headers, { "content-length": "3", connection: "keep-alive" });
  t.equal(headers["transfer-encoding"], undefined);
  t.equal(body.toString(), "odd");
});

t.test("HEAD is answered like GET, without a body", async (t) => {
  const hello = text("hello");
  const site = await certify({ path: "/hello", answer: hello });
  await certifier.answer("HEAD /hello", site.proved("/hello", hello));
  const { status, headers, body } = await get("/hello", { method: "HEAD" });
  t.match(
    { status, length: headers["content-length"], body: body.length },
    { status: 200, length: "5", body: 0 },
  );
});

t.test("If-None-Match and Range reach the canister, and 304 and 206 reach the client", async (t) => {
  const same: HttpAnswer = { status: 304, headers: [["ETag", '"1"']], body: Buffer.alloc(0) };
  const piece: HttpAnswer = {
    status: 206,
    headers: [["Content-Range", "bytes 2-3/6"]],
    body: Buffer.from("cd"),
  };
  const site = await certify({ path: "/f", answer: same }, { path: "/f", answer: piece });
  await certifier.answer('GET /f if-none-match: "1"', site.proved("/f", same));
  await certifier.answer("GET /f range: bytes=2-3", site.proved("/f", piece));
  const unchanged = await get("/f", { headers: { "If-None-Match": '"1"' } });
  t.match({ ...unchanged, body: unchanged.body.length }, { status: 304, body: 0, headers: { etag: '"1"' } });
  const part = await get("/f", { headers: { Range: "bytes=2-3" } });
  t.match(
    { ...part, body: part.body.toString() },
    { status: 206, body: "cd", headers: { "content-range": "bytes 2-3/6" } },
  );
});

t.test("other methods pass on a body, and become update calls if the canister requests it", async (t) => {
  const body = randomBytes(1000);
  await certifier.answer("POST /form", text(""), { upgrade: [true] });
  await certifier.answer("UPDATE /form", text("taken", 201));
  const received = await get("/form", { method: "POST", body, headers: { "X-Form": "1" } });
  t.match({ ...received, body: received.body.toString() }, { status: 201, body: "taken" });
  const [update] = await actor.lastUpdate();
  t.match(
    { ...update, body: Buffer.from(update!.body).equals(body) },
    { method: "POST", url: "/form", body: true },
  );
  t.ok(
    update!.headers.some(([name, value]) => name === "x-form" && value === "1"),
    "the request's headers are passed on",
  );
  const large = await get("/form", { method: "POST", body: Buffer.alloc(3_000_000) });
  t.equal(large.status, 413);
});

t.test("an answer is served if it is certified to need no certification", async (t) => {
  const free = text("free", 200, [
    ["X-Free", "1"],
    ["IC-CertificateExpression", NOTHING_CERTIFIED],
  ]);
  const site = await certify({ path: "/free/<*>", answer: "anything" });
  await certifier.answer("GET /free/x", site.proved("/free/<*>", free, ["/free/x"]));
  t.match(await get("/free/x"), { status: 200, headers: { "x-free": "1" } });
});

t.test(
  "with a streaming strategy, up to four further parts are verified, and longer files are not",
  async (t) => {
    const whole = text("abcde");
    const site = await certify({ path: "/parts", answer: whole });
    const parts = (content: string) => ({ parts: content.split("").map((part) => Buffer.from(part)) });
    const first = { ...site.proved("/parts", whole), body: Buffer.from("a") };
    await certifier.answer("GET /parts", first, parts("bcde"));
    const received = await get("/parts");
    t.match(
      { ...received, body: received.body.toString() },
      { status: 200, body: "abcde", headers: { "content-length": "5" } },
    );
    await certifier.answer("GET /parts", first, parts("bcdX"));
    t.equal((await get("/parts")).status, 503);
    await certifier.answer("GET /parts", first, parts("bcdeX"));
    const unverified = await get("/parts");
    t.match(
      { ...unverified, body: unverified.body.toString() },
      { status: 200, body: "abcdeX", complete: true },
    );
  },
);

t.test("a wrongly certified answer is replaced by the error page", async (t) => {
  const good = text("good");
  const found = text("found");
  const missing = text("not here", 404);
  const site = await certify(
    { path: "/good", answer: good },
    { path: "/found", answer: found },
    { path: "/<*>", answer: missing },
  );
  const others = certifiedSite([{ path: "/good", answer: text("evil") }]);
  const proved = site.proved("/good", good);
  const certificate = (change: (value: string) => string): HttpAnswer => ({
    ...proved,
    headers: proved.headers.map(([name, value]) => [name, name === "IC-Certificate" ? change(value) : value]),
  });
  const elsewhere = await certificatesElsewhere(t, site, proved);
  const wrong: Record<string, HttpAnswer> = {
    "no certificate": good,
    "another body": { ...proved, body: Buffer.from("evil") },
    "a body that goes on": { ...proved, body: Buffer.from("good and evil") },
    "another header": {
      ...proved,
      headers: proved.headers.map(([name, value]) => [name, value.replace("plain", "html")]),
    },
    "one header more": { ...proved, headers: [["Location", "/"], ...proved.headers] },
    "another status": { ...proved, status: 404 },
    "the answer of another path": site.proved("/found", found),
    "a tree that is not certified": others.proved("/good", text("evil")),
    "not found, where something is": site.proved("/<*>", missing, ["/good"]),
    "not found, and not proved": site.proved("/<*>", missing),
    "an expression that is not certified": {
      ...proved,
      headers: proved.headers.map(([name, value]) => [
        name,
        name === "IC-CertificateExpression" ? NOTHING_CERTIFIED : value,
      ]),
    },
    "another canister's certificate": certificate((value) => value.replace("CERTIFICATE", elsewhere.beside)),
    "another network's certificate": certificate((value) => value.replace("CERTIFICATE", elsewhere.foreign)),
    "a certificate that is none": certificate((value) => value.replace("CERTIFICATE", "AAAA")),
    "a tree that is none": certificate((value) => value.replace(/tree=:[^:]*:/, "tree=:AAAA:")),
    "a version that is none": certificate((value) => value.replace("version=2", "version=3")),
    "a status that is none": { ...proved, status: 101 },
  };
  await certifier.answer("GET /good", proved);
  t.equal((await get("/good")).status, 200, "the unchanged answer is served");
  for (const [what, answer] of Object.entries(wrong)) {
    await certifier.answer("GET /good", answer);
    const { status, body, headers } = await get("/good");
    t.equal(status, 503, what);
    t.equal(headers["ic-certificate"], undefined);
    t.notMatch(body.toString(), /^evil|not here/, "nothing of the wrong answer is served");
  }
  t.match(log.join("\n"), "gateway: GET /good: The response failed verification");
});

/** Certificates (base64) of other canisters over the same data: one beside ours, and one with our id on another network. */
async function certificatesElsewhere(t: Test, site: Site, good: HttpAnswer) {
  const foreign = await startNetwork(t);
  const beside = await deploy(certifier.agent, certifierWasm());
  const foreignAgent = await agentFor(foreign);
  const same = await deploy(foreignAgent, certifierWasm(), canister.toText());
  const certificateOf = async (agent: HttpAgent, id: Principal, server: string) => {
    const other = certifierAt(agent, id);
    await other.actor.certify(site.root);
    await other.answer("GET /good", good);
    const { status, headers } = await ask(server, `${id}.localhost`, "/good");
    t.equal(status, 200, "the answer is valid from its own canister");
    return /certificate=:([^:]+):/.exec(String(headers["ic-certificate"]))![1]!;
  };
  return {
    beside: await certificateOf(certifier.agent, beside, url),
    foreign: await certificateOf(foreignAgent, same, foreign.url),
  };
}

t.test("requests that get no answer from a canister get an error status", async (t) => {
  t.equal((await ask(url, "rrkah-fqaaa-aaaaa-aaaaq-cai.localhost", "/")).status, 404, "no such canister");
  const trapped = await get("/no-answer");
  t.match(
    { ...trapped, body: trapped.body.toString() },
    { status: 503, body: /no answer to GET \/no-answer/ },
  );
  t.equal((await ask(url, `${canister}.raw.localhost`, "/")).status, 400, "nothing is served unverified");
  t.equal((await ask(url, "localhost", "/?canisterId=nonsense")).status, 400);
  t.equal((await get("*", { method: "OPTIONS" })).status, 400);
  t.equal((await get("/", { headers: { "X-Name": "\u00e4" } })).status, 400);
  for (const slash of ["/", "%2F"])
    t.match(
      await get(`/a${`${slash}a`.repeat(2100)}`),
      { status: 414 },
      "a path that would take seconds to verify is refused",
    );
  t.match(await get("/a".repeat(2100)), { status: 503 }, "the longest allowed path reaches the canister");
  t.match(await get("/no-answer", { method: "HEAD" }), { status: 503, body: Buffer.alloc(0) });
});
