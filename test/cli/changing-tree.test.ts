/** Directories that another process changes while icfs reads them. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, truncate } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { bytesOf, writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { startIcboot } from "../support/icboot.ts";

const MiB = 1024 * 1024;

/** Overwrites `boot/kernel` in place, with two versions in turn, until it is killed. */
const WRITER = `
  const [file, one, two] = process.argv.slice(1);
  const { readFileSync, writeFileSync } = require("node:fs");
  const versions = [readFileSync(one), readFileSync(two)];
  for (let i = 0; ; i++) {
    writeFileSync(file, versions[i % 2], { flag: "r+" });
    if (i === 0) process.stdout.write("begun");
    // So that the others get on as well.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
`;

async function startWriter(t: Test, ...args: string[]): Promise<void> {
  const writer: ChildProcess = spawn(process.execPath, ["-e", WRITER, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => {
    writer.kill("SIGKILL");
  });
  await new Promise((resolve) => writer.stdout!.once("data", resolve));
}

t.test("publish and verify report a file that is overwritten while they read it", async (t) => {
  const c = await startCanister(t);
  const b = await startIcboot(t);
  const tree = join(c.directory, "tree");
  const [one, two] = [bytesOf(1, 8 * MiB), bytesOf(2, 8 * MiB)];
  await mkdir(tree);
  await writeTree(c.directory, { one, two });
  // A large file of zeros takes long to hash and adds little to upload, so the writer surely writes meanwhile.
  await writeTree(tree, { zeros: "" });
  await truncate(join(tree, "zeros"), 128 * MiB);
  const id = c.canister.toText();
  // The canisters get the content beforehand, so that there is nothing to upload later.
  for (const kernel of [one, two]) {
    await writeTree(tree, { "boot/kernel": kernel, "boot/initrd": "initrd" });
    t.match(await c.icfs(["publish", tree, id]), { code: 0 });
  }
  t.match(await b.icfs(["publish", tree, b.canister.toText(), "--exclude", "zeros"]), { code: 0 });

  await startWriter(t, join(tree, "boot/kernel"), join(c.directory, "one"), join(c.directory, "two"));
  const stderr =
    /cannot be published; nothing was uploaded:\n {2}boot\/kernel: it was written to, .*\npublish again when nobody writes to it\n$/;
  const torn = { code: 1, stdout: "", stderr };
  t.match(await c.icfs(["publish", tree, id]), torn);
  t.match(await c.icfs(["publish", tree, id, "--dry-run"]), torn);
  t.match(await b.icfs(["publish", tree, b.canister.toText(), "--exclude", "zeros", "--dry-run"]), {
    code: 1,
    stdout: "",
    stderr: /boot\/kernel: it was written to, /,
  });
  t.match(await c.icfs(["verify", id, tree]), {
    code: 1,
    stdout: `${tree}: boot/kernel: it was written to, or its owner, mode or links changed\n`,
  });
  t.match((await c.source().head())?.header, { number: 2 });
});
