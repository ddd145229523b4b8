/** Missing directories are made; where that fails, on a read-only disk or in /proc, the messages say why. */
import { lchown, mkdir, stat, symlink, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import t from "tap";
import {
  cacheDirectory,
  configDirectory,
  makeDirectory,
  mustBeOwn,
  stateDirectory,
} from "../lib/directories.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "./support/icfs.ts";

t.test("a directory is made, with its missing parents", async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, "a/b/c");
  for (let i = 0; i < 2; i++) makeDirectory(path, 0o700);
  t.equal((await stat(path)).mode & 0o777, 0o700);
  await symlink("a", join(directory, "link"));
  makeDirectory(join(directory, "link"));
  await writeFile(join(directory, "file"), "");
  t.throws(() => makeDirectory(join(directory, "file")), { code: "EEXIST" });
  t.throws(() => makeDirectory(join(directory, "file/below/it")), { code: "ENOTDIR" });
  t.throws(() => makeDirectory("/proc/no-such-directory/below"), { code: "ENOENT" }, "it ends");
});

t.test("on a read-only disk, each error says so and names the directory", async (t) => {
  const directory = await temporaryDirectory(t);
  const [disk, mountpoint, tree] = ["disk", "mountpoint", "tree"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [disk, mountpoint, tree]) await mkdir(path);
  const id = "rwlgt-iiaaa-aaaaa-aaaaa-cai";
  const mount = ["mount", id, mountpoint, "--network", "http://127.0.0.1:1"];
  const cases: [args: string[], env: NodeJS.ProcessEnv, message: RegExp][] = [
    [
      [...mount, "--cache-dir", `${disk}/cache/icfs`],
      {},
      /^icfs: cannot make the cache directory \(EROFS: read-only file system, mkdir '\S*disk\/cache'\): choose another with --cache-dir/,
    ],
    [
      [...mount, "--log-file", `${disk}/log/icfs.log`],
      {},
      /^icfs: cannot write the daemon's log \(EROFS: .*mkdir '\S*disk\/log'\): choose another with --log-file/,
    ],
    [
      ["localnet", "--port", "0", "--state", `${disk}/state`],
      {},
      /^icfs: cannot keep anything in \S*disk\/state \(EROFS: .*mkdir '\S*disk\/state'\): choose another with --state/,
    ],
    [
      ["identity"],
      { XDG_CONFIG_HOME: `${disk}/config` },
      /^icfs: cannot make an identity \(EROFS: .*mkdir '\S*disk\/config'\): give one with --identity PEM/,
    ],
  ];
  for (const [args, env, message] of cases) {
    const script = `mount -t tmpfs -o ro tmpfs ${disk} && exec "$0" "$@"`;
    const result = await run("unshare", ["--mount", "sh", "-c", script, BIN, ...args], {
      env: { ...cleanEnvironment(directory), ...env },
    });
    t.match(result, { code: 1, stdout: "", stderr: message }, args.join(" "));
  }
});

t.test("a link to a user's own directory is accepted only if that user made it", async (t) => {
  const directory = await temporaryDirectory(t);
  const [own, link] = [join(directory, "own"), join(directory, "link")];
  await mkdir(own, { mode: 0o700 });
  await symlink(own, link);
  const { geteuid } = process;
  t.teardown(() => void Object.assign(process, { geteuid }));
  Object.assign(process, { geteuid: () => 1234 });
  for (const path of [own, link]) await lchown(path, 1234, 1234);
  t.doesNotThrow(() => mustBeOwn(link, "choose another"));
  await lchown(link, 5678, 5678);
  t.throws(() => mustBeOwn(link, "choose another"), {
    name: "UserError",
    message: /link is a symbolic link, and others may have made it: choose another$/,
  });
});

t.test(
  "relative paths in HOME and XDG variables are ignored, since a daemon changes its directory",
  async (t) => {
    const NAMES = ["HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"];
    const before = NAMES.map((name) => [name, process.env[name]] as const);
    const { getuid } = process;
    t.teardown(() => {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      process.getuid = getuid;
    });
    const all = () => [cacheDirectory(), stateDirectory("/var/lib/icfs"), configDirectory()];
    const set = (home: string | undefined, xdg: string | undefined) => {
      for (const name of NAMES) {
        const value = name === "HOME" ? home : xdg;
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    };
    process.getuid = () => 12345;
    const below = (home: string) => [
      `${home}/.cache/icfs`,
      `${home}/.local/state/icfs`,
      `${home}/.config/icfs`,
    ];
    set("/home/somebody", undefined);
    t.same(all(), below("/home/somebody"));
    for (const relative of ["", ".", "state", "./state", "../x"]) {
      set("/home/somebody", relative);
      t.same(all(), below("/home/somebody"), `XDG variables of "${relative}" are ignored`);
      set(relative, undefined);
      t.same(all(), below(userInfo().homedir), `a HOME of "${relative}" is ignored`);
    }
    set("/home/somebody", "/elsewhere");
    t.same(all(), ["/elsewhere/icfs", "/elsewhere/icfs", "/elsewhere/icfs"]);
  },
);

t.test("without HOME and an entry in passwd(5), the cache directory is below /nonexistent", async (t) => {
  const program = `import { cacheDirectory } from ${JSON.stringify(new URL("../lib/directories.ts", import.meta.url))};
    process.setuid(12345);
    console.log(cacheDirectory());`;
  const { HOME: _, XDG_CACHE_HOME: __, NODE_OPTIONS: ___, ...env } = process.env;
  const said = await run(
    "/usr/bin/env",
    ["-u", "NODE_OPTIONS", process.execPath, "--input-type=module", "-e", program],
    { env },
  );
  t.match(said, { code: 0, stdout: "/nonexistent/.cache/icfs\n" });
});
