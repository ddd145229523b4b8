/** The commands against a gateway that has only the deprecated versions of the IC's HTTP interface, and against one without those. */
import { join } from "node:path";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { startNetwork } from "../support/canister-network.ts";

const READER = Principal.selfAuthenticating(new Uint8Array(44)).toText();

for (const api of ["old", "new"] as const) {
  t.test(`--api ${api}`, async (t) => {
    const { icfs, directory } = await startNetwork(t, { api });
    const done = async (...args: string[]) => {
      const { code, stdout, stderr } = await icfs(args);
      t.equal(code, 0, `icfs ${args[0]}: ${stderr}`);
      return stdout;
    };
    const id = (await done("deploy")).trim();
    const tree = join(directory, "tree");
    await writeTree(tree, { file: "a file\n", "below/another": "another\n" });
    await done("publish", tree, id);
    t.equal(await done("cat", id, "file"), "a file\n");
    await done("verify", id, tree);
    t.match(await done("grant", id, READER, "publisher"), /is a publisher of/);
    t.match(await done("roles", id), READER);
    await writeTree(tree, { file: "changed\n" });
    await done("publish", tree, id);
    t.equal(await done("cat", id, "file"), "changed\n");
    t.equal(await done("cat", `${id}@1`, "file"), "a file\n");
    t.equal((await done("releases", id)).trim().split("\n").length >= 2, true);
    await done("deploy", id);
  });
}
