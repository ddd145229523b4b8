/** `make install` puts the program where it is told to, with all that it needs, and `make uninstall` removes all of it. */
import { readdir, readFile, readlink, realpath, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { run, temporaryDirectory } from "../support/icfs.ts";
import { make } from "../support/make.ts";
import { plain } from "../support/plain.ts";

t.setTimeout(1_800_000);

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const UNIT = "opt/boot/lib/systemd/system/icfs@.service";
const HELPERS = ["sbin/mount.icfs", "sbin/mount.fuse.icfs"];

const destination = await temporaryDirectory(t);
const compiled = join(await temporaryDirectory(t), "compiled");
const to = [`DESTDIR=${destination}`, "PREFIX=/opt/boot", "SBINDIR=/sbin"];

/** The documents of a checkout, which README.md links to. */
const documents = (
  await run("git", ["ls-files", "*.md", "docs", "examples"], { env: process.env, cwd: ROOT })
).stdout
  .trim()
  .split("\n")
  .filter((name) => !name.includes("/") || /^(docs|examples)\/|^bench\/RESULTS\.md$/.test(name));

/** All files there, without directories. */
async function files(): Promise<string[]> {
  const all = await readdir(destination, { recursive: true, withFileTypes: true });
  return all
    .filter((one) => !one.isDirectory())
    .map((one) => join(one.parentPath, one.name).slice(destination.length + 1))
    .sort();
}

t.test("install", async (t) => {
  await make("install", ...to);
  await make("install", ...to);
  const all = await files();
  const program = all.filter((name) => name.startsWith("opt/boot/lib/icfs/"));
  t.same(
    all.filter((name) => !program.includes(name)),
    [
      "opt/boot/bin/icfs",
      UNIT,
      "opt/boot/lib/systemd/system/icfs-serve@.service",
      "opt/boot/libexec/icfs/dnsmasq-ledger",
      "opt/boot/share/bash-completion/completions/icfs",
      ...documents.map((name) => `opt/boot/share/doc/icfs/${name}`),
      "opt/boot/share/fish/vendor_completions.d/icfs.fish",
      "opt/boot/share/man/man1/icfs.1",
      "opt/boot/share/man/man8/mount.fuse.icfs.8",
      "opt/boot/share/man/man8/mount.icfs.8",
      "opt/boot/share/zsh/site-functions/_icfs",
      ...HELPERS,
    ].sort(),
    "two installs leave exactly the expected files",
  );
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const named = readme.match(/(?:\b(?:docs|examples|bench)\/)?[\w.-]+\.(?:md|svg|png)\b/g)!;
  t.ok(named.length > 5);
  for (const name of new Set(named))
    t.ok(documents.includes(name), `${name}, which README.md names, is installed`);
  const unit = await readFile(join(destination, UNIT), "utf8");
  t.match(unit, 'ExecStart="/opt/boot/bin/icfs" mount');
  t.notMatch(unit, /\/usr\//, "the unit names nothing below /usr");
  t.same(
    program.filter((name) => /\.(ts|map)$|\/test\/|darwin|\/include\//.test(name)),
    [],
    "no sources, source maps, tests or headers are installed",
  );
  for (const helper of HELPERS) {
    t.equal(await readlink(join(destination, helper)), "/opt/boot/lib/icfs/bin/icfs");
  }
  const bin = join(destination, "opt/boot/bin/icfs");
  t.equal(
    await realpath(bin),
    await realpath(join(destination, "opt/boot/lib/icfs/bin/icfs")),
    "the installed command resolves below DESTDIR",
  );
  const env = { NODE_COMPILE_CACHE: compiled };
  t.match(await run(...plain(bin, ["--version"]), { env }), {
    code: 0,
    stdout: /^\d+\.\d+\.\d+\n$/,
    stderr: "",
  });
});

t.test("uninstall", async (t) => {
  const others = join(destination, HELPERS[0]!);
  await rm(others);
  await symlink("../lib/icfs/bin/icfs", others);
  await make("uninstall", ...to);
  t.same(await files(), [HELPERS[0]], "uninstall keeps a helper that has since been replaced");
  await rm(others);
});

t.test("a prefix with blanks and with characters special to sed and systemd", async (t) => {
  const odd = [`DESTDIR=${destination}`, "PREFIX=/opt/boot & 100% #1"];
  await make("install", ...odd);
  const prefix = join(destination, "opt/boot & 100% #1");
  const env = { NODE_COMPILE_CACHE: compiled };
  t.match(await run(join(prefix, "bin/icfs"), ["--version"], { env }), { code: 0, stderr: "" });
  const unit = await readFile(join(prefix, "lib/systemd/system/icfs@.service"), "utf8");
  t.match(unit, 'ExecStart="/opt/boot & 100%% #1/bin/icfs" mount');
  await make("uninstall", ...odd);
  t.same(await files(), []);
});
