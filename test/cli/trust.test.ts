/** icfs trust: what this host has accepted, and what happens when a canister shows something else. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { run } from "../support/icfs.ts";
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
    const { code, stdout, stderr } = await c.icfs(["publish", tree, id, "--json"]);
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
  t.same(await accepted(), [], "publishing accepts nothing");
  t.match(await c.icfs(["ls", id]), { code: 0 });
  const third = await publish("3");
  t.match(await c.icfs(["ls", id]), { code: 0 }, "a successor");
  t.match(await accepted(), [{ canister: id, number: 3, header: third.header }]);
  t.match(await c.icfs(["trust", "show"]), { code: 0, stdout: `${id} 3 ${third.header}\n` });

  await t.test("fewer releases than before", async (t) => {
    await reinstall(c.publisherAgent, c.canister, wasm);
    await publish("another 1");
    for (const refused of [await c.icfs(["ls", id]), await mount()]) {
      t.match(refused, { code: 1, stdout: "" });
      t.match(refused.stderr, /release 1 is older than release 3, which this host accepted before/);
      t.match(refused.stderr, `If the canister was reinstalled on purpose, run \`icfs trust reset ${id}\`\n`);
    }
    t.match(await accepted(), [{ number: 3 }], "what was accepted stays");
  });

  await t.test("as many, and more", async (t) => {
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

  await t.test("after a reset", async (t) => {
    t.same(await c.icfs(["trust", "reset", id]), { code: 0, stdout: "", stderr: "" });
    t.same(await accepted(), []);
    const mounted = await mount();
    t.match(mounted, { code: 0, stderr: "" });
    t.match(await run("cat", [join(mountpoint, "file")], { env: c.env }), { code: 0, stdout: "another 4" });
    t.match(await c.icfs(["umount", mountpoint]), { code: 0, stderr: "" });
    t.match(await accepted(), [{ canister: id, number: 4 }]);
    t.match(await c.icfs(["ls", id]), { code: 0, stdout: "file\n" });
    t.match(await c.icfs(["trust", "reset", id]), { code: 0 });
    t.match(await c.icfs(["trust", "reset", id]), {
      code: 1,
      stderr: `icfs: this host has not accepted anything from ${id}\n`,
    });
  });
});

t.test("mount makes no identity", async (t) => {
  const c = await startCanister(t);
  const env = { ...c.env, XDG_CONFIG_HOME: join(c.directory, "fresh") };
  const args = ["mount", c.canister.toText(), c.directory];
  t.match(await c.icfs(args, { env }), { code: 1, stderr: /no release yet/ });
  t.match(await run("ls", ["-A", join(c.directory, "fresh")], { env }), { stderr: /No such file/ });
});
