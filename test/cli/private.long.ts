/** A canister that only those with a role may read: icfs configure --private. */
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { run } from "../support/icfs.ts";
import { startOwnedCanister } from "../support/people.ts";

t.test("a private canister", async (t) => {
  const c = await startOwnedCanister(t);
  const { id, tree } = c;
  const mountpoint = join(c.directory, "mnt");
  await mkdir(mountpoint);
  t.teardown(() => run("umount", ["-l", mountpoint], { env: c.env }).then(() => {}));
  const own = join(c.env.XDG_CONFIG_HOME!, "icfs/identity.pem");
  const log = ["--log-file", join(c.directory, "log")];
  const reader = await c.person("reader", "secp256k1");
  const publisher = await c.person("publisher", "ed25519");
  const stranger = await c.person("stranger", "ed25519");
  await c.owner("publish", tree, id);
  await c.owner("grant", id, reader.principal, "reader");
  await c.owner("grant", id, publisher.principal, "publisher");
  t.match(
    await c.owner("configure", id, "--private"),
    /owners, publishers, promoters and readers \(private\)/,
  );

  await t.test("shows strangers nothing, and tells them why", async (t) => {
    const reading = [
      ["ls", id],
      ["mount", id, mountpoint, ...log],
      ["releases", id],
      ["configure", id],
    ];
    for (const args of [...reading, ["roles", id]]) {
      t.match(await c.icfs(args), {
        code: 1,
        stdout: "",
        stderr: `icfs: ${id} is private, and no key was given: give a reader's or an owner's with --identity PEM; your own is --identity ${own}\n`,
      });
    }
    for (const args of [...reading, ["publish", tree, id]]) {
      const { code, stdout, stderr } = await stranger.icfs(...args);
      t.match({ code, stdout }, { code: 1, stdout: "" }, args.join(" "));
      t.notMatch(stderr, "hashing");
      t.match(
        stderr,
        `${id} is private, and ${stranger.principal} may not read it: give a reader's or an owner's key`,
      );
      t.match(stderr, `have an owner run \`icfs grant ${id} ${stranger.principal} reader\``);
    }
  });

  await t.test("can be read by its owner, as the error suggests", async (t) => {
    t.match(await c.icfs(["ls", id, "--identity", own]), { code: 0, stdout: "file\n", stderr: "" });
  });

  await t.test("can be read and mounted with a reader's key", async (t) => {
    t.match(await reader.icfs("ls", id), { code: 0, stdout: "file\n" });
    t.match(await reader.icfs("roles", id), {
      code: 0,
      stdout: new RegExp(`reader     ${reader.principal}\nprivate: nobody else may read\n$`),
    });
    t.match(await reader.icfs("releases", id), { code: 0, stdout: /^release 1 \(held\)/ });
    t.match(await reader.icfs("mount", id, mountpoint, ...log), { code: 0, stderr: "" });
    t.match(await run("cat", [join(mountpoint, "file")], { env: c.env }), { code: 0, stdout: "content" });
    t.match(await c.icfs(["umount", mountpoint]), { code: 0, stderr: "" });
    t.match(await reader.icfs("publish", tree, id, "--dry-run"), {
      code: 0,
      stdout: /^nothing would change/,
    });
    await writeTree(tree, { file: "changed" });
    t.match(await reader.icfs("publish", tree, id), { code: 1, stderr: /^icfs: \S+ may not publish on/ });
  });

  await t.test("can be published to with a publisher's key", async (t) => {
    t.match(await publisher.icfs("publish", tree, id), { code: 0, stdout: /^published release 2/ });
    t.match(await reader.icfs("ls", id), { code: 0, stdout: "file\n" });
  });

  await t.test("a key that others can read is refused", async (t) => {
    await chmod(reader.pem, 0o644);
    t.match(await reader.icfs("ls", id), { code: 1, stderr: /can be read by users other.*chmod 600/ });
  });

  await t.test("is public again after --public", async (t) => {
    await c.owner("configure", id, "--public");
    t.match(await c.icfs(["ls", id]), { code: 0, stdout: "file\n" });
  });
});
