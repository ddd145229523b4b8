/** docs/SEMANTICS.md, "With other file systems": mounts inside a mount, or over it, and file handles, when releases are switched. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { eventually, HUNG, holding, mountedAt, sh } from "../mount/mounts.ts";
import { startMountable } from "../support/mountable.ts";
import { TRANSPORT } from "../support/transport.ts";

t.setTimeout(10 * HUNG);

const c = await startMountable(t);
const options = ["--refresh", "0.3", "--quiet", "0"];
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Runs a command that must succeed. */
async function must(t: Test, ...command: [string, ...string[]]): Promise<void> {
  const { code, stderr } = await sh(...command);
  t.equal(code, 0, `${command.join(" ")} ${stderr}`);
}

/** A process in a mount namespace of its own, until the test ends. Resolves when the process has printed something. */
async function inNamespace(t: Test, script: string): Promise<ChildProcess> {
  const child = spawn("unshare", ["--mount", "--propagation", "private", "sh", "-c", script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.teardown(async () => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child;
}

const CHROOTED = `
import os, sys
os.chroot(sys.argv[1])
os.chdir("/")
print("ready", flush=True)
sys.stdin.read()
`;

t.test("35. anything mounted inside survives every switch, until it is unmounted", async (t) => {
  const first = await c.publish({
    "stays/theirs": "1\n",
    "pxelinux.cfg/default": "1\n",
    "gone/deep/theirs": "1\n",
    "replaced/theirs": "1\n",
    "container/theirs": "1\n",
  });
  const { at, status, log, mountpoint, umount } = await c.mount(...options);
  const read = async (name: string) => {
    const { stdout, stderr } = await sh("cat", at(name));
    return stdout + stderr.replace(/^.*: /, "");
  };

  const local = join(c.directory, "local");
  await mkdir(local);
  await writeFile(join(local, "mine"), "a directory of this host\n");
  await writeFile(join(local, "default"), "a file of this host\n");
  const mine = {
    "stays/mine": "a directory of this host\n",
    "pxelinux.cfg/default": "a file of this host\n",
    "gone/deep/mine": "in memory\n",
    "replaced/stays/theirs": "1\n",
  };
  await must(t, "mount", "--bind", local, at("stays"));
  await must(t, "mount", "--bind", join(local, "default"), at("pxelinux.cfg/default"));
  await must(t, "mount", "-t", "tmpfs", "tmpfs", at("gone/deep"));
  await must(t, "sh", "-c", `echo in memory > ${at("gone/deep/mine")}`);
  const inner = await c.icfs(["mount", `${c.id}@${first}`, at("replaced"), "--network", c.proxy.url]);
  t.equal(inner.code, 0, inner.stderr);
  // A container that sees more mounts than this process does, and a bystander with a copy of each mount as it is now.
  const contained = at("container/mine");
  const container = await inNamespace(
    t,
    // The root directory of its first process has none of those mounts below it.
    `mount -t tmpfs tmpfs ${at("container")} && echo contained > ${contained} &&
    { setpriv --pdeathsig KILL sleep 600 & exec python3 -c '${CHROOTED}' ${local}; }`,
  );
  const bystander = await inNamespace(t, "echo && exec cat");
  const asContained = async () =>
    (await sh("nsenter", "--mount", "--target", String(container.pid), "cat", contained)).stdout;

  const held = await Promise.all(Object.keys(mine).map((name) => holding(t, at(name))));
  const stays = async (when: string) => {
    for (const [name, content] of Object.entries(mine)) t.equal(await read(name), content, `${name} ${when}`);
    t.equal(await asContained(), "contained\n", `in a container ${when}`);
  };
  await stays("before");

  for (const name of ["gone", "replaced", "container"]) await rm(join(c.tree, name), { recursive: true });
  const second = await c.publish({ "pxelinux.cfg/default": "2\n", replaced: "a file\n", new: "2\n" });
  await eventually("release 2 is live", async () => (await status()).release === second);
  t.equal(await read("new"), "2\n");
  await stays("after a switch");
  t.equal((await sh("ls", at("gone"))).stdout, "deep\n", "the mountpoint inside is still listed");
  t.match((await sh("ls", mountpoint)).stdout, /^container\ngone\nnew\npxelinux.cfg\nreplaced\nstays\n/m);
  for (const name of ["gone/deep", "container"]) {
    t.match(await log(), new RegExp(` warn release ${second} has no ${name} any more: something is mounted`));
  }
  for (const name of ["pxelinux.cfg/default", "replaced"]) {
    t.match(await log(), new RegExp(` info release ${second} has another ${name}: something is mounted`));
  }

  const third = await c.publish({ "gone/theirs": "3\n", "stays/theirs": "3\n" });
  await eventually("release 3 is live", async () => (await status()).release === third);
  await stays("after another switch");
  t.equal(
    await read("gone/theirs"),
    "3\n",
    "a directory that returns in a later release has that release's content",
  );
  for (const [i, content] of Object.values(mine).entries()) {
    t.equal(await held[i]!.rest(), sha256(content), "an open file can be read to the end");
    await held[i]!.close();
  }

  container.kill("SIGKILL");
  await must(t, "umount", at("stays"));
  await must(t, "umount", at("pxelinux.cfg/default"));
  await must(t, "umount", at("gone/deep"));
  t.equal((await c.icfs(["umount", at("replaced")])).code, 0);
  await eventually("what was mounted on is what the release says", async () => {
    const logged = await log();
    const released = ["pxelinux.cfg/default", "gone/deep", "replaced", "container"];
    return released.every((name) =>
      logged.includes(` info ${name} is as in the release again: what was mounted there was unmounted`),
    );
  });
  t.equal((await sh("ls", mountpoint)).stdout, "gone\nnew\npxelinux.cfg\nreplaced\nstays\n");
  bystander.kill("SIGKILL");
  t.equal(await read("stays/theirs"), "3\n");
  t.equal(await read("pxelinux.cfg/default"), "2\n");
  t.equal(await read("replaced"), "a file\n");
  t.equal(await read("gone/deep"), "No such file or directory\n");
  t.equal((await mountedAt(mountpoint))?.source, c.id);

  await must(t, "mount", "--bind", local, at("stays"));
  const fourth = await c.publish({ new: "4\n" });
  await eventually("release 4 is live", async () => (await status()).release === fourth);
  await must(t, "umount", at("stays"));
  const later = await inNamespace(t, `mount --bind ${local} ${at("stays")} && echo mounted && exec cat`);
  await rm(join(c.tree, "stays"), { recursive: true });
  const fifth = await c.publish({ new: "5\n" });
  await eventually("release 5 is live", async () => (await status()).release === fifth);
  t.equal(
    (await sh("nsenter", "--mount", "--target", String(later.pid), "cat", at("stays/mine"))).stdout,
    "a directory of this host\n",
    "a container's mount survives where this host had the same mount before",
  );
  later.kill("SIGKILL");
  await umount();
});

t.test(
  "36. an overlay keeps working for unchanged files, and for all files once it is remounted",
  async (t) => {
    await c.publish({ "d/same": "same\n", same: "same\n", changes: "1\n", "d/removed": "1\n" });
    const { status, mountpoint, umount } = await c.mount(...options);
    const [above, merged] = ["above", "merged"].map((name) => join(c.directory, name)) as [string, string];
    await mkdir(merged);
    await mkdir(above);
    t.teardown(async () => {
      for (const path of [merged, above]) await sh("umount", "-l", path);
    });
    await must(t, "mount", "-t", "tmpfs", "tmpfs", above);
    const [upper, work] = [join(above, "upper"), join(above, "work")];
    await mkdir(upper);
    await mkdir(work);
    const layers = `lowerdir=${mountpoint},upperdir=${upper},workdir=${work}`;
    await must(t, "mount", "-t", "overlay", "overlay", "-o", layers, merged);
    const read = (name: string) => sh("cat", join(merged, name));
    await must(t, "sh", "-c", `echo mine > ${merged}/d/mine`);
    for (const name of ["same", "d/same", "changes", "d/removed"]) t.equal((await read(name)).code, 0, name);
    t.match(await read("later"), { stderr: /No such file/ });
    const holders = await Promise.all(["same", "changes"].map((name) => holding(t, join(merged, name))));

    await rm(join(c.tree, "d/removed"));
    const next = await c.publish({ changes: "2\n", later: "2\n" });
    await eventually("it is live", async () => (await status()).release === next);
    t.equal((await read("same")).stdout, "same\n");
    t.equal((await read("d/same")).stdout, "same\n");
    t.equal((await read("d/mine")).stdout, "mine\n");
    t.equal(await holders[0]!.rest(), sha256("same\n"));
    t.equal(await holders[1]!.rest(), sha256("1\n"), "an open file keeps its old content to the end");
    for (const holder of holders) await holder.close();

    await must(t, "mount", "-o", "remount", merged);
    t.equal((await read("changes")).stdout, "2\n");
    t.equal((await read("later")).stdout, "2\n");
    t.match(await read("d/removed"), { stderr: /No such file/ });
    t.equal((await read("d/mine")).stdout, "mine\n");
    for (const path of [merged, above]) await must(t, "umount", path);
    await umount();
  },
);

t.test(
  "37. a file handle is valid while the release has its file, even if the kernel has forgotten it",
  async (t) => {
    const files = {
      "handles/same": "same\n",
      "handles/changes": "1\n",
      "handles/d/e/file": "deep\n",
      "handles/gone": "1\n",
    };
    await c.publish(files);
    const { at, status, mountpoint, umount } = await c.mount(...options);
    const names = ["handles/same", "handles/changes", "handles/d/e", "handles/gone"];
    const script = `
import ctypes, errno, json, os, stat, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
MOST_BYTES = 128
def take(path):
    handle, mount = ctypes.create_string_buffer(8 + MOST_BYTES), ctypes.c_int()
    struct.pack_into("I", handle, 0, MOST_BYTES)
    if libc.name_to_handle_at(-100, os.fsencode(path), handle, ctypes.byref(mount), 0) != 0:
        return None
    return handle.raw
def use(handle):
    if handle is None:
        return "no handle"
    root = os.open(sys.argv[1], os.O_RDONLY)
    file = libc.open_by_handle_at(root, ctypes.create_string_buffer(handle, len(handle)), os.O_RDONLY)
    error = ctypes.get_errno()
    os.close(root)
    if file < 0:
        return errno.errorcode[error]
    found = " ".join(os.listdir(file)) if stat.S_ISDIR(os.fstat(file).st_mode) else os.read(file, 1000).decode()
    os.close(file)
    return found
handles = [take(os.path.join(sys.argv[1], name)) for name in sys.argv[2:]]
print("taken", flush=True)
for line in sys.stdin:
    print(json.dumps([use(handle) for handle in handles]), flush=True)
`;
    const server = spawn("python3", ["-c", script, mountpoint, ...names], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    t.teardown(async () => void server.kill("SIGKILL"));
    const lines = createInterface({ input: server.stdout });
    await once(lines, "line");
    const used = async (): Promise<string[]> => {
      // A remount makes the kernel forget every inode of this file system that is not in use.
      await must(t, "mount", "-i", "-o", "remount,ro", mountpoint);
      const answer = once(lines, "line");
      server.stdin.write("\n");
      return JSON.parse(String((await answer)[0]));
    };
    /** Over fuse-native there are no file handles. */
    const expected = (...answers: string[]) =>
      TRANSPORT === "kernel" ? answers : answers.map(() => "ESTALE");
    t.same(await used(), expected("same\n", "1\n", "file", "1\n"));

    await rm(join(c.tree, "handles/gone"));
    const next = await c.publish({ "handles/changes": "2\n", "handles/d/e/new": "2\n" });
    await eventually("it is live", async () => (await status()).release === next);
    t.same(await used(), expected("same\n", "ESTALE", "file new", "ESTALE"));
    t.equal((await sh("cat", at("handles/changes"))).stdout, "2\n");

    await umount();
    const again = await c.icfs(["mount", c.id, mountpoint, "--network", c.proxy.url, ...options]);
    t.equal(again.code, 0, again.stderr);
    t.same(
      await used(),
      names.map(() => "ESTALE"),
      "the next mount does not accept file handles of the one before",
    );
    server.kill("SIGKILL");
    t.equal((await c.icfs(["umount", mountpoint])).code, 0);
  },
);
