/** icfs publish --dry-run, against a real canister on a local network. */
import { existsSync } from "node:fs";
import { chmod, mkdir, rm, symlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { bytesOf, writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";

const KiB = 1024;

t.test("icfs publish --dry-run", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { "d/one": bytesOf(1, 300 * KiB), "d/two": "2", three: "3", four: "4" });
  await symlink("three", join(tree, "link"));
  // A dry run needs no identity.
  const nobody = { ...c.env, XDG_CONFIG_HOME: join(c.directory, "nobody") };
  const dryRun = async (...args: string[]) => {
    const result = await c.icfs(["publish", tree, id, "--dry-run", ...args], { env: nobody });
    t.equal(result.code, 0, result.stderr);
    return result.stdout;
  };
  const chunks = async () => (await icfsCanister(c.publisherAgent, c.canister).status()).chunks;

  await t.test("before the first release", async (t) => {
    t.match(
      await dryRun(),
      /^added {3}directory d\nadded {3}file {6}d\/one\n(.*\n)+would publish release 1: 4 files, 307\.2 kB; to upload: 3 chunks, 307\.\d kB\n$/,
    );
    const { differences, ...rest } = JSON.parse(await dryRun("--json"));
    t.match(rest, { newest: null, files: 4, bytes: 300 * KiB + 3, chunks: 3, chunksToUpload: 3 });
    t.same(differences.added[4], { path: "link", kind: "symlink" });
    t.same([differences.added.length, differences.changed, differences.removed], [6, [], []]);
  });
  t.equal(await c.source().head(), undefined, "nothing is published");
  t.equal(await chunks(), 0n, "no chunk is uploaded");
  t.notOk(existsSync(join(c.directory, "nobody")), "no identity is made");

  const published = async () => JSON.parse((await c.icfs(["publish", tree, id, "--json"])).stdout);
  t.match(await published(), { release: 1, chunksUploaded: 3 });

  await t.test("a tree that differs from the release only in times", async (t) => {
    await utimes(join(tree, "three"), 1, 1);
    t.equal(await dryRun(), "nothing would change: release 1 has this tree, 4 files, 307.2 kB\n");
    t.match(JSON.parse(await dryRun("--json")), {
      newest: 1,
      chunksToUpload: 0,
      bytesToUpload: 0,
      differences: { added: exactly(), changed: exactly(), removed: exactly() },
    });
  });

  await t.test("lists the differences, and the exact size of the upload", async (t) => {
    const before = await chunks();
    await rm(join(tree, "d/two"));
    await rm(join(tree, "link"));
    await symlink("four", join(tree, "link"));
    await chmod(join(tree, "four"), 0o755);
    await writeTree(tree, { three: "5", "new/file": bytesOf(2, 10 * KiB) });
    t.match(
      (await dryRun()).split("\n"),
      exactly(
        "removed file      d/two",
        "changed file      four (executable bit)",
        "changed symlink   link (target)",
        "added   directory new",
        "added   file      new/file",
        "changed file      three (bytes)",
        /^would publish release 2: 4 files, 317\.4 kB; to upload: 2 chunks, \d+\.\d kB$/,
        "",
      ),
    );
    const { chunksToUpload, bytesToUpload } = JSON.parse(await dryRun("--json"));
    t.equal(await chunks(), before);
    t.match((await c.source().head())?.header, { number: 1 });
    t.match(await published(), {
      release: 2,
      chunksUploaded: chunksToUpload,
      bytesUploaded: bytesToUpload,
    });
  });

  await t.test("refuses a tree or a note that cannot be published", async (t) => {
    await symlink("/etc/shadow", join(tree, "bad"));
    const dry = ["publish", tree, id, "--dry-run"];
    t.match(await c.icfs(dry), {
      code: 1,
      stdout: "",
      stderr: /cannot be published; nothing was uploaded:\n {2}bad -> \/etc\/shadow: the symlink is absolute/,
    });
    await rm(join(tree, "bad"));
    t.match(await c.icfs([...dry, "--note", "x".repeat(1025)]), {
      code: 2,
      stderr: /the note has 1025 bytes/,
    });
  });
});
