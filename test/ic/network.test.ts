import { mkdir, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { Cbor, IC_ROOT_KEY } from "@icp-sdk/core/agent";
import t from "tap";
import { gatewayStatuses, resolveNetwork, rootKeyOf } from "../../lib/ic/network.ts";
import { exactly } from "../support/exactly.ts";
import { HUNG, temporaryDirectory } from "../support/icfs.ts";
import { server } from "./servers.ts";

const IC_KEY = Buffer.from(IC_ROOT_KEY, "hex");

t.test("names and URLs", async (t) => {
  t.match(resolveNetwork("ic"), { name: "ic", url: "https://icp-api.io", loopback: false });
  t.match(resolveNetwork("local"), { name: "local", url: "http://127.0.0.1:4943", loopback: true });
  const cases: [url: string, resolved: string, loopback: boolean][] = [
    ["http://127.0.0.1:8080/", "http://127.0.0.1:8080", true],
    ["http://127.9.8.7", "http://127.9.8.7", true],
    ["http://127.1:8080", "http://127.0.0.1:8080", true],
    ["http://[::1]:4943", "http://[::1]:4943", true],
    ["http://localhost:4943", "http://localhost:4943", true],
    ["http://canister.localhost:4943//", "http://canister.localhost:4943", true],
    ["https://gateway.example/ic/", "https://gateway.example/ic", false],
    ["http://127.0.0.1.example", "http://127.0.0.1.example", false],
    ["http://localhost.example", "http://localhost.example", false],
    ["http://notlocalhost", "http://notlocalhost", false],
    ["http://localhost@192.0.2.1", "http://localhost@192.0.2.1", false],
    ["http://0.0.0.0:4943", "http://0.0.0.0:4943", false],
    ["http://192.168.1.10:4943", "http://192.168.1.10:4943", false],
  ];
  for (const [name, url, loopback] of cases)
    t.same(resolveNetwork(name), { name, gateways: [url], url, loopback });
  // Spellings that people use.
  for (const name of ["IC", "Ic", " ic "]) t.same(resolveNetwork(name), resolveNetwork("ic"), name);
  for (const name of ["Local", "LOCAL", "local\n"])
    t.same(resolveNetwork(name), resolveNetwork("local"), name);
  const written: [name: string, url: string, loopback: boolean][] = [
    ["127.0.0.1:4943", "http://127.0.0.1:4943", true],
    ["localhost:8080", "http://localhost:8080", true],
    ["LOCALHOST:8080/", "http://localhost:8080", true],
    ["[::1]:4943", "http://[::1]:4943", true],
    ["192.168.1.10:4943", "https://192.168.1.10:4943", false],
    ["gateway.example:8443", "https://gateway.example:8443", false],
    ["HTTP://127.0.0.1:4943", "http://127.0.0.1:4943", true],
  ];
  for (const [name, url, loopback] of written) t.match(resolveNetwork(name), { url, loopback }, name);
  for (const name of [
    "",
    "mainnet",
    "127.0.0.1:99999",
    "127.0.0.1:4943:1",
    "a b:80",
    "ftp://127.0.0.1",
    "file:///etc/passwd",
    "http://",
  ]) {
    t.throws(() => resolveNetwork(name), {
      name: "UserError",
      message: `unknown network "${name}": use ic, local, HOST:PORT, or a URL such as http://127.0.0.1:4943`,
    });
  }
});

t.test("several gateways of one network", async (t) => {
  const [a, b] = ["http://127.0.0.1:8000", "https://gateway.example"];
  t.same(resolveNetwork(`${a},${b}`), {
    name: `${a},${b}`,
    gateways: [a, b],
    url: `${a},${b}`,
    loopback: false,
  });
  t.match(resolveNetwork(` ${a}/ , 127.0.0.1:8001,[::1]:8002`), {
    gateways: exactly(a, "http://127.0.0.1:8001", "http://[::1]:8002"),
    loopback: true,
  });
  t.match(resolveNetwork("ic,https://gateway.example"), {
    name: `ic,${b}`,
    gateways: exactly("https://icp-api.io", b),
    loopback: false,
  });
  t.match(resolveNetwork(`local,${a}`), { gateways: exactly("http://127.0.0.1:4943", a), loopback: true });
  t.same(
    resolveNetwork(`${a},${b},${a}/,${b}`),
    resolveNetwork(`${a},${b}`),
    "a repeated gateway counts once",
  );
  t.same(resolveNetwork("ic,IC,https://icp-api.io"), resolveNetwork("ic"));
  for (const given of [`${a},`, `,${a}`, `${a},,${b}`, ",", " , "]) {
    t.throws(() => resolveNetwork(given), {
      name: "UserError",
      message: `the network "${given}" has an empty part: separate its gateways by single commas`,
    });
  }
  t.throws(() => resolveNetwork(`${a},mainnet`), {
    message: `unknown network "mainnet" in "${a},mainnet": use ic, local, HOST:PORT, or a URL such as http://127.0.0.1:4943`,
  });
});

t.test("a silent gateway is asked only until another answers", async (t) => {
  const ended = Promise.withResolvers<void>();
  const silent = await server(t, (response) => void response.on("close", ended.resolve));
  const answers = await server(
    t,
    (response) => void response.end(Cbor.encode({ root_key: IC_KEY } as never)),
  );
  const network = resolveNetwork(`${silent.url},${answers.url}`);
  t.same([...(await gatewayStatuses(network, "first", HUNG)).keys()], [answers.url]);
  await ended.promise;
});

t.test("the root key of several gateways", async (t) => {
  const otherKey = Uint8Array.from(IC_KEY).fill(7, -8);
  const saying = (rootKey: Uint8Array) => (response: ServerResponse) =>
    response.end(Cbor.encode({ root_key: Uint8Array.from(rootKey) } as never));
  const one = await server(t, saying(IC_KEY));
  const same = await server(t, saying(IC_KEY));
  const other = await server(t, saying(otherKey));
  const silent = await server(t, () => {});
  const keyOf = (...urls: string[]) => rootKeyOf(resolveNetwork(urls.join(",")), undefined);
  const gone = "http://127.0.0.1:1";
  t.same(
    Buffer.from(await keyOf(gone, silent.url, one.url, same.url)),
    IC_KEY,
    "the gateways that answer give the root key",
  );
  await t.rejects(keyOf(one.url, gone, other.url), {
    name: "UserError",
    message: `${one.url} and ${other.url} are gateways of different networks, with different root keys: name the gateways of one network only, or give its root key with --root-key`,
  });
  await t.rejects(keyOf(gone, "http://127.0.0.1:2"), {
    name: "UserError",
    message:
      /^no network answers at http:\/\/127.0.0.1:1 \(.*\); no network answers at http:\/\/127.0.0.1:2 \(.*\): start one/,
  });
  one.asked.length = 0;
  t.same(
    Buffer.from(await keyOf("ic", one.url)),
    IC_KEY,
    "the IC's root key is built in, even when another gateway is on this host",
  );
  await t.rejects(keyOf(one.url, "https://gateway.example"), { message: /it is fetched from loopback/ });
  t.same(one.asked, [], "the root key is fetched only if all gateways are on this host");
});

t.test("the IC's root key is built in, and a loopback network's is fetched", async (t) => {
  t.same(Buffer.from(await rootKeyOf(resolveNetwork("ic"), undefined)), IC_KEY);
  const { url, asked } = await server(t, (response) =>
    response.end(Cbor.encode({ root_key: new Uint8Array(IC_KEY) } as never)),
  );
  t.same(Buffer.from(await rootKeyOf(resolveNetwork(url), undefined)), IC_KEY);
  t.same(asked, ["/api/v2/status"]);
  t.same(Buffer.from(await rootKeyOf(resolveNetwork(url), IC_ROOT_KEY)), IC_KEY);
  t.equal(asked.length, 1, "a given root key is not fetched");
});

t.test("any other network's root key is never fetched", async (t) => {
  const { port, asked } = await server(t, (response) => response.end());
  // This address reaches the server, but is not a loopback address.
  const network = resolveNetwork(`http://0.0.0.0:${port}`);
  t.equal((await fetch(network.url)).status, 200);
  asked.length = 0;
  await t.rejects(rootKeyOf(network, undefined), {
    name: "UserError",
    message: `the root key of ${network.url} is not known: give it with --root-key HEX|FILE (it is fetched from loopback networks only)`,
  });
  t.same(asked, []);
});

t.test("a root key is given in hexadecimal, or as a file in hexadecimal or binary", async (t) => {
  const directory = await temporaryDirectory(t);
  const network = resolveNetwork("https://gateway.example");
  const files: Record<string, Buffer | string> = {
    hex: IC_ROOT_KEY,
    "with a newline": `${IC_ROOT_KEY}\n`,
    "in capitals": `  ${IC_ROOT_KEY.toUpperCase()}\r\n`,
    binary: IC_KEY,
  };
  t.same(Buffer.from(await rootKeyOf(network, IC_ROOT_KEY.toUpperCase())), IC_KEY);
  for (const [name, content] of Object.entries(files)) {
    const file = join(directory, name);
    await writeFile(file, content);
    t.same(Buffer.from(await rootKeyOf(network, file)), IC_KEY, name);
  }
});

t.test("invalid root keys are refused", async (t) => {
  const directory = await temporaryDirectory(t);
  const network = resolveNetwork("https://gateway.example");
  await mkdir(join(directory, "directory"));
  const cases: [given: string | Buffer, message: RegExp][] = [
    [IC_ROOT_KEY.slice(2), /--root-key: a key has 266 digits in hexadecimal, and this has 264/],
    ["00", /--root-key: a key has 266 digits in hexadecimal, and this has 2: give all of it, or the file/],
    ["", /is neither a key in hexadecimal nor a file/],
    [`0x${IC_ROOT_KEY}`, /--root-key: "0x\w+" is neither a key in hexadecimal nor a file: ENAMETOOLONG/],
    [join(directory, "nowhere"), /nor a file: ENOENT/],
    ["/dev/zero", /--root-key: "\/dev\/zero" is neither a key in hexadecimal nor a file: .* is not a file/],
    [join(directory, "directory"), /--root-key: \S+ is a directory: name the file in it/],
    [
      "00".repeat(133),
      /--root-key: this is not a root key: expected 133 bytes, a DER-encoded BLS12-381 public key/,
    ],
    [IC_KEY.subarray(0, 132), /this is not a root key/],
    [Buffer.concat([IC_KEY, Buffer.alloc(1)]), /this is not a root key/],
    [Buffer.alloc(0), /this is not a root key/],
    // The bare key, without its DER.
    [IC_KEY.subarray(37), /this is not a root key/],
  ];
  for (const [i, [given, message]] of cases.entries()) {
    const file = join(directory, String(i));
    if (typeof given !== "string") await writeFile(file, given);
    await t.rejects(rootKeyOf(network, typeof given === "string" ? given : file), {
      name: "UserError",
      message,
    });
  }
});
