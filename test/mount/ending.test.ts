/** What a mount does with what it finds at its mountpoint, and `icfs umount`. test/semantics/ending.test.ts has more ends. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rmdir, symlink, unlink, writeFile } from "node:fs/promises";
import t from "tap";
import { unmount } from "../../lib/fs/mounting/unmount.ts";
import { aboveTransports } from "../support/transport.ts";
import { HUNG, mountedAt, mountpointFor, occupy, serve, sh } from "./mounts.ts";

t.setTimeout(10 * HUNG);

t.test("a mountpoint in use is left alone", async (t) => {
  const mountpoint = await mountpointFor(t);
  await serve(t, mountpoint, "first");
  const second = await serve(t, mountpoint, "second");
  t.equal(await second.ended, 1);
  t.match(second.stderr(), /first is already mounted at /);
  t.equal((await mountedAt(mountpoint))?.source, "first");
  t.equal((await sh("cat", `${mountpoint}/hello.txt`)).stdout, "hello\n");
});

t.test("another file system at the mountpoint is left alone", async (t) => {
  const mountpoint = await mountpointFor(t);
  await sh("mount", "-t", "tmpfs", "elsewhere", mountpoint);
  const served = await serve(t, mountpoint);
  t.equal(await served.ended, 1);
  t.match(served.stderr(), /type tmpfs \(elsewhere\) is mounted there/);
  await t.rejects(unmount(mountpoint, { lazy: true }), {
    message: /not an icfs mount, but of type tmpfs \(elsewhere\)/,
  });
  t.equal((await mountedAt(mountpoint))?.type, "tmpfs");
});

t.test("unsuitable mountpoints", async (t) => {
  const directory = await mountpointFor(t);
  await writeFile(`${directory}/file`, "");
  t.teardown(() => unlink(`${directory}/file`));
  const missing = await serve(t, `${directory}/missing`);
  t.equal(await missing.ended, 1);
  t.match(missing.stderr(), /missing does not exist/);
  const file = await serve(t, `${directory}/file`);
  t.equal(await file.ended, 1);
  t.match(file.stderr(), /file is not a directory/);
});

t.test("a name that is too long or has a control character mounts nothing", async (t) => {
  const mountpoint = await mountpointFor(t);
  const long = await serve(t, mountpoint, "x".repeat(2000));
  t.equal(await long.ended, 1);
  t.match(long.stderr(), /too long/);
  const control = await serve(t, mountpoint, "two\nlines");
  t.equal(await control.ended, 1);
  t.match(control.stderr(), /control character/);
  t.equal(await mountedAt(mountpoint), undefined);
});

t.test("files below the mount are hidden, and reappear afterwards", async (t) => {
  const mountpoint = await mountpointFor(t);
  await writeFile(`${mountpoint}/old`, "old\n");
  t.teardown(() => unlink(`${mountpoint}/old`));
  const served = await serve(t, mountpoint);
  t.match(served.stderr(), /hides 1 files/);
  t.match((await sh("cat", `${mountpoint}/old`)).stderr, /No such file/);
  served.process.kill("SIGTERM");
  await served.ended;
  t.equal((await sh("cat", `${mountpoint}/old`)).stdout, "old\n");
});

t.test("a mountpoint with a space and non-ASCII letters, through a symlink", async (t) => {
  const parent = await mountpointFor(t);
  const real = `${parent}/größe \\ 1`;
  await mkdir(real);
  await symlink(real, `${parent}/link`);
  t.teardown(async () => {
    await unlink(`${parent}/link`);
    await rmdir(real);
  });
  const served = await serve(t, `${parent}/link`);
  t.equal((await mountedAt(real))?.type, "fuse.icfs");
  t.equal((await sh("cat", `${parent}/link/hello.txt`)).stdout, "hello\n");
  const result = await unmount(`${parent}/link`, { lazy: false });
  t.equal(result.mount.mountpoint, real);
  t.equal(await served.ended, 0);
});

t.test("unmount waits for the mount's process", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  const { mount, pid, serverEnded } = await unmount(mountpoint, { lazy: false });
  t.equal(mount.source, "test");
  t.equal(serverEnded, true);
  // The process id is undefined where the kernel does not say it.
  t.ok(pid === served.pid || pid === undefined);
  t.equal(await served.ended, 0);
  await t.rejects(unmount(mountpoint, { lazy: false }), {
    message: /not an icfs mount: nothing is mounted there/,
  });
});

t.test("unmount leaves a busy mount alone, unless it is lazy", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  await occupy(t, `os.chdir("${mountpoint}")`);
  await t.rejects(unmount(mountpoint, { lazy: false }), { message: /is busy.*--lazy/ });
  t.equal((await sh("cat", `${mountpoint}/hello.txt`)).stdout, "hello\n");
  await unmount(mountpoint, { lazy: true });
  t.equal(await mountedAt(mountpoint), undefined);
  t.equal(await served.ended, 0);
});

t.test("unmount with other mounts inside or on top", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  const local = `${mountpoint}/deep`;
  const mount = (...args: string[]) => sh("mount", "-t", "tmpfs", "local", ...args);
  t.equal((await mount(local)).code, 0);
  t.equal((await sh("mkdir", `${local}/er`)).code, 0);
  t.equal((await mount(`${local}/er`)).code, 0);
  await t.rejects(unmount(mountpoint, { lazy: false }), {
    message: new RegExp(
      `^${mountpoint} has mounts inside: ${local} \\(tmpfs\\), ${local}/er \\(\\w+\\); umount them first`,
    ),
  });
  t.equal((await sh("cat", `${mountpoint}/hello.txt`)).stdout, "hello\n", "it stays");
  t.equal((await mount(mountpoint)).code, 0);
  for (const lazy of [false, true]) {
    await t.rejects(unmount(mountpoint, { lazy }), { message: /on top of icfs's, of type tmpfs \(local\)/ });
  }
  t.equal((await sh("umount", mountpoint)).code, 0);
  const { inside } = await unmount(mountpoint, { lazy: true });
  t.same(
    inside.map((one) => one.mountpoint),
    [local, `${local}/er`],
    "a lazy unmount returns the mounts that were inside",
  );
  t.equal(await mountedAt(local), undefined);
  t.equal(await served.ended, 0);

  const again = await serve(t, mountpoint);
  t.equal((await mount(local)).code, 0);
  again.process.kill("SIGTERM");
  t.equal(await again.ended, 0);
  t.match(again.stderr(), `what is mounted inside is unmounted too: ${local} (tmpfs)`);
});

t.test("unmount of a dead mount", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  served.process.kill("SIGKILL");
  await served.ended;
  const { pid, serverEnded } = await unmount(mountpoint, { lazy: false });
  t.same({ pid, serverEnded }, { pid: undefined, serverEnded: true });
  t.equal(await mountedAt(mountpoint), undefined);
});

// A child process looks at the mountpoint before there is a transport, and takes five seconds to give up.
aboveTransports(t, "a mount that is hung does not hang the next one", async (t) => {
  const mountpoint = await mountpointFor(t);
  const hung = await serve(t, mountpoint, "first");
  hung.process.kill("SIGSTOP");
  const second = await serve(t, mountpoint, "second");
  t.equal(await second.ended, 1);
  t.match(second.stderr(), /does not answer/);
});

t.test("a mount that is already gone does not unmount what replaced it", async (t) => {
  const mountpoint = await mountpointFor(t);
  const first = await serve(t, mountpoint);
  // A process holds a file open, so that the mount's process lives on after a lazy umount.
  const holder = spawn("sh", ["-c", `exec 7<${mountpoint}/hello.txt; echo open; exec sleep 60`]);
  t.teardown(() => void holder.kill("SIGKILL"));
  await once(holder.stdout, "data");
  t.equal((await sh("umount", "-l", mountpoint)).code, 0);
  t.equal((await sh("mount", "-t", "tmpfs", "tmpfs", mountpoint)).code, 0);
  t.equal((await sh("touch", `${mountpoint}/precious`)).code, 0);
  first.process.kill("SIGTERM");
  t.equal(await first.ended, 0);
  t.equal((await sh("ls", mountpoint)).stdout, "precious\n");
});
