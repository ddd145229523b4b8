/** Which files of a directory are published, and which questions come first: the same for each kind of canister, `--dry-run` and verify. */
import { chmod, mkdir, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { writeTree } from "../publish/trees.ts";
import { startCanister, type TestCanister } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";
import { startIcboot } from "../support/icboot.ts";
import { BIN, type Result, run } from "../support/icfs.ts";

type Canister = Pick<TestCanister, "canister" | "directory" | "icfs" | "env">;

/** Makes a directory with these files, and commands that publish it. */
async function publisher(c: Canister, name: string, files: Readonly<Record<string, string>>) {
  const tree = join(c.directory, name);
  const id = c.canister.toText();
  await mkdir(tree);
  await writeTree(tree, files);
  return {
    tree,
    publish: (...more: string[]) => c.icfs(["publish", tree, id, ...more]),
    verify: (...more: string[]) => c.icfs(["verify", id, tree, ...more]),
    names: async () =>
      (await c.icfs(["ls", "-R", id])).stdout
        .trim()
        .split("\n")
        .filter((line) => line !== ""),
  };
}

/** A directory like that of Debian's package ipxe, which has links to /boot. */
async function ipxe(t: Test, c: Canister) {
  const p = await publisher(c, "ipxe", { "undionly.kpxe": "bios", "d/readme": "text" });
  const boot = join(c.directory, "boot");
  await mkdir(boot);
  await writeTree(boot, { "ipxe.efi": "efi", "ipxe.lkrn": "kernel" });
  await symlink(join(boot, "ipxe.efi"), join(p.tree, "ipxe.efi"));
  await symlink("../boot/ipxe.lkrn", join(p.tree, "ipxe.lkrn"));
  await symlink("undionly.kpxe", join(p.tree, "default"));
  const refused = (result: Result) =>
    t.match(result, {
      code: 1,
      stdout: "",
      stderr: [
        "cannot be published; nothing was uploaded:",
        `  ipxe.efi -> ${boot}/ipxe.efi: the symlink is absolute`,
        "  ipxe.lkrn -> ../boot/ipxe.lkrn: the symlink leaves the tree",
        "--copy-unsafe-links publishes what a symlink out of the directory points to in its place, --copy-links what any does",
        "--exclude PATTERN, or a line in a file .icfsignore, leaves out what is not to be published\n",
      ].join("\n"),
    });
  const copied = [
    `copied  symlink   ipxe.efi -> ${boot}/ipxe.efi`,
    "copied  symlink   ipxe.lkrn -> ../boot/ipxe.lkrn",
  ];
  return { ...p, boot, refused, copied };
}

t.test("an icfs canister", async (t) => {
  const c = await startCanister(t);

  await t.test("links out of the directory", async (t) => {
    const p = await ipxe(t, c);
    p.refused(await p.publish());
    p.refused(await p.publish("--dry-run"));
    const dry = await p.publish("--dry-run", "--copy-unsafe-links");
    t.equal(dry.code, 0, dry.stderr);
    t.match(dry.stdout, `\n${p.copied.join("\n")}\nwould publish release 1: 4 files, `);
    t.match(dry.stdout, "\nadded   symlink   default\n");
    const json = await p.publish("--dry-run", "--copy-unsafe-links", "--json");
    t.equal(json.code, 0, json.stderr);
    t.match(JSON.parse(json.stdout), {
      copiedLinks: exactly(
        { path: "ipxe.efi", target: join(p.boot, "ipxe.efi") },
        { path: "ipxe.lkrn", target: "../boot/ipxe.lkrn" },
      ),
    });
    t.match(await p.publish("--copy-unsafe-links"), {
      code: 0,
      stdout: /^published release 1 .*: 4 files, /,
    });
    t.match(await p.verify("--copy-unsafe-links"), { code: 0 });
    t.match(await p.verify(), {
      code: 1,
      stdout: "changed symlink   ipxe.efi (was a file)\nchanged symlink   ipxe.lkrn (was a file)\n",
    });
    t.match(await p.publish("--copy-unsafe-links"), { code: 0, stdout: /^nothing changed: release 1 / });
    t.match(await p.publish("--copy-links"), { code: 0, stdout: /^published release 2 .*: 5 files, / });
    t.match(await p.verify("--copy-links"), { code: 0 });
  });

  await t.test("excluded and ignored files", async (t) => {
    const p = await publisher(c, "home", {
      kernel: "kernel",
      "kernel~": "old",
      ".git/config": "",
      "lost+found/x": "",
      "d/.menu.swp": "",
      "d/menu": "menu",
      "d/build/out": "",
      "d/.icfsignore": "# of d alone\n/build\n",
      ".icfsignore": "*~\n.git/\n",
    });
    const exclude = ["--exclude", "*.swp", "--exclude", "lost+found"];
    const dry = await p.publish("--dry-run", "--private-files", "error", ...exclude);
    t.notMatch(dry.stdout, /added .*(~|git|lost|swp|build|icfsignore)/, "");
    t.match(await p.publish(...exclude), { code: 0 });
    t.match(await p.names(), exactly("d", "d/menu", "kernel"));
    t.match(await p.verify(...exclude), { code: 0, stdout: /is the same\n$/ });
    t.match(await p.verify("--exclude", "*.swp"), {
      code: 1,
      stdout: "added   directory lost+found\nadded   file      lost+found/x\n",
    });
    const variable = { ...c.env, ICFS_EXCLUDE: "*.swp\nlost+found" };
    const again = await c.icfs(["publish", p.tree, c.canister.toText()], { env: variable });
    t.match(again, { code: 0, stdout: /^nothing changed/ });
    t.match(await p.publish("--exclude", ""), { code: 2, stderr: /Use a pattern such as/ });
  });

  await t.test("files that others on this host cannot read", async (t) => {
    const p = await publisher(c, "private", { open: "", key: "key", "d/a": "", "d/b": "" });
    await chmod(join(p.tree, "key"), 0o600);
    await chmod(join(p.tree, "d"), 0o700);
    const named =
      "3 files that others on this host cannot read become readable to all readers of the canister: d/ (2 files), key\n";
    const dry = await p.publish("--dry-run");
    t.match(dry, {
      code: 0,
      stdout: "\nprivate file      d/a\nprivate file      d/b\nprivate file      key\nwould publish ",
    });
    for (const more of [[], ["--dry-run"]]) {
      t.match(await p.publish("--private-files", "error", ...more), {
        code: 1,
        stdout: "",
        stderr:
          /nothing was uploaded:\n {2}d\/ \(2 files\): others on this host cannot read it\n {2}key: others .*\n--private-files publish /,
      });
    }
    const { code, stdout, stderr } = await p.publish("--json");
    t.match({ code, stderr }, { code: 0, stderr: `icfs: ${named}` });
    t.same(JSON.parse(stdout).privateFiles, ["d/a", "d/b", "key"]);
    const without = ["--exclude", "/d", "--exclude", "key"];
    t.match(await p.publish("--private-files", "error", ...without), { code: 0, stdout: /: 1 files, / });
  });

  await t.test("a publication that removes most files asks first on a terminal", async (t) => {
    const files = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`f${i}`, String(i)]));
    const p = await publisher(c, "shrinking", files);
    await p.publish();
    const release = async () => (await c.source().head())?.header.number;
    const before = await release();
    for (const i of [0, 1, 2, 3]) await rm(join(p.tree, `f${i}`));
    t.notMatch(
      (await p.publish("--dry-run")).stderr,
      "this removes",
      "removing half of the files gives no warning",
    );
    await rm(join(p.tree, "f4"));
    await mkdir(join(p.tree, "f4"));
    const said = `icfs: of the 8 files of release ${before} this removes 5: f0, f1, f2, f3, f4\n`;
    t.match(await p.publish("--dry-run"), { code: 0, stderr: said });

    /** Publishes on a terminal, and types `text` at the question. Text that is typed earlier could get lost. */
    const typed = async (text: string) => {
      const command = `${BIN} publish ${p.tree} ${c.canister}`;
      const shown = join(c.directory, "shown");
      await rm(shown, { force: true });
      const asked = `until grep -qs y/N '${shown}'; do sleep 0.1; done`;
      const typing = `{ ${asked}; printf '${text}'; } | script -qefc '${command}' '${shown}'`;
      return run("bash", ["-c", typing], { env: c.env });
    };
    for (const answer of ["n\\n", "\\n", "what\\n", "\\004"]) {
      const { code, stdout } = await typed(answer);
      t.match(
        { code, stdout },
        {
          code: 1,
          stdout: /this removes 5: [\s\S]*Publish it\? \[y\/N\] [\s\S]*icfs: nothing was published/,
        },
        answer,
      );
    }
    t.equal(await release(), before);
    t.match(await typed("y\\n"), { code: 0, stdout: /Publish it\? \[y\/N\] [\s\S]*published release/ });
    t.equal(await release(), before! + 1);

    // Without stdin there is no question, even on a terminal.
    await rm(join(p.tree, "f5"));
    await rm(join(p.tree, "f6"));
    const command = `${BIN} publish ${p.tree} ${c.canister} </dev/null`;
    const { code, stdout } = await run("script", ["-qec", command, "/dev/null"], { env: c.env });
    t.match(
      { code, stdout },
      { code: 0, stdout: /of the 3 files of release .* this removes 2: f5, f6\r?\n/ },
    );
    t.notMatch(stdout, "[y/N]");
    await rename(join(p.tree, "f7"), join(p.tree, "seventh"));
    t.match(await p.publish(), {
      code: 0,
      stdout: /^published release/,
      stderr: /of the 1 files of release .* this removes 1: f7\n/,
    });
  });
});

