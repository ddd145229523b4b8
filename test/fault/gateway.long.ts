/** A gateway can keep a mount from being made, and make its readers wait and fail. It can do nothing else. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Cbor, type HttpAgent } from "@icp-sdk/core/agent";
import t from "tap";
import { createAgent, NO_ARGUMENTS, queryBlob } from "../../lib/ic/agent.ts";
import { decodeHashTree, rootHash } from "../../lib/ic/certificate/hash-tree.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { mountpointFor, sh } from "../mount/mounts.ts";
import { startCanister, type TestCanister } from "../support/canister-network.ts";
import { canisterId, certify, newBlsKey } from "../support/certificates.ts";
import { type Fault, type FaultProxy, faultFor, startFaultProxy } from "../support/fault-proxy.ts";
import { encodeHeader } from "../support/headers.ts";
import { BIN, cleanEnvironment, run, type Test, temporaryDirectory } from "../support/icfs.ts";
import { candidBlob, proofOf, witnessOf } from "../support/proofs.ts";

interface Published extends TestCanister {
  readonly proxy: FaultProxy;
  readonly tree: string;
  readonly mountpoint: string;
  mount(...options: string[]): ReturnType<TestCanister["icfs"]>;
}

async function startPublished(t: Test): Promise<Published> {
  const c = await startCanister(t);
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeFile(join(tree, "file"), randomBytes(300_000));
  await publish(c, tree);
  const proxy = await startFaultProxy(t as never, c.url);
  const mountpoint = await mountpointFor(t as never);
  // The mount has no cache on disk, or it would serve what it has kept.
  const args = ["mount", c.canister.toText(), mountpoint, "--network", proxy.url, "--max-cache-size", "0"];
  return { ...c, proxy, tree, mountpoint, mount: (...options) => c.icfs([...args, ...options]) };
}

async function publish(c: TestCanister, tree: string): Promise<void> {
  // The publisher is on another host, so that this host accepts only what it mounts.
  const env = { ...c.env, XDG_STATE_HOME: join(c.directory, "publisher") };
  const { code, stderr } = await c.icfs(["publish", tree, c.canister.toText()], { env });
  if (code !== 0) throw new Error(stderr);
}

t.test("wrong, busy and replayed answers while a mount is made", async (t) => {
  const c = await startPublished(t);
  const { proxy, mountpoint } = c;
  const good = async (name: string) => {
    const mounted = await c.mount();
    t.equal(mounted.code, 0, `${name}: ${mounted.stderr}`);
    t.match(await sh("cmp", join(c.tree, "file"), join(mountpoint, "file")), { code: 0, stdout: "" });
    await c.icfs(["umount", mountpoint]);
  };
  const refused = async (name: string, message: RegExp) => {
    const { code, stdout, stderr } = await c.mount("--read-timeout", "2");
    t.match({ code, stdout }, { code: 1, stdout: "" }, name);
    t.match(stderr, message, name);
    t.equal((await sh("grep", mountpoint, "/proc/mounts")).stdout, "", "nothing is mounted");
  };

  for (const method of ["release", "chunk"]) {
    let times = 0;
    proxy.fault = faultFor(method, () => (times++ < 2 ? "flip" : "none"));
    await good(`${method}, wrong twice`);
  }
  const wrong: Fault = (answer) => {
    answer[answer.indexOf("ICFSMAN") + 7]! ^= 1;
    return answer;
  };
  proxy.fault = faultFor("chunk", () => wrong);
  await refused("a manifest that is always wrong", /chunk [0-9a-f]{64} arrived with other bytes/);
  proxy.fault = faultFor("release", { status: 503 });
  await refused("always busy", /HTTP status 503/);

  // An old answer from the canister itself does not help either: it certifies only the older release.
  let old: Buffer | undefined;
  const replaying: Fault = (answer) => {
    old ??= Buffer.from(answer);
    return old;
  };
  proxy.fault = faultFor("release", () => replaying);
  await good("the answer that will be replayed");
  await writeFile(join(c.tree, "file"), "new");
  await publish(c, c.tree);
  const replayed = await c.mount();
  t.match(
    replayed,
    { code: 0, stderr: "" },
    "a replayed answer is accepted while it is less than five minutes old",
  );
  t.match(JSON.stringify(replayed), /release 1 /);
  await c.icfs(["umount", mountpoint]);
  proxy.fault = () => "none";
  await good("the new one");
  proxy.fault = faultFor("release", () => replaying);
  await refused("not once the successor has been seen", /release 1 is older than release 2/);
});

t.test("a certificate that is six minutes early or late is refused", async (t) => {
  const directory = await temporaryDirectory(t);
  const mountpoint = await mountpointFor(t);
  const root = newBlsKey();
  const canister = canisterId(5);
  const header = encodeHeader({ number: 1 });
  const witness = witnessOf(header);
  const data = rootHash(decodeHashTree(witness));
  const proxy = await startFaultProxy(t, "http://127.0.0.1:9");
  for (const [minutes, message] of [
    [-6, /more than 5 minutes in the past.*this host's clock says.*the gateway replays an old answer/],
    [6, /more than 5 minutes in the future.*this host's clock says/],
  ] as const) {
    const certificate = certify({ canister, data, root, time: Date.now() + minutes * 60_000 });
    const arg = Uint8Array.from(candidBlob(proofOf({ header, witness, certificate })));
    const body = Buffer.from(Cbor.encode({ status: "replied", reply: { arg } }));
    // All other requests, such as those for the network's time, get no answer.
    proxy.fault = (path) => (path.endsWith("/query") ? { status: 200, body } : "drop");
    const id = canister.toText();
    const rootKey = ["--network", proxy.url, "--root-key", Buffer.from(root.publicKey).toString("hex")];
    for (const args of [
      ["ls", id],
      ["mount", id, mountpoint],
      ["publish", directory, id],
    ]) {
      const { code, stdout, stderr } = await run(BIN, [...args, ...rootKey], {
        env: cleanEnvironment(directory),
      });
      t.match({ code, stdout }, { code: 1, stdout: "" });
      t.match(stderr, message);
    }
    t.equal((await sh("grep", mountpoint, "/proc/mounts")).stdout, "", "nothing is mounted");
  }
});

t.test("hostile answers, of a few bytes or of many parts, are refused at little cost", async (t) => {
  const hex = (digits: string) => Buffer.from(digits, "hex");
  const reply = (arg: Uint8Array) => Buffer.from(Cbor.encode({ status: "replied", reply: { arg } }));
  const answers: Record<string, Buffer> = {
    "Candid: 2^32 - 1 nulls": reply(hex("4449444c016d7f0100ffffffff0f")),
    "Candid: a billion empty records": reply(hex("4449444c026c006d00010180a8d6b907")),
    "Candid: a type that is itself": reply(hex("4449444c016e000100")),
    "Candid: a table of 2^28 types": reply(hex("4449444cffffffff7f")),
    "Candid: a blob of 2^32 - 1 bytes": reply(hex("4449444c016d7b0100ffffffff0f")),
    "CBOR: an array of 2^64 - 1": hex("9bffffffffffffffff"),
    "CBOR: a map of 2^32 - 1": hex("baffffffff"),
    "CBOR: a string of 2^63 bytes": hex("5b8000000000000000"),
    "CBOR: two million arrays in one another": Buffer.alloc(2_000_000, 0x81),
    "CBOR: three million empty strings": Buffer.concat([hex("9a002dc6c0"), Buffer.alloc(3_000_000, 0x40)]),
    "CBOR: three million empty maps": Buffer.concat([hex("9a002dc6c0"), Buffer.alloc(3_000_000, 0xa0)]),
    "CBOR: tags on tags": Buffer.concat([Buffer.alloc(3_000_000, 0xd9), hex("00")]),
    "CBOR: a bignum of three million bytes": Buffer.concat([
      hex("c25a002dc6c0"),
      Buffer.alloc(3_000_000, 0xff),
    ]),
    "CBOR: a status and no more": Buffer.from(Cbor.encode({ status: "replied" })),
    "CBOR: a reply that is a number": Buffer.from(Cbor.encode({ status: "replied", reply: 7 })),
    "CBOR: __proto__": hex("a1695f5f70726f746f5f5fa1667374617475736172"),
    nothing: Buffer.alloc(0),
  };
  let answer: Buffer = Buffer.alloc(0);
  const proxy = await startFaultProxy(t, "http://127.0.0.1:9");
  // The proxy answers by itself.
  proxy.fault = () => ({ status: 200, body: answer });
  const agent = createAgent({
    network: resolveNetwork(proxy.url),
    rootKey: new Uint8Array(),
    verifyQuerySignatures: false,
    requestTimeout: 5000,
  });
  const memory = process.memoryUsage().rss;
  for (const [name, bytes] of Object.entries(answers)) {
    answer = bytes;
    const before = process.cpuUsage();
    const error = await refusal(agent);
    const { user } = process.cpuUsage(before);
    t.type(error, Error, `${name}: ${error}`);
    t.ok(String(error).length < 600, "the error is shorter than 600 characters");
    t.notMatch(error, TypeError, "the error is not a TypeError");
    // Without limits, these answers would take minutes. This is processor time, to which other processes add nothing.
    t.ok(user < 15_000_000, `${name}: ${Math.round(user / 1000)} ms of CPU time`);
  }
  const grown = process.memoryUsage().rss - memory;
  t.ok(grown < 500e6, `memory has grown by ${Math.round(grown / 1e6)} MB`);
});

async function refusal(agent: HttpAgent): Promise<unknown> {
  return queryBlob(agent, canisterId(1), "release", NO_ARGUMENTS).then(
    () => "it was believed",
    (error: unknown) => error,
  );
}
