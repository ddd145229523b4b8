/** icfs publish, against a real canister on a local network. */
import { chmod, mkdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AnonymousIdentity } from "@icp-sdk/core/agent";
import t from "tap";
import { createAgent } from "../../lib/ic/agent.ts";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { bytesOf, writeTree } from "../publish/trees.ts";
import { startCanister, type TestCanister } from "../support/canister-network.ts";
import { BIN, run } from "../support/icfs.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** Makes a tree below the test's directory. @returns its path */
async function treeOf(canister: TestCanister, name: string, files: Record<string, Uint8Array | string>) {
  const tree = join(canister.directory, name);
  await mkdir(tree);
  await writeTree(tree, files);
  return tree;
}

/** Publishes with --json, which must succeed. */
async function published(canister: TestCanister, tree: string) {
  const { code, stdout, stderr } = await canister.icfs([
    "publish",
    tree,
    canister.canister.toText(),
    "--json",
  ]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Record<string, number> & { header: string; url: string };
}

t.test("one release after the other", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const files = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`d/f${i}`, bytesOf(i, 20 * KiB)]));
  const tree = await treeOf(c, "tree", { ...files, large: bytesOf(99, 3 * MiB), empty: "" });
  await symlink("d/f0", join(tree, "link"));
  const bytes = 40 * 20 * KiB + 3 * MiB;

  const first = await published(c, tree);
  t.same(
    Object.keys(first),
    [
      "release",
      "header",
      "files",
      "bytes",
      "chunks",
      "privateFiles",
      "chunksUploaded",
      "bytesUploaded",
      "url",
    ],
    "the result has exactly these keys",
  );
  t.equal(first.url, `http://${id}.localhost:${new URL(c.url).port}/`);
  t.match(first, { release: 1, header: /^[0-9a-f]{64}$/, files: 42, bytes });
  t.equal(first.chunksUploaded, first.chunks);
  t.ok(first.bytesUploaded! > bytes, "the uploaded bytes include the manifest");
  t.equal((await c.source().head())?.hash.toString("hex"), first.header);

  await t.test("a tree that is unchanged, or changed only in times, keeps the old release", async (t) => {
    const unchanged = { ...first, chunksUploaded: 0, bytesUploaded: 0 };
    t.same(await published(c, tree), unchanged);
    await utimes(join(tree, "large"), 1, 1);
    await utimes(join(tree, "d"), 1, 1);
    t.same(await published(c, tree), unchanged);
    const { code, stdout } = await c.icfs(["publish", tree, id]);
    t.match(
      { code, stdout },
      { code: 0, stdout: /^nothing changed: release 1 \([0-9a-f]{64}\) has this tree, 42 files, / },
    );
  });

  await t.test("an executable bit makes a new release that uploads only the manifest", async (t) => {
    await chmod(join(tree, "large"), 0o755);
    const second = await published(c, tree);
    t.match(second, { release: 2, files: 42, bytes });
    t.ok(second.bytesUploaded! < 20 * KiB, `${second.bytesUploaded} bytes`);
    t.not(second.header, first.header);
  });

  await t.test("a changed file uploads little", async (t) => {
    await writeFile(join(tree, "d/f7"), bytesOf(777, 20 * KiB));
    const third = await published(c, tree);
    t.match(third, { release: 3 });
    t.ok(third.chunksUploaded! <= 4, `${third.chunksUploaded} of ${third.chunks} chunks`);
    t.ok(third.bytesUploaded! < 1.6 * MiB, `${third.bytesUploaded} bytes`);
  });

  await t.test("removed files are gone, and chunks already stored are not uploaded again", async (t) => {
    await rm(join(tree, "d"), { recursive: true });
    await rm(join(tree, "link"));
    await writeFile(join(tree, "copy"), bytesOf(99, 3 * MiB));
    const { stdout } = await c.icfs(["publish", tree, id, "--note", "smaller"]);
    t.match(
      stdout,
      /^published release 4 \([0-9a-f]{64}\): 3 files, 6\.3 MB; uploaded 1 chunks, 0\.\d kB\nhttp:\/\/\S+\n$/,
    );
    t.equal((await c.source().head())?.header.note, "smaller");
  });

  await t.test("an empty directory is published only with --allow-empty", async (t) => {
    const empty = await treeOf(c, "empty", {});
    // A source that is not mounted is an empty directory, and an empty ext4 disk has only lost+found.
    await mkdir(join(empty, "lost+found"));
    for (const more of [[], ["--dry-run"], ["--exclude", "nothing"]]) {
      t.match(await c.icfs(["publish", empty, id, ...more]), {
        code: 1,
        stdout: "",
        stderr: `icfs: ${empty} has no files to publish, and release 4 has 3: is it the right directory, and is what belongs there mounted? --allow-empty publishes it as it is\n`,
      });
    }
    t.match(await c.icfs(["publish", tree, id, "--exclude", "*"]), {
      code: 1,
      stderr: /has no files to publish/,
    });
    t.match((await c.source().head())?.header, { number: 4 });
    const { code, stderr, stdout } = await c.icfs(["publish", empty, id, "--allow-empty", "--json"]);
    t.match(
      { code, stderr },
      { code: 0, stderr: /of the 3 files of release 4 this removes 3: copy, empty, large\n/ },
    );
    t.match(JSON.parse(stdout), { release: 5, files: 0, bytes: 0, chunks: 1 });
    t.match(
      await c.icfs(["publish", empty, id]),
      { code: 0, stdout: /^nothing changed/ },
      "the empty directory can be published again without --allow-empty",
    );
  });
});