t.test("an icboot canister", async (t) => {
  const c = await startIcboot(t);

  await t.test("links out of the directory", async (t) => {
    const p = await ipxe(t, c);
    p.refused({ ...(await p.publish()) });
    for (const option of ["--copy-unsafe-links", "--copy-links"]) {
      const dry = await p.publish("--dry-run", option, "--exclude", "readme");
      t.match(dry, { code: 0, stdout: `${p.copied.join("\n")}\nwould publish 4 files, ` });
    }
    t.match(await p.publish("--copy-links", "--exclude", "readme"), {
      code: 0,
      stdout: /^published 4 files, /,
    });
    t.same(await p.names(), ["default", "ipxe.efi", "ipxe.lkrn", "undionly.kpxe"]);
    t.match(await p.verify("--copy-links", "--exclude", "d"), { code: 0, stdout: /is the same\n$/ });
  });

  await t.test("a directory without files, and private files", async (t) => {
    const p = await publisher(c, "empty", {});
    const refusal = `icfs: ${p.tree} has no files to publish, and the canister has 4: is it the right directory, and is what belongs there mounted? --allow-empty publishes it as it is\n`;
    for (const more of [[], ["--dry-run"]])
      t.match(await p.publish(...more), { code: 1, stdout: "", stderr: refusal });
    t.match(await p.publish("--allow-empty"), {
      code: 0,
      stdout: "nothing changed: there is nothing to publish, and the canister's 4 files stay\n",
    });
    t.match(await p.publish("--allow-empty", "--dry-run"), {
      code: 0,
      stdout: "\nnothing would change: there is nothing to publish, and the canister's 4 files stay\n",
    });
    await writeTree(p.tree, { key: "", ".icfsignore": "*.bak", "x.bak": "" });
    await chmod(join(p.tree, "key"), 0o640);
    t.match(await p.publish("--private-files", "error"), {
      code: 1,
      stderr: /\n {2}key: others on this host cannot read it\n/,
    });
    t.match(await p.publish("--dry-run"), { code: 0, stdout: "\nprivate file      key\n" });
    t.match(await p.publish(), {
      code: 0,
      stderr:
        "1 files that others on this host cannot read become readable to all readers of the canister: key\n",
    });
    t.notOk((await p.names()).includes("x.bak"));
  });
});
