/** icfs publish, lint and verify with --machines, and --dry-run, against a real canister on a local network. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { kernel } from "../support/linted.ts";

t.test("icfs publish --machines", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { linux: kernel("6.1.0"), "grub/grub.cfg": "set timeout=5\n" });
  const file = join(c.directory, "hosts.yaml");
  const WEB = "- {mac: 525400696366, name: web-1, kernel: linux, args: one}";
  const DB = "- {mac: 525400696367, name: db-1, kernel: linux}";
  const hosts = (...machines: string[]) => writeFile(file, `machines:\n${machines.join("\n")}\n`);
  const icfs = (...args: string[]) => c.icfs([...args, "--machines", file]);
  const filesOf = (mac: string) => [`grub/grub.cfg-01-${mac}`, `ipxe/${mac}.ipxe`, `pxelinux.cfg/01-${mac}`];
  const [web, db] = [filesOf("52-54-00-69-63-66"), filesOf("52-54-00-69-63-67")];
  const dryRun = async () => {
    const { code, stdout, stderr } = await icfs("publish", tree, id, "--dry-run", "--json");
    t.equal(code, 0, stderr);
    const { added, changed, removed } = JSON.parse(stdout).differences;
    const paths = (some: { path: string; kind: string }[]) =>
      some.filter(({ kind }) => kind === "file").map(({ path }) => path);
    return { added: paths(added), changed: paths(changed), removed: paths(removed) };
  };

  await t.test("machines' files are part of the release, the diff and verify", async (t) => {
    await hosts(WEB, DB);
    t.match((await icfs("publish", tree, id, "--dry-run")).stdout, `added   file      ${web[1]}\n`);
    t.match(await icfs("publish", tree, id, "--strict"), {
      code: 0,
      stdout: /^published release 1 .*: 8 files/,
    });
    t.match(
      (await c.icfs(["cat", id, web[2]!])).stdout,
      "# web-1\nDEFAULT boot\nLABEL boot\n  LINUX linux\n  APPEND one\n",
    );
    t.match(await icfs("verify", id, tree), { code: 0, stdout: "is the same" });
    t.match(await c.icfs(["verify", id, tree]), { code: 1, stdout: `removed file      ${web[0]}` });
    t.match(await icfs("publish", tree, id), { code: 0, stdout: /^nothing changed: release 1 / });
  });

  await t.test("a changed machine's files change, and a removed machine's files go", async (t) => {
    await hosts(WEB.replace("one", "two"), DB);
    t.same(await dryRun(), { added: [], changed: web, removed: [] });
    await hosts(WEB);
    t.same(await dryRun(), { added: [], changed: [], removed: db });
    t.match(await icfs("publish", tree, id), { code: 0, stdout: /^published release 2 .*: 5 files/ });
    t.notMatch((await c.icfs(["ls", "-R", id])).stdout, "52-54-00-69-63-67");
  });

  await t.test("an empty directory is refused even if machines have files", async (t) => {
    const empty = join(c.directory, "empty");
    await mkdir(empty);
    t.match(await icfs("publish", empty, id), {
      code: 1,
      stderr: /has no files to publish, and release 2 has 5/,
    });
  });

  await t.test("lint and --strict name the machine and the template", async (t) => {
    await hosts(WEB.replace("kernel: linux", "kernel: Linux"));
    const found =
      /pxelinux\.cfg\/01-\S+:4: names Linux, .*\[missing-file\] \(of the template pxelinux, for web-1\)/;
    t.match(await icfs("lint", tree), { code: 1, stdout: found, stderr: /3 findings/ });
    const [finding] = JSON.parse((await icfs("lint", tree, "--json")).stdout);
    t.match(finding, { machine: "web-1", template: "grub" });
    t.match(await icfs("publish", tree, id, "--strict"), { code: 1, stderr: found });
  });

  await t.test("secrets are refused without --allow-secrets", async (t) => {
    await hosts(WEB.replace("args: one", "args: password=hunter2"));
    for (const command of [
      ["publish", tree, id, "--dry-run"],
      ["lint", tree],
      ["verify", id, tree],
    ]) {
      const { code, stdout, stderr } = await icfs(...command);
      t.match(
        { code, stderr },
        { code: 1, stderr: `${file}:2: the machine web-1: args has what looks like a value of password` },
      );
      t.notMatch(stdout + stderr, "hunter2");
    }
    t.match(await icfs("publish", tree, id, "--dry-run", "--allow-secrets"), { code: 0 });
  });

  await t.test("custom templates, with machines in CSV", async (t) => {
    const templates = join(c.directory, "templates");
    await mkdir(templates);
    await writeTree(templates, { "{{ group }}/{{ name }}.ks": "# {{ name }} in {{ rack }}\n" });
    const csv = join(c.directory, "hosts.csv");
    await writeFile(csv, "mac,name,group,rack\n52:54:00:69:63:66,web-1,web,7\n");
    const env = { ...c.env, ICFS_MACHINES: csv, ICFS_MACHINES_TEMPLATE: templates };
    t.match(await c.icfs(["publish", tree, id], { env }), { code: 0, stdout: "published release 3" });
    t.equal((await c.icfs(["cat", id, "web/web-1.ks"])).stdout, "# web-1 in 7\n");
    t.match(await c.icfs(["verify", id], { env: { ...env, ICFS_MACHINES: "/nowhere" } }), { code: 0 });
    t.match(await c.icfs(["publish", tree, id, "--machines-template", templates]), {
      code: 2,
      stderr: "--machines-template needs machines: name a file with --machines",
    });
  });

  await t.test("the example is a valid list of machines", async (t) => {
    const { stdout } = await c.icfs(["example", "machines"]);
    await writeFile(file, stdout);
    await writeTree(tree, { "debian-installer/amd64/linux": await readFile(join(tree, "linux")) });
    await writeTree(tree, { "debian-installer/amd64/initrd.gz": "" });
    t.match(await icfs("publish", tree, id, "--dry-run"), {
      code: 0,
      stdout: /\nwould publish release 4: 13 files/,
    });
  });
});
