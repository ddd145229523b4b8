import { createHash } from "node:crypto";
import { chmod, mkdir, symlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { BIN, run } from "../support/icfs.ts";

const TIME = "2020-02-02T02:02:02";

t.test("icfs ls", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  t.match(await c.icfs(["ls", id]), {
    code: 1,
    stdout: "",
    stderr: new RegExp(`${id} has no release yet: .icfs publish`),
  });

  await writeTree(tree, { "boot/pxelinux.0": "x".repeat(1234), "boot/größe/🥾": "", run: "#!", z: "" });
  await mkdir(join(tree, "empty"));
  await symlink("boot/größe", join(tree, "link"));
  await symlink("../link/🥾", join(tree, "boot/deep"));
  await chmod(join(tree, "run"), 0o755);
  for (const path of ["boot/pxelinux.0", "boot/größe/🥾", "boot/größe", "boot", "run", "z", "empty"]) {
    await utimes(join(tree, path), new Date(`${TIME}Z`), new Date(`${TIME}Z`));
  }
  const { header } = JSON.parse((await c.icfs(["publish", tree, id, "--json"])).stdout);
  const ls = async (...args: string[]) => {
    const { code, stdout, stderr } = await c.icfs(["ls", ...args]);
    t.match({ code, stderr }, { code: 0, stderr: "" }, args.join(" "));
    return stdout.split("\n").slice(0, -1);
  };

  t.same(await ls(id), ["boot", "empty", "link", "run", "z"]);
  t.same(await ls("-R", id), [
    "boot",
    "boot/deep",
    "boot/größe",
    "boot/größe/🥾",
    "boot/pxelinux.0",
    "empty",
    "link",
    "run",
    "z",
  ]);
  t.same(await ls(id, "boot"), ["deep", "größe", "pxelinux.0"], "names are listed relative to the path");
  t.same(await ls(id, "/boot/"), ["deep", "größe", "pxelinux.0"]);
  t.same(await ls(id, "boot/pxelinux.0"), ["boot/pxelinux.0"]);
  t.same(await ls(id, "link"), ["🥾"], "a symlink to a directory lists that directory");
  t.same(await ls(id, "boot/deep"), ["boot/größe/🥾"], "a path through two symlinks leads to the file");
  t.same(
    await ls(id, "link/../pxelinux.0"),
    ["boot/pxelinux.0"],
    "link/.. is resolved as the kernel resolves it",
  );
  t.same(await ls(id, "empty"), []);

  const long = await ls("-l", id);
  t.same(
    long.filter((line) => !line.includes(" link")),
    [
      `dr-xr-xr-x           0 ${TIME} boot`,
      `dr-xr-xr-x           0 ${TIME} empty`,
      `-r-xr-xr-x           2 ${TIME} run`,
      `-r--r--r--           0 ${TIME} z`,
    ],
  );
  t.match(long[2], /^lrwxrwxrwx +12 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d link -> boot\/größe$/);
  t.same(await ls("-lR", id, "boot/größe"), [`-r--r--r--           0 ${TIME} 🥾`]);

  const json = await ls("--json", id);
  t.equal(json.length, 1);
  const object = JSON.parse(json[0]!);
  t.match(object, { release: 1, header });
  t.same(object.entries[0], { kind: "directory", path: "boot", modified: `${TIME}.000Z` });
  t.match(object.entries[2], { kind: "symlink", path: "link", target: "boot/größe" });
  t.same(object.entries[3], {
    kind: "file",
    path: "run",
    modified: `${TIME}.000Z`,
    size: 2,
    sha256: createHash("sha256").update("#!").digest("hex"),
    executable: true,
  });
  const [file] = await ls("--json", id, "boot/deep");
  t.same(
    JSON.parse(file!).entries.map(({ path }: { path: string }) => path),
    ["boot/größe/🥾"],
  );

  for (const path of ["nothing", "boot/nothing", "z/below"]) {
    const { code, stdout, stderr } = await c.icfs(["ls", id, path]);
    t.same({ code, stdout, stderr }, { code: 1, stdout: "", stderr: `icfs: ${path}: not in release 1\n` });
  }
});

t.test("direction overrides in names are escaped on a terminal, and unchanged for programs", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { "a\u202eexe.jpg": "" });
  t.match(await c.icfs(["publish", tree, id]), { code: 0 });
  t.same((await c.icfs(["ls", id])).stdout, "a\u202eexe.jpg\n");
  const terminal = await run("script", ["-qec", `${BIN} ls ${id}`, "/dev/null"], { env: c.env });
  t.match(terminal.stdout, "a\\u{202e}exe.jpg");
  t.notMatch(terminal.stdout, "\u202e");
  const { stdout } = await c.icfs(["ls", id, "--json"]);
  t.match(stdout, '"a\\u202eexe.jpg"', "JSON output escapes the override for programs as well");
  t.equal(JSON.parse(stdout).entries[0].path, "a\u202eexe.jpg");
  t.match(await c.icfs(["cat", id, "no\u202efile"]), {
    code: 1,
    stderr: "icfs: no\\u{202e}file: not in release 1\n",
  });
});