t.test("the right to publish", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const tree = await treeOf(c, "tree", { file: "first" });
  await published(c, tree);
  await writeFile(join(tree, "file"), "second");
  const other = { ...c.env, XDG_CONFIG_HOME: join(c.directory, "other") };

  await t.test("a second identity may not publish, and is told so", async (t) => {
    const { code, stdout, stderr } = await c.icfs(["publish", tree, id, "--json"], { env: other });
    t.match({ code, stdout }, { code: 1, stdout: "" });
    const principal = (await c.icfs(["identity"], { env: other })).stdout.trim();
    t.match(
      stderr,
      `icfs: ${principal} may not publish on ${id}: give a publisher's or an owner's key with --identity PEM, or have an owner run \`icfs grant ${id} ${principal} publisher\`\n`,
    );
    t.match((await c.source().head())?.header, { number: 1 });
  });

  await t.test(
    "a second identity may not publish on a terminal, and no files are hashed first",
    async (t) => {
      const command = `${BIN} publish ${tree} ${id}`;
      const { code, stdout } = await run("script", ["-qec", command, "/dev/null"], { env: other });
      t.equal(code, 1);
      t.match(stdout, "may not publish");
      t.notMatch(stdout, /hashing|uploading/);
    },
  );

  await t.test("on a terminal, the progress bar does not hold up a failing command", async (t) => {
    const forbidden = await treeOf(c, "forbidden", { "new\nline": "" });
    const command = `${BIN} publish ${forbidden} ${id}`;
    const { code, stdout } = await run("script", ["-qec", command, "/dev/null"], { env: c.env });
    t.equal(code, 1);
    t.match(stdout, /hashing[\s\S]*the path has a control character/);
    t.ok(stdout.lastIndexOf("\x1b[?25h") > stdout.lastIndexOf("\x1b[?25l"), "the cursor is visible again");
  });

  await t.test("an anonymous caller may not put or publish anything", async (t) => {
    const { network, rootKey } = c;
    const identity = new AnonymousIdentity();
    const agent = createAgent({
      network,
      rootKey,
      identity,
      verifyQuerySignatures: true,
      requestTimeout: 30_000,
    });
    const anonymous = icfsCanister(agent, c.canister);
    await t.rejects(anonymous.put([new Uint8Array(10)]), /inspect_message|not authorised/);
    const release = { manifest: [], parent: [] as [], note: "" };
    await t.rejects(anonymous.publish(release), /inspect_message|not authorised/);
    const owner = icfsCanister(c.publisherAgent, c.canister);
    t.equal((await owner.put([new Uint8Array(10)])).length, 1, "the owner may put a chunk");
  });

  await t.test("the owner may publish by naming the key", async (t) => {
    const pem = join(c.directory, "config/icfs/identity.pem");
    t.match(await c.icfs(["publish", tree, id, "--identity", pem], { env: other }), { code: 0 });
    t.match((await c.source().head())?.header, { number: 2 });
  });
});

