/** Why a server does not answer as an IC network: the messages, from real answers. */
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Cbor } from "@icp-sdk/core/agent";
import t from "tap";
import { resolveNetwork, rootKeyOf } from "../../lib/ic/network.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { server } from "./servers.ts";

t.test("for a loopback server that is not a network, the error says what it is and what to do", async (t) => {
  const says = (status: number) => (response: ServerResponse) => response.writeHead(status).end("no");
  const cases: Record<string, [answer: (response: ServerResponse) => void, message: RegExp, path?: string]> =
    {
      "an error": [says(500), /says HTTP status 500: it is there, and cannot answer now/],
      "too busy": [says(429), /says HTTP status 429: it is there, and cannot answer now/],
      "one who refuses": [
        says(403),
        /says HTTP status 403: a proxy, a firewall or another server refuses this host/,
      ],
      "one who wants to know who asks": [
        says(401),
        /says HTTP status 401: a proxy, a firewall or another server/,
      ],
      "a proxy": [
        says(407),
        /says HTTP status 407: a proxy answers there, and wants a login: name it with --proxy/,
      ],
      "no such path": [
        says(404),
        /says HTTP status 404: something other than a network is there: correct --network/,
      ],
      "a path too many": [
        says(404),
        /127\.0\.0\.1:\d+\/ic says HTTP status 404: a network has no path after its port: --network http:\/\/127\.0\.0\.1:\d+$/,
        "/ic",
      ],
      "a detour": [
        (response) => response.writeHead(301, { location: "http://192.0.2.1/" }).end(),
        /it is sent elsewhere \(status 301\)\): something is there that does not answer as a network does/,
      ],
      "another server": [
        (response) => response.end("<html>"),
        /is not an IC network: its status cannot be read .*: another server, a proxy or a captive portal/,
      ],
      "a status without a key": [
        (response) => response.end(Cbor.encode({ a: 1 } as never)),
        /is not an IC network/,
      ],
      "a key of another kind": [
        (response) => response.end(Cbor.encode({ root_key: new Uint8Array(133) } as never)),
        /this is not a root key/,
      ],
      "a closed connection": [
        (response) => response.destroy(),
        /no network answers at .*something is there that does not answer as a network does, or not yet/,
      ],
      silence: [() => {}, /no network answers at .*no answer within .*: something is there/],
    };
  for (const [name, [answer, message, path = ""]] of Object.entries(cases)) {
    const { url } = await server(t, answer);
    const asked = rootKeyOf(resolveNetwork(`${url}${path}`), undefined);
    const error = await asked.then(
      () => undefined,
      (error) => error,
    );
    t.match(error, { name: "UserError", message }, name);
    t.notMatch(error.message, /icfs localnet/, "the error does not advise starting a local network");
  }
});

t.test("an untrusted certificate, and servers without TLS or HTTP", async (t) => {
  const directory = await temporaryDirectory(t);
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(directory, name)) as [string, string];
  const make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  execFileSync("openssl", [...make, "-keyout", key, "-out", cert, "-subj", "/CN=localhost"], {
    stdio: "ignore",
  });
  const secure = createSecureServer({ key: await readFile(key), cert: await readFile(cert) }, (_, response) =>
    response.end(),
  );
  await new Promise<void>((resolve) => secure.listen(0, resolve));
  t.teardown(() => {
    secure.closeAllConnections();
    secure.close();
  });
  const { port } = secure.address() as AddressInfo;
  const plain = await server(t, (response) => response.end());
  const failures: [url: string, message: RegExp][] = [
    [
      `https://127.0.0.1:${port}`,
      /\(self-signed certificate\): its TLS certificate is not trusted on this host: /,
    ],
    [
      `https://127.0.0.1:${plain.port}`,
      /^no network answers at \S+ \(TLS: wrong version number\): it does not speak TLS: say http:\/\/ in --network$/,
    ],
  ];
  for (const [url, message] of failures) {
    await t.rejects(rootKeyOf(resolveNetwork(url), undefined), { name: "UserError", message }, url);
  }
  // Other servers answer with a page, or in their own protocol.
  const mute = createServer().on("connection", (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"));
  await new Promise<void>((resolve) => mute.listen(0, resolve));
  t.teardown(() => void mute.close());
  const other = `http://127.0.0.1:${(mute.address() as AddressInfo).port}`;
  await t.rejects(rootKeyOf(resolveNetwork(other), undefined), {
    message: /: it does not speak HTTP: say https:\/\/ in --network, or correct --network$/,
  });
});

t.test("an address where nothing listens", async (t) => {
  await t.rejects(rootKeyOf(resolveNetwork("http://127.0.0.1:1"), undefined), {
    message:
      /^no network answers at http:\/\/127\.0\.0\.1:1 \(.*ECONNREFUSED.*\): start one with `icfs localnet`$/,
  });
});
