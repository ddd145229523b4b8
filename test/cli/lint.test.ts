import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";

t.test("findings in a directory, a publication and a release", async (t) => {
  const { canister, directory, icfs, env } = await startCanister(t);
  const id = canister.toText();
  const tree = join(directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { linux: "kernel", "boot.ipxe": "#!ipxe\nkernel Linux\n" });
  const found =
    /^boot\.ipxe:2: names Linux, which is not there \[missing-file\]\n {4}iPXE says .*There is linux/;

  // None of these commands changes anything, so they can run at once.
  const [lint, json, strict, dry, silent] = await Promise.all([
    icfs(["lint", tree]),
    icfs(["lint", tree, "--json"]),
    icfs(["publish", tree, id, "--strict"]),
    icfs(["publish", tree, id, "--dry-run"]),
    icfs(["publish", tree, id, "--dry-run"], { env: { ...env, ICFS_NO_LINT: "yes" } }),
  ]);
  t.match(lint, { code: 1, stdout: found, stderr: /1 finding$/m });
  t.match(JSON.parse(json.stdout), exactly({ kind: "missing-file", file: "boot.ipxe", line: 2 }));
  t.match(strict, { code: 1, stderr: /nothing was uploaded:\n {2}boot\.ipxe:2: names Linux/ });
  t.match(dry, { code: 0, stderr: "boot.ipxe:2: names Linux" });
  t.notMatch(silent.stderr, "Linux");
  t.match(await icfs(["publish", tree, id]), { code: 0, stderr: "boot.ipxe:2: names Linux" });
  t.match(await icfs(["lint", id]), { code: 1, stdout: found });
});
