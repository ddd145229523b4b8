/** Requests through proxies, good and bad, and TLS with authorities of one's own. test/cli/proxy.long.ts has what only squid can show. */
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import t, { type Test } from "tap";
import { isHopeless, type NoAnswerError } from "../../../lib/ic/call-errors.ts";
import { networkProblem } from "../../../lib/ic/network-problem.ts";
import { boundedFetch } from "../../../lib/ic/transport/bounded-fetch.ts";
import { useConnections } from "../../../lib/ic/transport/connections.ts";
import { temporaryDirectory } from "../../support/icfs.ts";
import { makeAuthority } from "../../support/private-authority.ts";

/** Only the proxies here know this name. */
const HOST = "gateway.test";
/** CBOR: a byte string. */
const ANSWER = Buffer.from("43010203", "hex");
/** Milliseconds to wait for something that must come: a busy machine is late. */
const LONG = 30_000;

const directory = await temporaryDirectory(t);
const authority = await makeAuthority(directory);
const server = await authority.certify(HOST);

async function listen(
  t: Pick<Test, "teardown">,
  server: Server | ReturnType<typeof createTcpServer>,
): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A network that gives every request the same answer by TLS, and counts its requests. */
async function startTls(t: Pick<Test, "teardown">, certified = server) {
  let requests = 0;
  const tls = createSecureServer({ key: certified.key, cert: certified.cert }, (_, response) => {
    requests += 1;
    response.end(ANSWER);
  });
  const port = await listen(t, tls);
  return { url: `https://${HOST}:${port}/`, requests: () => requests };
}

const network = await startTls(t);

type Connected = (socket: Duplex, authority: string, authorization: string | undefined) => void;

/** Opens tunnels to this machine, whatever name is asked for. */
const tunnel: Connected = (socket, authority) => {
  const there = connect(Number(authority.split(":")[1]), "127.0.0.1", () => {
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    socket.pipe(there).pipe(socket);
  });
  there.on("error", () => socket.destroy());
  socket.on("error", () => there.destroy()).on("close", () => there.destroy());
};

/** A proxy that does as it is told when a client asks for a tunnel or a page. */
async function startProxy(
  t: Pick<Test, "teardown">,
  connected: Connected,
  listener: RequestListener = () => {},
) {
  const asked: { authority: string; authorization: string | undefined }[] = [];
  const open = new Set<Duplex>();
  const proxy = createServer(listener);
  proxy.on("connect", (request, socket) => {
    open.add(socket);
    // When the client has ended, the proxy has nothing more to send.
    socket.on("close", () => open.delete(socket)).on("end", () => socket.destroy());
    socket.resume();
    const { "proxy-authorization": authorization } = request.headers;
    asked.push({ authority: request.url!, authorization });
    connected(socket, request.url!, authorization);
  });
  return { url: `http://127.0.0.1:${await listen(t, proxy)}`, asked, open };
}

/** Uses these options, and no others, to the end of the test. */
function through(
  t: Pick<Test, "teardown">,
  proxy: string,
  caBundle: string | undefined = authority.file,
): void {
  useConnections({ proxy, ...(caBundle === undefined ? {} : { caBundle }) }, false);
  t.teardown(() => useConnections({}, false));
}

/** The error with which a request ends. */
async function failure(url = network.url, idle = LONG): Promise<NoAnswerError> {
  return boundedFetch(url, undefined, { idle }).then(
    () => {
      throw new Error("there was an answer");
    },
    (error) => error,
  );
}

/** The message that people read about it. */
function said(error: Error, url = network.url): string {
  const { message, advice } = networkProblem({ url, loopback: false }, error);
  return `${message}: ${advice}`;
}

t.test("one tunnel serves many requests, with the login", async (t) => {
  const proxy = await startProxy(t, tunnel);
  through(t, proxy.url.replace("//", "//us%40er:p%3Ass@"));
  const before = network.requests();
  for (let i = 0; i < 3; i++) {
    const response = await boundedFetch(network.url, undefined, { idle: LONG });
    t.ok(Buffer.from(await response.arrayBuffer()).equals(ANSWER));
  }
  t.equal(network.requests(), before + 3);
  const authorization = `Basic ${Buffer.from("us@er:p:ss").toString("base64")}`;
  t.same(proxy.asked, [{ authority: new URL(network.url).host, authorization }]);
});

