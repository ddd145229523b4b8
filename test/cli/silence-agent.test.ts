/** What the agent prints of its own accord stays out of the programs' output, and out of a mount's log. */
import { mkdir, readFile, symlink } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Cbor } from "@icp-sdk/core/agent";
import t from "tap";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";
const KEY = `308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100${"00".repeat(96)}`;

/** A gateway whose queries are answered, while the keys of the nodes that signed the answers cannot be had. */
async function gateway(): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    if (!request.url!.endsWith("/query")) return response.writeHead(503).end("overloaded");
    const timestamp = BigInt(Date.now()) * 1_000_000n;
    const signatures = [{ timestamp, signature: new Uint8Array(64), identity: new Uint8Array(29) }];
    const reply = { arg: Buffer.from("4449444c0000", "hex") };
    return response.end(Cbor.encode({ status: "replied", reply, signatures } as never));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const url = await gateway();

t.test("icfs", async (t) => {
  const env = cleanEnvironment(await temporaryDirectory(t));
  const { code, stdout, stderr } = await run(BIN, ["roles", ID, "--network", url, "--root-key", KEY], {
    env,
  });
  t.match({ code, stdout }, { code: 1, stdout: "" });
  t.match(stderr, /^icfs: the canister did not tell its roles: .*\n$/, "a line, and no more");
});

t.test("mount.icfs, and the log of the copy that would serve", async (t) => {
  const directory = await temporaryDirectory(t);
  const helper = join(directory, "mount.icfs");
  await symlink(BIN, helper);
  const [at, log] = [join(directory, "mountpoint"), join(directory, "log")];
  await mkdir(at);
  const options = `ro,network=${url},root-key=${KEY},source=icboot,retry=0,log-file=${log}`;
  const { code, stderr } = await run(helper, [ID, at, "-o", options], { env: cleanEnvironment(directory) });
  t.equal(code, 32);
  t.match(stderr, /^mount\.icfs: .*\n$/, "a line, and no more");
  for (const line of (await readFile(log, "utf8")).split("\n"))
    t.match(line, /^$|^mount\.icfs: |^\d{4}-\S+Z /);
});
