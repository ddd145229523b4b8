/** icfs publish with canisters of other kinds: some it does not write to, and some it writes to in another way. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { startAssets } from "../support/assets.ts";

t.test("an asset canister", async (t) => {
  const c = await startAssets(t);
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { file: "x" });
  const publish = (...more: string[]) => c.icfs(["publish", tree, id, ...more]);

  await t.test("is not written to, and the error names its own tools", async (t) => {
    for (const more of [[], ["--dry-run"], ["--source", "assets"]]) {
      t.match(await publish(...more), {
        code: 1,
        stdout: "",
        stderr: `icfs: ${id} is an asset canister, which icfs reads and does not write to: use its own tools, dfx, icp or icx-asset\n`,
      });
    }
  });

  await t.test("is not written to when --source names another kind", async (t) => {
    t.match(await publish("--source", "icboot"), {
      code: 1,
      stdout: "",
      stderr: /\nicfs: cannot find out what the canister has: .*listing/,
    });
    t.match(await publish("--source", "something"), { code: 2, stdout: "" });
  });
  t.same(await c.actor.list({ start: [], length: [] }), []);
});
