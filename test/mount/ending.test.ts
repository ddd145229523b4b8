/** How mounts end, and what is found at a mountpoint before one begins. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rmdir, symlink, unlink, writeFile } from "node:fs/promises";
import t from "tap";
import { unmount } from "../../lib/fs/unmount.ts";
import { TRANSPORT } from "../support/transport.ts";
import { eventually, HUNG, mountedAt, mountpointFor, occupy, serve, sh } from "./mounts.ts";

t.setTimeout(5 * HUNG);

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  t.test(`${signal} unmounts and ends the process`, async (t) => {
    const mountpoint = await mountpointFor(t);
    const served = await serve(t, mountpoint);
    t.ok(await mountedAt(mountpoint));
    served.process.kill(signal);
    t.equal(await served.ended, 0);
    t.equal(await mountedAt(mountpoint), undefined);
    t.equal((await sh("ls", "-a", mountpoint)).stdout, ".\n..\n");
  });
}

t.test("SIGTERM ends it in spite of those who use the mount; a read that waits fails", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  await occupy(t, `os.chdir("${mountpoint}")`);
  await occupy(t, `file = os.open("${mountpoint}/big", os.O_RDONLY)`);
  const reader = spawn("python3", [
    "-c",
    `
import os
file = os.open("${mountpoint}/special/never", os.O_RDONLY)
print("open", flush=True)
try:
    os.read(file, 10)
except OSError as error:
    print(error.strerror)
`,
  ]);
  let said = "";
  reader.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const closed = once(reader, "close");
  await eventually("the file is open", () => said !== "");
  served.process.kill("SIGTERM");
  t.equal(await served.ended, 0);
  await closed;
  t.equal(said, "open\nInput/output error\n");
  t.equal(await mountedAt(mountpoint), undefined);
});

// libfuse does not say that this has happened.
if (TRANSPORT === "kernel") {
  t.test("a mount that is cut off is taken away", async (t) => {
    const mountpoint = await mountpointFor(t);
    const served = await serve(t, mountpoint);
    await occupy(t, `os.chdir("${mountpoint}")`);
    t.match((await sh("umount", "-f", mountpoint)).stderr, /busy/);
    t.equal(await served.ended, 0);
    t.match(served.stderr(), /was cut off/);
    t.equal(await mountedAt(mountpoint), undefined);
  });
}

t.test("an umount by somebody else ends the process", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  t.equal((await sh("umount", mountpoint)).code, 0);
  t.equal(await served.ended, 0);
});

t.test("after somebody's lazy umount an open file can be read to its end", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  const script = `
import hashlib, os, subprocess, sys, time
file = os.open(sys.argv[1] + "/big", os.O_RDONLY)
subprocess.check_call(["umount", "-l", sys.argv[1]])
time.sleep(2)
total = 0
while piece := os.read(file, 100000):
    total += len(piece)
print(total)
`;
  const { stdout, stderr } = await sh("python3", "-c", script, mountpoint);
  t.equal(stderr, "");
  t.equal(stdout, "5000003\n");
  t.equal(await served.ended, 0);
});

t.test("an error that nothing catches ends the process, and leaves no dead mount", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  await sh("cat", `${mountpoint}/special/crashing`);
  t.equal(await served.ended, 1);
  t.match(served.stderr(), /nobody catches this/);
  t.equal(await mountedAt(mountpoint), undefined);
});

t.test("what kill -9 leaves behind is replaced", async (t) => {
  const mountpoint = await mountpointFor(t);
  const killed = await serve(t, mountpoint, "first");
  killed.process.kill("SIGKILL");
  await killed.ended;
  t.match((await sh("ls", mountpoint)).stderr, /Transport endpoint is not connected/);
  const served = await serve(t, mountpoint, "second");
  t.match(served.stderr(), /taking away a dead mount of first/);
  t.equal((await mountedAt(mountpoint))?.source, "second");
  t.equal((await sh("cat", `${mountpoint}/hello.txt`)).stdout, "hello\n");
  served.process.kill("SIGTERM");
  t.equal(await served.ended, 0);
  t.equal(await mountedAt(mountpoint), undefined, "nothing lies below");
});

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

t.test("unfit mountpoints", async (t) => {
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

t.test("a name that libfuse would take for options, or cut, mounts nothing", async (t) => {
  const mountpoint = await mountpointFor(t);
  const long = await serve(t, mountpoint, "x".repeat(2000));
  t.equal(await long.ended, 1);
  t.match(long.stderr(), /too long/);
  const control = await serve(t, mountpoint, "two\nlines");
  t.equal(await control.ended, 1);
  t.match(control.stderr(), /control character/);
  t.equal(await mountedAt(mountpoint), undefined);
});

t.test("files below the mount are hidden, and back afterwards", async (t) => {
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

t.test("a mountpoint with a space and beyond ASCII, through a symlink", async (t) => {
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

t.test("unmount: waits for the process", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  const { mount, pid, serverEnded } = await unmount(mountpoint, { lazy: false });
  t.equal(mount.source, "test");
  t.equal(serverEnded, true);
  // Undefined where the kernel does not say.
  t.ok(pid === served.pid || pid === undefined);
  t.equal(await served.ended, 0);
  await t.rejects(unmount(mountpoint, { lazy: false }), {
    message: /not an icfs mount: nothing is mounted there/,
  });
});

t.test("unmount: a busy mount stays, unless lazy", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  await occupy(t, `os.chdir("${mountpoint}")`);
  await t.rejects(unmount(mountpoint, { lazy: false }), { message: /is busy.*--lazy/ });
  t.equal((await sh("cat", `${mountpoint}/hello.txt`)).stdout, "hello\n");
  await unmount(mountpoint, { lazy: true });
  t.equal(await mountedAt(mountpoint), undefined);
  t.equal(await served.ended, 0);
});

t.test("unmount: a dead mount", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  served.process.kill("SIGKILL");
  await served.ended;
  const { pid, serverEnded } = await unmount(mountpoint, { lazy: false });
  t.same({ pid, serverEnded }, { pid: undefined, serverEnded: true });
  t.equal(await mountedAt(mountpoint), undefined);
});

t.test("a mount that is hung does not hang the next one", async (t) => {
  const mountpoint = await mountpointFor(t);
  const hung = await serve(t, mountpoint, "first");
  hung.process.kill("SIGSTOP");
  const second = await serve(t, mountpoint, "second");
  t.equal(await second.ended, 1);
  t.match(second.stderr(), /does not answer/);
});

t.test("a mount that is gone already does not take away what has come in its place", async (t) => {
  const mountpoint = await mountpointFor(t);
  const first = await serve(t, mountpoint);
  // Somebody holds a file open, so that the process lives on when its mount is lazily taken away.
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
