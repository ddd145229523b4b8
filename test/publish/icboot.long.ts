/** icfs publish to the original's canister: its twin on a local network. */
import { existsSync } from "node:fs";
import { chmod, mkdir, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { exactly } from "../support/exactly.ts";
import { startIcboot } from "../support/icboot.ts";
import { run } from "../support/icfs.ts";
import { differing, filesIn, filesOf, publication, published, treeIn } from "./icboot-trees.ts";
import { bytesOf, writeTree } from "./trees.ts";

const MiB = 1024 * 1024;
/** Sizes around sectors, and around the parts in which files are uploaded. */
const SIZES = [0, 1, 511, 512, 513, MiB - 512, MiB - 1, MiB, MiB + 1, 2 * MiB, 2 * MiB + 512];

t.test("a tree is published, changed and published again", async (t) => {
  const c = await startIcboot(t);
  const id = c.canister.toText();
  const tree = await treeIn(c, "tree");
  const sizes = Object.fromEntries(SIZES.map((size, i) => [`sizes/${size}`, bytesOf(i, size)]));
  await writeTree(tree, {
    ...sizes,
    "deep/er/menu é 1.cfg": "menu",
    "deep/er/run": "#!/bin/sh",
    "deep/file": "",
  });
  await chmod(join(tree, "deep/er/run"), 0o755);
  await mkdir(join(tree, "empty"));
  for (const [name, target] of [
    ["default.cfg", "sizes/511"],
    ["again.cfg", "default.cfg"],
    ["boot.d", "deep/er"],
    ["deep/er/up", ".."],
    ["deep/er/all", "../.."],
  ] as const) {
    await symlink(target, join(tree, name));
  }
  const expected = await filesIn(tree);
  const names = expected.size;
  const bytes = [...expected.values()].reduce((sum, { length }) => sum + length, 0);

  await t.test("a dry run says what would be uploaded, and uploads nothing", async (t) => {
    const nobody = { ...c.env, XDG_CONFIG_HOME: join(c.directory, "nobody") };
    const { code, stdout, stderr } = await c.icfs(["publish", tree, id, "--dry-run"], { env: nobody });
    t.equal(code, 0, stderr);
    t.match(stdout, /^added {3}file {6}again\.cfg\nadded {3}file {6}boot\.d\/menu é 1\.cfg\n/);
    t.match(stdout, new RegExp(`\nwould publish ${names} files, .* MB; to upload: ${names} files, .* MB\n$`));
    t.match(await c.listing(), exactly());
    t.notOk(existsSync(join(c.directory, "nobody")), "a dry run creates no identity");
  });

  await t.test("links are followed, and every byte arrives", async (t) => {
    const { stdout, stderr } = await published(c, tree, "--json");
    t.same(JSON.parse(stdout), {
      source: "icboot",
      loops: ["boot.d/all", "boot.d/up/er", "deep/er/all", "deep/er/up"],
      files: names,
      bytes,
      stale: [],
      privateFiles: [],
      filesUploaded: names,
      bytesUploaded: bytes,
    });
    for (const said of [
      `icfs: ${id} is an icboot canister. It has no releases: `,
      "It certifies nothing, anybody can write to it, nothing in it can be deleted, and an upgrade loses everything",
      "Executable bits, symlinks and times are not kept",
      "icfs: not entered, since they lead to a directory that they are in: ",
    ]) {
      t.match(stderr, said);
    }
    t.ok(expected.has("boot.d/up/file"), "find has what lies behind links");
    t.same(differing(await filesOf(c), expected), []);
  });

  await t.test("unchanged files are not sent again", async (t) => {
    t.match(await publication(c, tree), { files: names, bytes, filesUploaded: 0, bytesUploaded: 0 });
    t.match(
      (await published(c, tree)).stdout,
      `nothing changed: the canister has this tree, ${names} files, `,
    );
  });

  await t.test("a changed file is sent in full, and no other file is sent", async (t) => {
    const changed = bytesOf(SIZES.indexOf(2 * MiB), 2 * MiB);
    changed[MiB + 700]! ^= 1;
    await writeFile(join(tree, `sizes/${2 * MiB}`), changed);
    t.match(
      (await published(c, tree, "--dry-run")).stdout,
      /^changed file {6}sizes\/2097152 \(bytes\)\nwould /,
    );
    t.match(await publication(c, tree), { filesUploaded: 1, bytesUploaded: 2 * MiB });
    t.same(differing(await filesOf(c), await filesIn(tree)), []);
  });

  await t.test("files that have become shorter or longer are published correctly", async (t) => {
    await truncate(join(tree, `sizes/${2 * MiB + 512}`), MiB);
    await truncate(join(tree, `sizes/${MiB}`), 0);
    await writeFile(join(tree, "sizes/0"), bytesOf(50, MiB + 3));
    await writeFile(join(tree, `sizes/${MiB + 1}`), bytesOf(51, 3 * MiB));
    t.match(await publication(c, tree), { filesUploaded: 4 });
    t.same(differing(await filesOf(c), await filesIn(tree)), []);
    // The canister still has the old bytes behind the new end: they must not come back.
    await writeFile(join(tree, `sizes/${MiB}`), Buffer.alloc(600));
    t.match(await publication(c, tree), { filesUploaded: 1, bytesUploaded: 600 });
    t.same(differing(await filesOf(c), await filesIn(tree)), []);
  });

  await t.test("removed files stay on the canister, and are named", async (t) => {
    await rm(join(tree, "boot.d"));
    await rm(join(tree, "again.cfg"));
    const dry = await published(c, tree, "--dry-run");
    t.match(dry.stdout, /^stays {3}file {6}again\.cfg\nstays {3}file {6}boot\.d\/menu é 1\.cfg\n/);
    const { stale, filesUploaded } = await publication(c, tree);
    t.same(stale.slice(0, 2), ["again.cfg", "boot.d/menu é 1.cfg"]);
    t.equal(filesUploaded, 0);
    const count = stale.length;
    t.match(
      (await published(c, tree)).stderr,
      `icfs: ${count} of the canister's files are not in ${tree}, and stay: again.cfg, boot.d/menu é 1.cfg, boot.d/run`,
    );
    t.equal((await filesOf(c)).size, (await filesIn(tree)).size + count);
  });

  await t.test("entries that cannot be published are named, and nothing is sent", async (t) => {
    const bad = await treeIn(c, "bad");
    await writeTree(bad, { good: "good", "default.cfg/file": "x" });
    t.match(await c.icfs(["publish", bad, id]), {
      code: 1,
      stdout: "",
      stderr: /nothing was uploaded:\n {2}default\.cfg\/file: on the canister default\.cfg is a file, which /,
    });
    await symlink("/etc/shadow", join(bad, "absolute"));
    await symlink("gone", join(bad, "dangling"));
    await symlink("../tree", join(bad, "outside"));
    await symlink("round", join(bad, "round"));
    const { code, stderr } = await c.icfs(["publish", bad, id]);
    t.equal(code, 1);
    for (const line of [
      "  absolute -> /etc/shadow: the symlink is absolute",
      "  dangling -> gone: the symlink leads to gone, which is not in the tree",
      "  outside -> ../tree: the symlink leaves the tree",
      "  round -> round: the symlink takes more than 40 hops",
    ]) {
      t.match(stderr, line);
    }
    t.match(await c.icfs(["publish", tree, id, "--note", "first"]), {
      code: 1,
      stderr: /is an icboot canister, which keeps no notes: leave out --note/,
    });
    t.notOk((await filesOf(c)).has("good"));
  });
});

t.test("an interrupted publication is continued by the next one", async (t) => {
  const c = await startIcboot(t, { bandwidth: 2 });
  const tree = await treeIn(c, "tree");
  // More files than are sent at once (16), so that some are still to come when the first have arrived, on a slow machine too.
  const files = 24;
  for (let i = 0; i < files; i++) await writeTree(tree, { [`file-${i}`]: bytesOf(i, MiB / 4) });
  const interrupted = await c.icfs(["publish", tree, c.canister.toText()], {
    started: async (child) => {
      while ((await c.listing()).length < 2 && child.exitCode === null) await sleep(50);
      child.kill("SIGINT");
    },
  });
  t.match(interrupted, { code: 130, stdout: "" });
  t.notMatch(interrupted.stderr, /unexpected error|Error:/);
  const { filesUploaded } = await publication(c, tree);
  t.ok(
    filesUploaded > 0 && filesUploaded <= files - 2,
    `${filesUploaded} of ${files} files were left to upload`,
  );
  t.same(differing(await filesOf(c), await filesIn(tree)), []);

  await t.test("verify finds no difference from a copy of all that the canister can keep", async (t) => {
    await symlink("file-0", join(tree, "link"));
    await chmod(join(tree, "file-1"), 0o755);
    await published(c, tree);
    const copy = join(c.directory, "copy");
    await run("cp", ["-rL", "--no-preserve=mode", tree, copy], { env: c.env });
    t.match(await c.icfs(["verify", c.canister.toText(), copy]), {
      code: 0,
      stdout: /25 files, .*, and .*copy is the same/,
    });
  });

  await t.test(
    "verify finds no difference from the directory itself, with its links, a loop and an empty directory",
    async (t) => {
      const id = c.canister.toText();
      await mkdir(join(tree, "empty"));
      await writeTree(tree, { "d/file": "in d" });
      await symlink("..", join(tree, "d/loop"));
      await symlink("d", join(tree, "to-d"));
      for (const dry of [["--dry-run"], []]) {
        const { code, stdout } = await c.icfs(["publish", tree, id, "--json", ...dry]);
        t.equal(code, 0);
        t.same(JSON.parse(stdout).loops, ["d/loop", "to-d/loop"], `${dry}`);
      }
      for (const options of [[], ["--copy-links"], ["--copy-unsafe-links"]]) {
        t.match(
          await c.icfs(["verify", id, tree, ...options]),
          {
            code: 0,
            stdout: /27 files, .* is the same/,
          },
          `${options}`,
        );
      }
      await writeTree(tree, { "d/file": "to d" });
      t.match(await c.icfs(["verify", id, tree]), {
        code: 1,
        stdout: "changed file      d/file (bytes)\nchanged file      to-d/file (bytes)\n",
      });
      await symlink("nothing", join(tree, "dangling"));
      t.match(await c.icfs(["verify", id, tree]), {
        code: 1,
        stdout: /dangling -> nothing: |added +symlink +dangling/,
      });
    },
  );
});
