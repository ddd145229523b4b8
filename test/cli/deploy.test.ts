/** icfs deploy, and the owner of the new canister (icfs identity). */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { startLocalNetwork } from "../../localnet/index.ts";
import { writeTree } from "../publish/trees.ts";
import { startCanister, startNetwork } from "../support/canister-network.ts";
import { icbootWasm } from "../support/icboot.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const SPECIFIED = "oeagv-5qaaa-aaaah-aar4q-cai";
const WASM = new URL("../../build/icfs.wasm", import.meta.url);

t.test("deploy makes a canister owned by a new identity, and prints its id as the last line", async (t) => {
  const n = await startNetwork(t);
  const pem = join(n.directory, "config/icfs/identity.pem");
  const { code, stdout, stderr } = await n.icfs(["deploy"]);
  t.equal(code, 0);
  const id = stdout.trim().split("\n").at(-1)!;
  t.match(id, /^[a-z0-9-]+-cai$/);
  t.match(stderr, `icfs: made a new identity, ${pem}`);
  t.equal((await stat(pem)).mode & 0o777, 0o600);
  const principal = await n.icfs(["identity"]);
  t.match(principal, { code: 0, stderr: "", stdout: /^[a-z0-9-]+\n$/ });
  t.same(await n.icfs(["identity"]), principal, "it stays");
  t.same(await n.icfs(["identity", "--identity", pem], { env: { PATH: process.env.PATH } }), principal);
  t.match(stderr, `installed ${id} on ${n.url}, owned by ${principal.stdout.trim()}`);
  t.notMatch(stderr, "before", "the first deployment mentions no earlier one");
  await t.test("the next deploy makes another canister, and names the first", async (t) => {
    const again = `icfs: ${id} was deployed on ${n.url} before, and this makes another canister: \`icfs deploy ${id} --network ${n.url}\` upgrades that one\n`;
    for (const args of [[], ["--json"], ["--specified-id", SPECIFIED]]) {
      const { code, stdout, stderr } = await n.icfs(["deploy", ...args]);
      t.equal(code, 0);
      t.notMatch(stdout, id);
      t.ok(stderr.startsWith(again), args.join(" "));
    }
    for (const args of [[id], ["--specified-id", SPECIFIED]]) {
      t.notMatch(
        (await n.icfs(["deploy", ...args])).stderr,
        "before",
        "an upgrade mentions no earlier deployment",
      );
    }
    const other = await startNetwork(t);
    const env = { ...n.env, ICFS_NETWORK: other.url };
    t.notMatch(
      (await n.icfs(["deploy"], { env })).stderr,
      "before",
      "the first deployment on another network mentions no earlier one",
    );
  });

  await t.test("a key that others can read is refused", async (t) => {
    await chmod(pem, 0o644);
    for (const command of ["deploy", "identity"]) {
      const { code, stdout, stderr } = await n.icfs([command]);
      t.match({ code, stdout }, { code: 1, stdout: "" });
      t.equal(stderr, `icfs: ${pem} can be read by users other than its owner: run \`chmod 600 ${pem}\`\n`);
    }
    await chmod(pem, 0o600);
  });
});

t.test("--json prints one object", async (t) => {
  const n = await startNetwork(t);
  const { code, stdout } = await n.icfs(["deploy", "--specified-id", SPECIFIED, "--json"]);
  t.equal(code, 0);
  const moduleHash = createHash("sha256")
    .update(await readFile(WASM))
    .digest("hex");
  const object = { canister: SPECIFIED, action: "installed", moduleHash, network: n.url };
  t.equal(stdout, `${JSON.stringify(object)}\n`);
  await t.test("deploying to a specified id again upgrades the canister", async (t) => {
    const again = await n.icfs(["deploy", "--specified-id", SPECIFIED, "--json"]);
    t.same(JSON.parse(again.stdout), { ...object, action: "upgraded" });
  });
});

