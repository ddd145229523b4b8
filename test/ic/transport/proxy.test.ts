/** Which proxy a request goes through, and which values are refused as proxies. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { chooseProxy, type ForwardProxy, isExcepted, proxyOption } from "../../../lib/ic/transport/proxy.ts";
import { temporaryDirectory } from "../../support/icfs.ts";

const IC = new URL("https://icp-api.io");

t.test("the environment's proxy goes by the network's protocol, lower case before upper case", (t) => {
  const chosen = (env: NodeJS.ProcessEnv, url = IC.href) => {
    const { proxy, because } = chooseProxy(new URL(url), env, { proxy: undefined, exceptions: undefined });
    return proxy === undefined ? because : `${proxy.url.origin} ${proxy.from}`;
  };
  t.equal(chosen({}), undefined);
  t.equal(chosen({ HTTPS_PROXY: "http://a:1" }), "http://a:1 HTTPS_PROXY");
  t.equal(chosen({ HTTPS_PROXY: "http://a:1", https_proxy: "b:2" }), "http://b:2 https_proxy");
  t.equal(chosen({ HTTPS_PROXY: "http://a:1", https_proxy: "" }), "http://a:1 HTTPS_PROXY", "empty");
  t.equal(chosen({ HTTP_PROXY: "http://a:1" }), undefined, "the variable for another protocol is ignored");
  t.equal(chosen({ HTTP_PROXY: "https://a:1" }, "http://gateway.example"), "https://a:1 HTTP_PROXY");
  t.equal(chosen({ HTTPS_PROXY: "a", NO_PROXY: "x, icp-api.io" }), "NO_PROXY has icp-api.io");
  t.equal(chosen({ HTTPS_PROXY: "a", NO_PROXY: "*", no_proxy: "x" }), "http://a HTTPS_PROXY");
  const env = { https_proxy: "a", http_proxy: "a" };
  for (const host of ["127.0.0.1", "127.1.2.3", "[::1]", "localhost", "name.localhost"]) {
    for (const protocol of ["http", "https"]) {
      t.match(chosen(env, `${protocol}://${host}:4943`), /this host is never asked through a proxy/);
    }
  }
  t.end();
});

t.test("the option goes before the environment, but not for this host", (t) => {
  const option = proxyOption("http://o:1", true)!;
  const env = { HTTPS_PROXY: "http://a:1", NO_PROXY: "*" };
  const given = { proxy: option, exceptions: undefined };
  t.equal(chooseProxy(IC, env, given).proxy, option);
  t.equal(chooseProxy(new URL("http://localhost"), env, given).proxy, undefined);
  t.equal(proxyOption("none", true), undefined);
  const none = { proxy: "none", exceptions: undefined } as const;
  t.same(chooseProxy(IC, { HTTPS_PROXY: "http://a" }, none), { because: "--proxy none says so" });
  t.same(chooseProxy(IC, {}, none), {});
  t.end();
});

t.test(
  "--noproxy lists exceptions of the option's proxy and of the environment's, in place of NO_PROXY",
  (t) => {
    const proxy = proxyOption("http://o:1", true)!;
    const chosen = (
      env: NodeJS.ProcessEnv,
      exceptions: string,
      option?: ForwardProxy,
      url = "http://cache.site",
    ) => {
      const choice = chooseProxy(new URL(url), env, { proxy: option, exceptions });
      return choice.proxy === undefined ? choice.because : choice.proxy.url.origin;
    };
    t.equal(chosen({}, "10.0.0.0/8, .site", proxy), "--noproxy has cache.site");
    t.equal(chosen({}, "10.0.0.0/8,.site", proxy, IC.href), "http://o:1");
    t.equal(chosen({}, "10.0.0.0/8,.site", proxy, "http://10.1.2.3:8080"), "--noproxy has 10.1.2.3");
    t.equal(chosen({ HTTP_PROXY: "http://a:1" }, "cache.site"), "--noproxy has cache.site");
    t.equal(chosen({ HTTP_PROXY: "http://a:1", NO_PROXY: "cache.site" }, "elsewhere"), "http://a:1");
    t.equal(chosen({}, "cache.site"), undefined, "without a proxy there are no exceptions");
    t.end();
  },
);

t.test("hosts that NO_PROXY matches, and hosts that it does not", (t) => {
  const has: Record<string, string[]> = {
    "https://a.example.com": [
      "*",
      "example.com",
      ".example.com",
      "*.example.com",
      "A.Example.COM",
      "x example.com,y",
      "example.com:443",
      "a.example.com.",
    ],
    "https://example.com": ["example.com", ".example.com"],
    "http://a.example.com:8080": ["example.com:8080"],
    "http://a.example.com": ["example.com:80"],
    "https://10.1.2.3": ["10.1.2.3", "10.0.0.0/8", "10.1.2.3:443", "0.0.0.0/0"],
    "https://[fd00::1]": ["fd00::1", "[fd00::1]", "[fd00:0::1]:443", "fd00::/8", "[fd00::]/8"],
  };
  const hasNot: Record<string, string[]> = {
    "https://a.example.com": [
      "",
      ",",
      ".",
      "*.",
      "b.example.com",
      "ample.com",
      "example.com:80",
      "example.co",
      "*.com.example",
    ],
    "https://10.1.2.3": [
      "10.1.2.4",
      "1.2.3",
      "11.0.0.0/8",
      "10.0.0.0/33",
      "10.0.0.0/x",
      "10.0.0.0/",
      "11.0.0.0/",
      "fd00::/8",
      "10.1.2.3:80",
    ],
    "https://[fd00::1]": ["fd00::2", "fe00::/8", "0.0.0.0/0"],
  };
  for (const [url, lists] of Object.entries(has)) {
    for (const list of lists) t.equal(isExcepted(new URL(url), list), true, `${url}: ${list}`);
  }
  for (const [url, lists] of Object.entries(hasNot)) {
    for (const list of lists) t.equal(isExcepted(new URL(url), list), false, `${url}: ${list}`);
  }
  t.end();
});

const loginOf = ({ authorization }: ForwardProxy) =>
  authorization && Buffer.from(authorization.slice("Basic ".length), "base64").toString();

t.test("a login may be in a file or the environment, but a password may not be in the option", async (t) => {
  const directory = await temporaryDirectory(t);
  const file = join(directory, "proxy");
  await writeFile(file, "http://us%40er:p%3Ass@proxy.example:3128\n", { mode: 0o600 });
  const proxy = proxyOption(file, true)!;
  t.equal(loginOf(proxy), "us@er:p:ss");
  t.match(proxy, { url: new URL("http://proxy.example:3128"), from: `--proxy ${file}` });
  await chmod(file, 0o640);
  t.throws(() => proxyOption(file, true), {
    message: /can be read by users other than its owner: run `chmod 600 /,
  });
  await writeFile(file, "http://proxy.example:3128");
  t.equal(loginOf(proxyOption(file, true)!), undefined, "a file without a login");
  t.equal(loginOf(proxyOption("http://user:word@proxy", false)!), "user:word", "a login in the environment");
  t.equal(loginOf(proxyOption("http://user@proxy", true)!), "user:", "a login without a password");
  t.throws(() => proxyOption("user:secret@proxy:3128", true), {
    name: "UserError",
    message: /^--proxy has a password, which everybody on this host could read .* --proxy FILE .*ICFS_PROXY/,
  });
  await mkdir(join(directory, "d"));
  for (const [name, message] of [
    ["gone", /^--proxy: cannot read .*ENOENT/],
    ["d", /is not a file with a proxy's URL/],
  ] as const) {
    t.throws(() => proxyOption(join(directory, name), true), { name: "UserError", message });
  }
  await writeFile(file, "first\nsecond\n");
  t.throws(() => proxyOption(file, true), { message: /is not a proxy: use a URL such as/ });
});

t.test("an invalid proxy is refused, without its login in the message", (t) => {
  const wrong = [
    "",
    "http://",
    "socks5://user:secret@proxy:1080",
    "http://user:secret@",
    "user:secret@proxy:99999",
    "http://us er:secret@proxy",
    "http://user:sec%ret@proxy",
    "http://user:sec/ret@pro xy",
    // A slash ends the host: "user" would be looked up as a host's name, and shown in messages.
    "http://user:1/secret@proxy:3128",
  ];
  for (const text of wrong) {
    t.throws(() => proxyOption(text, false), { name: "UserError", message: /^--proxy: / }, text);
    try {
      proxyOption(text, false);
    } catch (error) {
      t.notMatch((error as Error).message, /secret|sec%|user/);
    }
  }
  t.end();
});