t.test("the environment's proxy is used, except for hosts in NO_PROXY", async (t) => {
  const proxy = await startProxy(t, tunnel);
  const set = (env: Record<string, string>) => {
    for (const name of ["HTTPS_PROXY", "NO_PROXY"]) delete process.env[name];
    Object.assign(process.env, env);
    useConnections({ caBundle: authority.file }, false);
  };
  t.teardown(() => set({}));
  set({ HTTPS_PROXY: proxy.url });
  t.equal((await boundedFetch(network.url, undefined, { idle: LONG })).status, 200);
  t.equal(proxy.asked.length, 1);
  set({ HTTPS_PROXY: proxy.url, NO_PROXY: ".test" });
  t.match(await failure(), { cause: { code: /^(ENOTFOUND|EAI_AGAIN)$/ } });
  t.equal(proxy.asked.length, 1);
  set({ HTTPS_PROXY: "ftp://user:secret@proxy" });
  t.match(await failure(), {
    name: "UserError",
    message: /^HTTPS_PROXY: ftp:\/\/proxy is not an HTTP proxy/,
  });
});

t.test("without TLS the proxy gets the request itself", async (t) => {
  let asked: unknown[] = [];
  let status = 200;
  const proxy = await startProxy(t, tunnel, ({ method, url, headers }, response) => {
    asked = [method, url, headers.host, headers["proxy-authorization"]];
    response.writeHead(status, { "content-type": "text/html" }).end(status === 200 ? ANSWER : "<html>");
  });
  through(t, proxy.url.replace("//", "//a:b@"));
  const url = `http://${HOST}/api/v2/status`;
  t.equal((await boundedFetch(url, undefined, { idle: LONG })).status, 200);
  t.same(asked, ["GET", url, HOST, `Basic ${Buffer.from("a:b").toString("base64")}`]);
  status = 407;
  const error = await failure(url);
  t.ok(isHopeless(error));
  t.match(
    said(error, url),
    /says HTTP status 407: it does not accept the login .*\): correct the login in --proxy$/,
  );
});

t.test("when a proxy refuses, the error says what to do", async (t) => {
  const says =
    (head: string): Connected =>
    (socket) =>
      socket.end(`HTTP/1.1 ${head}\r\n\r\n`);
  const html = "\r\ncontent-type: text/html\r\n\r\n<html><title>Login</title>";
  const cases: [name: string, head: string, hopeless: boolean, said: RegExp][] = [
    [
      "no login",
      "407 Proxy Authentication Required",
      true,
      /says HTTP status 407: it wants a login\): give it the login in its URL, .*ICFS_PROXY/,
    ],
    [
      "forbidden",
      "403 Forbidden",
      true,
      /opens no tunnel to gateway\.test:\d+: HTTP status 403 Forbidden\): have whoever runs it/,
    ],
    [
      "no proxy",
      `405 Method Not Allowed${html}`,
      true,
      /HTTP status 405 Method Not Allowed, with a page of HTML\): .* if that is no proxy/,
    ],
    [
      "not there",
      "503 Service Unavailable\r\nx-squid-error: ERR_DNS_FAIL 0",
      false,
      /503 Service Unavailable \(ERR_DNS_FAIL\)\): it cannot get there now/,
    ],
    ["too many", "429 Too Many Requests", false, /429/],
    [
      "a portal",
      `200 OK${html}`,
      true,
      /answers with a page in place of a tunnel to gateway\.test:\d+\): log in at the portal/,
    ],
    [
      "a page that is not said to be one",
      "200 OK\r\n\r\n<html>",
      true,
      /answers with a page in place of a tunnel/,
    ],
  ];
  for (const [name, head, hopeless, message] of cases) {
    const proxy = await startProxy(t, says(head));
    through(t, proxy.url.replace("//", "//user@"));
    const error = await failure();
    t.equal(isHopeless(error), hopeless, name);
    if (name !== "no login") t.match(said(error), message, name);
    else t.match(said(error), /it does not accept the login that it was given/, "a wrong one");
    t.notMatch(said(error), /user/, "the error does not show the login");
    through(t, proxy.url);
    t.match(said(await failure()), message, name);
  }
});

