/**
 * `npm pack` packs all that is needed and nothing else, and the package works when npm has installed it: for a whole host, and for
 * a project, where no other Node is new enough, or there is no other; also with Debian's npm.
 */
import { chmod, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Process, run } from "../../demo/process.ts";
import { mountpointFor, sh } from "../mount/mounts.ts";
import { debianNpm } from "../support/debian-npm.ts";
import { cleanEnvironment, run as result, temporaryDirectory } from "../support/icfs.ts";
import { make } from "../support/make.ts";
import { plain } from "../support/plain.ts";

t.setTimeout(1_800_000);

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Without this checkout's Node. */
const SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin";
/** Seconds: npm may have to wait for its registry. */
const LONG = 300;

const directory = await temporaryDirectory(t);
const { NODE_COMPILE_CACHE: _, ...clean } = cleanEnvironment(directory);
/** Node's compiled code would otherwise go where the host's does. */
const env = { ...clean, PATH: SYSTEM, NODE_COMPILE_CACHE: join(directory, "compiled") };
/** This machine's npm, with its own configuration: it says where the registry and the cache are. */
const npm = (...args: string[]) => npmIn(SYSTEM, ...args);
function npmIn(path: string, ...args: string[]): Promise<string> {
  const env = { ...process.env, PATH: path };
  return run(...plain("npm", [...args, "--no-audit", "--no-fund"]), { env, seconds: LONG });
}

await make("dist");
const [packed] = JSON.parse(
  await npm("pack", ROOT, "--ignore-scripts", "--json", "--pack-destination", directory),
);
const tarball = join(directory, packed.filename);
const host = join(directory, "host");

t.test("the package has the files that it needs, and no others", async (t) => {
  const all = await Promise.all(
    ["lib", "localnet"].map(async (room) =>
      (await readdir(join(ROOT, room), { recursive: true })).map((name) => join(room, name)),
    ),
  );
  const sources = all.flat().filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"));
  const expected = [
    ...["package.json", "LICENSE", "README.md", "CHANGELOG.md", "bin/icfs"],
    ...["build/icfs.wasm", "build/icfs.did", "build/man/icfs.1", "build/man/mount.icfs.8"],
    "build/man/mount.fuse.icfs.8",
    ...(await readdir(join(ROOT, "examples"))).map((name) => join("examples", name)),
    ...sources.map((name) => join("dist", name.replace(/\.ts$/, ".js"))),
  ];
  t.same(packed.files.map(({ path }: { path: string }) => path).sort(), expected.sort());
});

t.test("installed globally, it deploys, publishes, mounts and unmounts", async (t) => {
  await npm("install", "--global", "--prefix", host, tarball);
  const bin = join(host, "bin/icfs");
  const icfs = (...args: string[]) => run(...plain(bin, args), { env });
  t.equal(await icfs("--version"), `${packed.version}\n`);
  t.match(
    await icfs("example", "nginx", "rrkah-fqaaa-aaaaa-aaaaq-cai"),
    "rrkah-fqaaa-aaaaa-aaaaq-cai.icp0.io",
  );
  await using network = new Process(...plain(bin, ["localnet", "--port", "0"]), env);
  const [, url = ""] = await network.until(/(http:\/\/127\.0\.0\.1:\d+)\s/, { seconds: 60 });
  const to = ["--network", url];
  const id = (await icfs("deploy", ...to)).trim();
  const tree = join(directory, "tree");
  await mkdir(join(tree, "pxelinux.cfg"), { recursive: true });
  await writeFile(join(tree, "pxelinux.0"), Buffer.alloc(3_000_000, "loader"));
  await writeFile(join(tree, "pxelinux.cfg/default"), "menu\n");
  await icfs("publish", tree, id, ...to);
  const mountpoint = await mountpointFor(t);
  await icfs("mount", id, mountpoint, ...to, "--log-file", join(directory, "log"));
  t.match(await sh("diff", "-r", tree, mountpoint), { code: 0, stdout: "" }, "every byte");
  await icfs("umount", mountpoint);
  t.match(await sh("mountpoint", mountpoint), { code: 32 });
});

/** All programs that bin/icfs needs, without Node. */
const tools = join(directory, "tools");
await mkdir(tools);
for (const tool of ["dirname", "id", "ls", "mkdir", "readlink", "rm", "sed"]) {
  await symlink(`/usr/bin/${tool}`, join(tools, tool));
}
const withoutNode = { PATH: tools, NODE_COMPILE_CACHE: env.NODE_COMPILE_CACHE };
const expected = { code: 0, stdout: `${packed.version}\n`, stderr: "" };

t.test("without any Node on the host, it uses its own", async (t) => {
  t.same(await result(...plain(join(host, "bin/icfs"), ["--version"]), { env: withoutNode }), expected);
});

t.test("installed by Debian's npm, it uses its own Node too", async (t) => {
  const path = `${await debianNpm(t)}:${SYSTEM}`;
  t.equal((await npmIn(path, "--version")).trim(), "9.2.0");
  const [other, project] = [join(directory, "other"), join(directory, "with-debian")];
  await npmIn(path, "install", "--global", "--prefix", other, tarball);
  await mkdir(project);
  await writeFile(join(project, "package.json"), "{}");
  await npmIn(path, "install", "--prefix", project, tarball);
  for (const program of [join(other, "bin/icfs"), join(project, "node_modules/.bin/icfs")]) {
    t.same(await result(...plain(program, ["--version"]), { env: withoutNode }), expected);
  }
});

t.test("in a project, it runs beside a Node that is too old", async (t) => {
  const project = join(directory, "project");
  await mkdir(project);
  await writeFile(join(project, "package.json"), "{}");
  await npm("install", "--prefix", project, tarball);
  const old = join(directory, "old");
  await mkdir(old);
  await writeFile(join(old, "node"), "#!/bin/sh\necho v20.20.2\n");
  await chmod(join(old, "node"), 0o755);
  const program = join(project, "node_modules/.bin/icfs");
  t.same(
    await result(...plain(program, ["--version"]), { env: { ...env, PATH: `${old}:${SYSTEM}` } }),
    expected,
  );
});