t.test("an upgrade keeps the releases", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { file: "content" });
  const { header } = JSON.parse((await c.icfs(["publish", tree, id, "--json"])).stdout);
  const { code, stdout, stderr } = await c.icfs(["deploy", id]);
  t.match({ code, stdout }, { code: 0, stdout: `${id}\n` });
  t.match(stderr, `upgraded ${id}`);
  const head = await c.source().head();
  t.match(head?.header, { number: 1 });
  t.equal(head?.hash.toString("hex"), header);
  t.match(await c.icfs(["ls", id]), { code: 0, stdout: "file\n" });
  await writeTree(tree, { file: "other" });
  t.match(await c.icfs(["publish", tree, id]), { code: 0, stdout: /^published release 2 / });

  await t.test("another identity cannot deploy to the canister", async (t) => {
    const env = { ...c.env, XDG_CONFIG_HOME: join(c.directory, "other") };
    const principal = (await c.icfs(["identity"], { env })).stdout.trim();
    for (const args of [[id], ["--specified-id", id]]) {
      const { code, stdout, stderr } = await c.icfs(["deploy", ...args], { env });
      t.match({ code, stdout }, { code: 1, stdout: "" }, args.join(" "));
      t.equal(
        stderr,
        `icfs: cannot deploy: only controllers of ${id} can, which are ${c.identity.getPrincipal()}. You are ${principal}: give a controller's key with --identity\n`,
      );
    }
    t.match((await c.source().head())?.header, { number: 2 }, "the newest release is unchanged");
  });

  await t.test("another program's Wasm is refused as an upgrade", async (t) => {
    const other = join(c.directory, "other.wasm");
    const empty = join(c.directory, "empty.wasm");
    await writeFile(other, icbootWasm());
    await writeFile(empty, Buffer.from("0061736d01000000", "hex"));
    for (const wasm of [other, empty]) {
      t.match(await c.icfs(["deploy", id, "--wasm", wasm]), {
        code: 1,
        stdout: "",
        stderr: new RegExp(
          `^icfs: cannot deploy: this Wasm is not a newer version of what runs in ${id}, .*: deploy it to another canister, or reinstall`,
        ),
      });
    }
    t.match(await c.icfs(["ls", id]), { code: 0, stdout: "file\n" }, "the canister still lists its file");
  });
});

t.test("deployments that fail", async (t) => {
  const n = await startNetwork(t);
  const text = join(n.directory, "text.wasm");
  await writeTree(n.directory, { "text.wasm": "not Wasm" });
  const cases: [args: string[], message: RegExp, code?: number][] = [
    [["xx"], /"xx" is not a canister id/, 2],
    [["--specified-id", "xx"], /"xx" is not a canister id/, 2],
    [[SPECIFIED], new RegExp(`^icfs: there is no canister ${SPECIFIED} at ${n.url}: `)],
    [["--wasm", "/nowhere.wasm"], /^icfs: --wasm: cannot read \/nowhere.wasm: ENOENT/],
    [["--wasm", n.directory], /^icfs: --wasm: cannot read .*: EISDIR/],
    [["--wasm", text], /cannot deploy: .*(Wasm|WebAssembly|module)/i],
    [["--network", "ic"], /To try it without cycles: icfs deploy --network local$/],
    [["--network", "ic", "--specified-id", SPECIFIED], /An empty canister of yours will do as well/],
  ];
  for (const [args, message, expected = 1] of cases) {
    const { code, stdout, stderr } = await n.icfs(["deploy", ...args]);
    t.match({ code, stdout }, { code: expected, stdout: "" }, args.join(" "));
    t.match(stderr.trim().split("\n").at(-1), message);
  }
});

t.test("deploy waits for a local network that is still starting", async (t) => {
  // A free port, for the network that starts later.
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as AddressInfo;
  await new Promise((resolve) => taken.close(resolve));
  const directory = await temporaryDirectory(t);
  const url = `http://127.0.0.1:${port}`;
  const { code, stdout, stderr } = await run(BIN, ["deploy", "--network", url], {
    env: cleanEnvironment(directory),
    started: async (child) => {
      await once(child.stderr!, "data");
      const { close } = await startLocalNetwork({ port });
      t.teardown(close);
    },
  });
  t.equal(code, 0, stderr);
  t.match(stdout, /-cai\n$/);
  t.match(stderr, `icfs: no network answers at ${url} yet: waiting for it to start\n`);
});