t.test("an unpublishable tree is refused before anything is sent", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const refused = async (tree: string, program = BIN, args: string[] = []) => {
    const { code, stdout, stderr } = await run(program, [...args, "publish", tree, id], { env: c.env });
    t.match({ code, stdout }, { code: 1, stdout: "" });
    return stderr;
  };
  const tree = await treeOf(c, "bad", { "d/secret": "x", "d/good": "y", "locked/file": "z" });
  await symlink("/etc/shadow", join(tree, "absolute"));
  await symlink("gone", join(tree, "dangling"));
  await run("mkfifo", [join(tree, "pipe")], { env: c.env });
  await chmod(join(tree, "d/secret"), 0);
  await chmod(join(tree, "locked"), 0);
  // Root can read every file, unless it gives up these capabilities.
  const powerless = [
    "--bounding-set",
    "-dac_override,-dac_read_search",
    "--inh-caps",
    "-dac_override,-dac_read_search",
  ];
  const message = await refused(tree, "setpriv", [...powerless, "--", BIN]);
  for (const line of [
    `icfs: ${tree} cannot be published; nothing was uploaded:`,
    "  absolute -> /etc/shadow: the symlink is absolute",
    "  dangling -> gone: the symlink leads to gone, which is not in the tree",
    /^ {2}d\/secret: EACCES: permission denied/m,
    /^ {2}locked: EACCES: permission denied/m,
    /^ {2}pipe: it is a named pipe/m,
  ]) {
    t.match(message, line);
  }
  t.notMatch(message, "good");
  t.match(await refused(join(tree, "d/good")), /d\/good is not a directory/);
  t.match(await refused(join(tree, "nowhere")), /cannot read .*nowhere: ENOENT/);
  t.equal(await c.source().head(), undefined, "nothing is published");
});

t.test("on a terminal there is a progress bar, and stdout has only the result", async (t) => {
  const c = await startCanister(t, { bandwidth: 8 });
  const tree = await treeOf(c, "tree", { large: bytesOf(1, 6 * MiB) });
  const result = join(c.directory, "result");
  const command = `${BIN} publish ${tree} ${c.canister.toText()} --json > ${result}`;
  const { code, stdout: terminal } = await run("script", ["-qec", command, "/dev/null"], { env: c.env });
  t.equal(code, 0);
  t.match(terminal, /uploading \[.+\] +\d+% [\d.]+ .?B of 6\.\d MB/);
  t.ok(terminal.lastIndexOf("\x1b[?25h") > terminal.lastIndexOf("\x1b[?25l"), "the cursor is visible again");
  const { stdout } = await run("cat", [result], { env: c.env });
  t.match(JSON.parse(stdout), { release: 1, bytes: 6 * MiB });
  t.equal(stdout.trim().split("\n").length, 1);
});

t.test("without a terminal there are plain lines", async (t) => {
  const c = await startCanister(t);
  const tree = await treeOf(c, "tree", { file: bytesOf(1, 100_000) });
  const { stdout, stderr } = await c.icfs(["publish", tree, c.canister.toText()]);
  t.match(stderr, /^hashing: 100\.0 kB\nuploading: 100\.\d kB\n$/);
  t.match(stdout, /^published release 1 [^\n]*\nhttp:\/\/[a-z0-9-]+\.localhost:\d+\/\n$/);
});
