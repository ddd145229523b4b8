/** icfs trust: what this host has accepted, and what happens when a canister then shows something else. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { resolveNetwork, rootKeyOf } from "../../lib/ic/network.ts";
import { writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";
import { reinstall } from "../support/management.ts";

t.test("a canister that was reinstalled is refused until its trust is reset", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const mountpoint = join(c.directory, "mnt");
  const tree = join(c.directory, "tree");
  await mkdir(mountpoint);
  await mkdir(tree);
  const publish = async (content: string) => {
    await writeTree(tree, { file: content });
    // The publisher is on another host, and knows that the canister was reinstalled.
    const env = { ...c.env, XDG_STATE_HOME: join(c.directory, "publisher") };
    await c.icfs(["trust", "reset", id], { env });
    const { code, stdout, stderr } = await c.icfs(["publish", tree, id, "--json"], { env });
    t.equal(code, 0, stderr);
    return JSON.parse(stdout) as { release: number; header: string };
  };
  const accepted = async () => {
    const { stdout } = await c.icfs(["trust", "show", "--json"]);
    return JSON.parse(stdout).accepted as { canister: string; number: number; header: string }[];
  };
  const mount = () => c.icfs(["mount", id, mountpoint, "--log-file", join(c.directory, "log")]);
  t.teardown(() => run("umount", ["-l", mountpoint], { env: c.env }).then(() => {}));
  const wasm = await readFile(new URL("../../build/icfs.wasm", import.meta.url));

  await publish("1");
  await publish("2");
  t.same(await accepted(), [], "this host has accepted nothing yet");
  t.match(await c.icfs(["ls", id]), { code: 0 });
  const third = await publish("3");
  t.match(await c.icfs(["ls", id]), { code: 0 }, "a successor");
  t.match(await accepted(), exactly({ canister: id, number: 3, header: third.header }));
  t.match(await c.icfs(["trust", "show"]), { code: 0, stdout: `${id} 3 ${third.header} ${c.url}\n` });

  await t.test("while it has fewer releases than before", async (t) => {
    await reinstall(c.publisherAgent, c.canister, wasm);
    await publish("another 1");
    for (const refused of [await c.icfs(["ls", id]), await mount()]) {
      t.match(refused, { code: 1, stdout: "" });
      t.match(refused.stderr, /release 1 is older than release 3, which this host accepted before/);
      t.match(refused.stderr, `If the canister was reinstalled on purpose, run \`icfs trust reset ${id}\`\n`);
    }
    t.match(await accepted(), exactly({ number: 3 }), "the accepted release is unchanged");
  });

  await t.test("while it has as many releases as before, or more", async (t) => {
    await publish("another 2");
    await publish("another 3");
    t.match(await c.icfs(["ls", id]), {
      code: 1,
      stderr: /release 3 is not the one .* this is a fork\..*icfs trust reset/,
    });
    await publish("another 4");
    t.match(await c.icfs(["ls", id]), {
      code: 1,
      stderr: /release 3 is not the one .* this is a fork\..*icfs trust reset/,
    });
  });

  await t.test("after a reset, it is accepted", async (t) => {
    t.same(await c.icfs(["trust", "reset", id]), {
      code: 0,
      stdout: `forgot what was accepted of ${id}: release 3 on ${c.url}\n`,
      stderr: "",
    });
    t.same(await accepted(), []);
    const mounted = await mount();
    t.match(mounted, { code: 0, stderr: "" });
    t.match(await run("cat", [join(mountpoint, "file")], { env: c.env }), { code: 0, stdout: "another 4" });
    t.match(await c.icfs(["umount", mountpoint]), { code: 0, stderr: "" });
    t.match(await accepted(), exactly({ canister: id, number: 4 }));
    t.match(await c.icfs(["ls", id]), { code: 0, stdout: "file\n" });
    t.match(await c.icfs(["trust", "reset", id]), { code: 0 });
    t.match(await c.icfs(["trust", "reset", id]), {
      code: 1,
      stderr: `icfs: this host has not accepted anything from ${id}\n`,
    });
  });
});

t.test("mount does not create an identity", async (t) => {
  const c = await startCanister(t);
  const env = { ...c.env, XDG_CONFIG_HOME: join(c.directory, "fresh") };
  const args = ["mount", c.canister.toText(), c.directory];
  t.match(await c.icfs(args, { env }), { code: 1, stderr: /no release yet/ });
  t.match(await run("ls", ["-A", join(c.directory, "fresh")], { env }), { stderr: /No such file/ });
});

t.test("a publisher's own release counts as accepted, and a reinstalled canister is refused", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { file: "1" });
  t.match(await c.icfs(["publish", tree, id]), { code: 0 });
  t.match((await c.icfs(["trust", "show"])).stdout, `${id} 1 `, "the publisher's own release is accepted");
  await reinstall(
    c.publisherAgent,
    c.canister,
    await readFile(new URL("../../build/icfs.wasm", import.meta.url)),
  );
  for (const args of [
    ["publish", tree, id],
    ["ls", id],
  ]) {
    t.match(await c.icfs(args), {
      code: 1,
      stderr: /the canister has no release, but this host accepted release 1 before.*icfs trust reset/,
    });
  }
  t.match(await c.icfs(["trust", "reset", id]), { code: 0 });
  t.match(await c.icfs(["publish", tree, id]), { code: 0 });
});

t.test(
  "the error for a damaged trust file names it and the way out, and other canisters still work",
  async (t) => {
    const c = await startCanister(t);
    const id = c.canister.toText();
    const tree = join(c.directory, "tree");
    await mkdir(tree);
    t.match(await c.icfs(["publish", tree, id]), { code: 0 });
    const trust = join(c.env.XDG_STATE_HOME!, "icfs", "trust");
    const [name] = await readdir(trust);
    await writeFile(join(trust, name!), "");
    const damaged = { code: 1, stderr: new RegExp(`${name}.*cannot be read.*icfs trust reset ${id}`) };
    for (const args of [
      ["ls", id],
      ["trust", "show"],
    ])
      t.match(await c.icfs(args), damaged);
    const other = (await c.icfs(["deploy"])).stdout.trim();
    t.match(
      await c.icfs(["publish", tree, other]),
      { code: 0 },
      "another canister can still be published to",
    );
    t.match(await c.icfs(["trust", "reset", id]), { code: 0, stdout: /: a damaged file\n$/ });
    t.match(await c.icfs(["ls", id]), { code: 0 });
  },
);

t.test(
  "trust show names the network of each canister, even if an older version did not record it",
  async (t) => {
    const directory = await temporaryDirectory(t);
    const env = cleanEnvironment(directory);
    const trust = join(directory, "state/icfs/trust");
    await mkdir(trust, { recursive: true });
    const id = "oeagv-5qaaa-aaaah-aar4q-cai";
    const main = await rootKeyOf(resolveNetwork("ic"), undefined);
    const networks: [name: string, fields: { network: string; url?: string }][] = [
      ["ic", { network: createHash("sha256").update(main).digest("hex") }],
      ["ic", { network: "11", url: "https://icp-api.io" }],
      ["local", { network: "22", url: "http://127.0.0.1:4943" }],
      ["https://ic.example", { network: "33", url: "https://ic.example" }],
      ["(network with the root key 4444444444444444)", { network: "4".repeat(64) }],
    ];
    for (const [i, [, fields]] of networks.entries()) {
      const accepted = { canister: id, number: 1, header: "ab", ...fields };
      await writeFile(join(trust, `${id}-${i}.json`), JSON.stringify(accepted));
    }
    const { stdout } = await run(BIN, ["trust", "show"], { env });
    t.same(stdout.split("\n"), [...networks.map(([name]) => `${id} 1 ab ${name}`), ""]);
  },
);
