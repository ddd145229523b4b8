/**
 * Runs the commands, and the tests of readers and publishers once more, on networks that have only the deprecated versions of the
 * IC's HTTP interface, and on networks without those. (In all other tests the networks have both.)
 */
import { join } from "node:path";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { writeTree } from "../../publish/trees.ts";
import { startNetwork } from "../../support/canister-network.ts";
import { ROOT } from "../../support/imports.ts";

const READER = Principal.selfAuthenticating(new Uint8Array(44)).toText();

/** Together these make each kind of request: queries that are signed, certified or hashed, calls, the state of canisters, mounts. */
const FILES = [
  "test/source/icfs/source.test.ts",
  "test/source/icboot/source.test.ts",
  "test/publish/publish.test.ts",
  "test/mount/releases.test.ts",
];

for (const api of ["old", "new"] as const) {
  for (const file of FILES) {
    const env = { ...process.env, ICFS_TEST_API: api };
    t.spawn(process.execPath, [...process.execArgv, join(ROOT, file)], { env, cwd: ROOT }, `${api}: ${file}`);
  }

  t.test(`${api}: commands`, async (t) => {
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
    t.equal(JSON.parse(await done("releases", id, "--json")).releases.length, 2);
    await done("deploy", id);
  });
}