t.test("a tunnel without TLS, or with an unknown authority's certificate, is refused", async (t) => {
  const page = await startProxy(t, (socket) => {
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\n\r\n<html>"));
  });
  through(t, page.url);
  t.match(
    said(await failure()),
    /\(TLS: .*, through the proxy http:\/\/127\.0\.0\.1:\d+\): what comes through the proxy is not TLS/,
  );

  const proxy = await startProxy(t, tunnel);
  through(t, proxy.url, (await makeAuthority(directory, "other")).file);
  const error = await failure();
  t.ok(isHopeless(error));
  t.match(
    said(error),
    /, through the proxy .*\): its TLS certificate is not trusted on this host: .*--ca-bundle FILE/,
  );
  const other = await startTls(t, await authority.certify("other.test"));
  through(t, proxy.url);
  t.match(said(await failure(other.url)), /Hostname\/IP does not match .*its TLS certificate is not trusted/);
});

t.test("a proxy that is down, is not a proxy, or sends half an answer", async (t) => {
  through(t, "http://127.0.0.1:1");
  const down = await failure();
  t.notOk(isHopeless(down), "waiting for a proxy that is down is not hopeless");
  t.match(
    said(down),
    /the proxy http:\/\/127\.0\.0\.1:1 \(--proxy\) does not answer: connect ECONNREFUSED .*\): check whether it runs/,
  );
  through(t, "http://no-such-proxy.invalid:3128");
  t.match(
    said(await failure()),
    /the proxy http:\/\/no-such-proxy\.invalid:3128 \(--proxy\) does not answer: getaddrinfo E/,
  );
  const answers: [text: string, message: RegExp][] = [
    ["SSH-2.0-OpenSSH_9.2\r\n", /Parse Error.*: what is there does not speak HTTP/],
    ["HTTP/1.1 200", /does not answer: /],
    [`HTTP/1.1 200 OK\r\nx: ${"x".repeat(100_000)}`, /Header overflow/],
  ];
  for (const [text, message] of answers) {
    const odd = createTcpServer((socket) => socket.once("data", () => socket.end(text)));
    through(t, `http://127.0.0.1:${await listen(t, odd)}`);
    t.match(said(await failure()), message);
  }
});

t.test("a request through a silent or dripping proxy times out, and its connection is closed", async (t) => {
  for (const connected of [
    () => {},
    (socket: Duplex) => {
      // A header without an end.
      socket.write("HTTP/1.1 200 OK\r\nx: ");
      const timer = setInterval(() => socket.write("x"), 20);
      socket.on("close", () => clearInterval(timer));
    },
  ] satisfies Connected[]) {
    const proxy = await startProxy(t, connected);
    through(t, proxy.url);
    const error = await failure(network.url, 300);
    t.match(error.message, /^no answer within 0\.3 s through the proxy http:\/\/127\.0\.0\.1:\d+$/);
    while (proxy.open.size > 0) await new Promise(setImmediate);
  }
  // A tunnel to a gateway that does not answer is no better.
  const silent = createTcpServer(() => {});
  const port = await listen(t, silent);
  const proxy = await startProxy(t, tunnel);
  through(t, proxy.url);
  t.match(
    (await failure(`https://${HOST}:${port}`, 300)).message,
    /^no answer within 0\.3 s through the proxy/,
  );
  while (proxy.open.size > 0) await new Promise(setImmediate);
});

t.test("a proxy that speaks TLS itself", async (t) => {
  const secured = await authority.certify("localhost");
  let asked = 0;
  const proxy = createSecureServer({ key: secured.key, cert: secured.cert });
  proxy.on("connect", (request, socket) => {
    asked += 1;
    tunnel(socket, request.url!, undefined);
  });
  const url = `https://localhost:${await listen(t, proxy)}`;
  through(t, url);
  t.equal((await boundedFetch(network.url, undefined, { idle: LONG })).status, 200);
  t.equal(asked, 1);
  through(t, url, (await makeAuthority(directory, "others")).file);
  const error = await failure();
  t.ok(isHopeless(error));
  t.match(said(error), /the proxy https:\/\/localhost:\d+ \(--proxy\) does not answer: unable to verify/);
});

t.test("this host is never asked through a proxy", async (t) => {
  const proxy = await startProxy(t, tunnel);
  through(t, proxy.url);
  const here = createServer((_, response) => response.end(ANSWER));
  const port = await listen(t, here);
  for (const name of ["127.0.0.1", "canister.localhost"])
    t.equal((await boundedFetch(`http://${name}:${port}/`, undefined, { idle: LONG })).status, 200, name);
  t.same(proxy.asked, []);
});
