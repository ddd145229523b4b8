/** icfs localnet gives all that a mount needs: it writes its root key to a file, and prints a line for fstab that mount(8) accepts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { networkStatus } from "../../lib/ic/network.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";

/** Starts a local network. @returns what it has printed, and a function that ends it as Ctrl-C does */
async function start(t: Test, env: NodeJS.ProcessEnv, ...args: string[]) {
  const child = spawn(BIN, ["localnet", "--port", "0", ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  t.teardown(() => void child.kill("SIGKILL"));
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (said.length === 3) break;
  }
  const url = /http:\S+/.exec(said[0]!)![0];
  const { rootKey } = await networkStatus(url);
  return {
    file: /^root key, for --root-key: (\/\S+)$/.exec(said[1]!)![1]!,
    fstab: /^line for \/etc\/fstab: (.*)$/.exec(said[2]!)![1]!,
    rootKey: Buffer.from(rootKey).toString("hex"),
    url,
    end: async () => {
      child.kill("SIGINT");
      const [code] = await once(child, "exit");
      return code;
    },
  };
}

t.test("its root key is written to a file, and removed with the network", async (t) => {
  const directory = await temporaryDirectory(t);
  const env = cleanEnvironment(directory);
  const network = await start(t, env);
  t.equal((await readFile(network.file, "utf8")).trim(), network.rootKey);

  const [canister, mountpoint, type, options] = network.fstab.split(" ");
  t.same([canister, mountpoint, type], ["CANISTER", "/srv/tftp", "icfs"]);
  t.match(options, `network=${network.url},root-key=${network.file}`);
  const helper = join(directory, "mount.icfs");
  await symlink(BIN, helper);
  const at = join(directory, "mountpoint");
  await mkdir(at);
  const mount = (list: string) => run(helper, [ID, at, "-f", "-o", list], { env });
  t.same(await mount(options!), { code: 0, stdout: "", stderr: "" });
  t.match(
    await mount(`ro,network=${network.url}`),
    { code: 1, stderr: `\`icfs localnet\` leaves it in ${network.file}\n` },
    "the error of a mount without root-key names the key's file",
  );

  t.equal(await network.end(), 0);
  t.same(await readdir(join(directory, "state/icfs")), [], "no file is left when the network has ended");
});

t.test("with --state, the file stays for the next start", async (t) => {
  const directory = await temporaryDirectory(t);
  const env = cleanEnvironment(directory);
  const first = await start(t, env, "--state", join(directory, "network"));
  t.equal(await first.end(), 0);
  t.equal((await readFile(first.file, "utf8")).trim(), first.rootKey);
  const next = await start(t, env, "--state", join(directory, "network"));
  t.equal(next.rootKey, first.rootKey);
});

t.test("when the file cannot be written, localnet says so and goes on", async (t) => {
  const directory = await temporaryDirectory(t);
  const env = { ...cleanEnvironment(directory), XDG_STATE_HOME: "/proc/none" };
  const child = spawn(BIN, ["localnet", "--port", "0"], { env, stdio: ["ignore", "pipe", "pipe"] });
  t.teardown(() => void child.kill("SIGKILL"));
  const [said] = await once(createInterface({ input: child.stderr }), "line");
  t.match(said, /^icfs: the root key could not be written to \/proc\/none\/icfs\/localnet-\d+\.key: /);
  child.kill("SIGINT");
  t.same(await once(child, "exit"), [0, null]);
});
