/** What the check of the proxy reports: no proxy, one that lets connections through, and one that refuses them. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import { proxy } from "../../lib/doctor/proxy.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { useConnections } from "../../lib/ic/transport/connections.ts";
import { exactly } from "../support/exactly.ts";
import { hostWith } from "../support/hosts.ts";

const VARIABLES = ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];

/** Sets the proxy by these variables alone. */
function goBy(t: Test, env: Record<string, string>): void {
  for (const name of [...VARIABLES, ...VARIABLES.map((one) => one.toLowerCase())]) delete process.env[name];
  Object.assign(process.env, env);
  useConnections({}, false);
  t.teardown(() => {
    for (const name of VARIABLES) delete process.env[name];
    useConnections({}, false);
  });
}

/** Starts a proxy that answers CONNECT with this status. @returns its URL */
async function startProxy(t: Test, status: string): Promise<string> {
  const server = createServer().on("connect", (_, socket) => socket.end(`HTTP/1.1 ${status}\r\n\r\n`));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const found = async (t: Test, network = "ic") =>
  proxy.run(await hostWith(t, {}, { network: resolveNetwork(network) }));

t.test("no proxy", async (t) => {
  goBy(t, {});
  t.same(await found(t), []);
  goBy(t, { HTTPS_PROXY: "http://user:secret@proxy.example", NO_PROXY: ".io" });
  t.same(await found(t), [{ level: "ok", message: "none for https://icp-api.io: NO_PROXY has icp-api.io" }]);
  t.match(
    await found(t, "https://localhost:1"),
    exactly({ level: "ok", message: /on this host is never asked through/ }),
  );
});

t.test("a proxy that lets connections through, and where else it must be configured", async (t) => {
  const url = await startProxy(t, "200 OK");
  goBy(t, { HTTPS_PROXY: url.replace("//", "//user:secret@") });
  const message = `https://icp-api.io is asked through ${url} (HTTPS_PROXY); a mount by mount(8) takes proxy= in /etc/fstab, and icfs@.service the variables in its file`;
  t.same(await found(t), [{ level: "ok", message }]);
  useConnections({ proxy: url }, false);
  t.same(await found(t), [{ level: "ok", message: `https://icp-api.io is asked through ${url} (--proxy)` }]);
  t.match(await found(t, "http://gateway.example"), exactly({ level: "ok", message: /is asked through/ }));
  useConnections({ proxy: url, noproxy: "cache.example,gateway.example" }, false);
  t.same(await found(t, "http://gateway.example"), [
    { level: "ok", message: "none for http://gateway.example: --noproxy has gateway.example" },
  ]);
});

t.test("a proxy that refuses, is down, or does not speak HTTP", async (t) => {
  const url = await startProxy(t, "407 Proxy Authentication Required");
  goBy(t, { HTTPS_PROXY: url });
  t.match(
    await found(t),
    exactly({ level: "fail", message: /407: it wants a login$/, advice: /in its URL/ }),
  );
  goBy(t, { HTTPS_PROXY: "http://127.0.0.1:1" });
  t.match(
    await found(t),
    exactly({ level: "fail", message: /ECONNREFUSED/, advice: /check whether it runs/ }),
  );
  goBy(t, { HTTPS_PROXY: "socks5://user:secret@proxy" });
  await t.rejects(found(t), { message: /^HTTPS_PROXY: socks5:\/\/proxy is not an HTTP proxy/ });
});

t.test("with several gateways, the proxy of each is checked", async (t) => {
  const url = await startProxy(t, "200 OK");
  goBy(t, { HTTPS_PROXY: url, NO_PROXY: "near.example" });
  const list = "ic,https://near.example,https://127.0.0.1:1,http://plain.example,https://far.example:8443";
  t.match(
    await found(t, list),
    exactly(
      { level: "ok", message: /^https:\/\/icp-api\.io is asked through / },
      { level: "ok", message: "none for https://near.example: NO_PROXY has near.example" },
      { level: "ok", message: /^none for https:\/\/127\.0\.0\.1:1: / },
      { level: "ok", message: /^https:\/\/far\.example:8443 is asked through / },
    ),
  );
  goBy(t, { HTTPS_PROXY: "http://127.0.0.1:1", NO_PROXY: "near.example" });
  const one = { level: "warn", message: /ECONNREFUSED/ };
  t.match(
    await found(t, "ic,https://near.example"),
    exactly(one, { level: "ok" }),
    "a dead proxy is only a warning while another gateway needs no proxy",
  );
  t.match(await found(t, "ic,https://far.example"), exactly({ level: "fail" }, { level: "fail" }));
});
