/** Mountpoints before they are used: dead mounts, icfs's own and others, and mountpoints that are not directories. */
import { closeSync, openSync, writeFileSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { MOUNT_TYPE, mountAt, readMounts } from "../../../lib/fs/mounting/mountinfo.ts";
import { checkFree, prepareMountpoint } from "../../../lib/fs/mounting/mountpoint.ts";
import { inspect, locate } from "../../../lib/fs/mounting/probe.ts";
import { createLog } from "../../../lib/log.ts";
import { run } from "../../../lib/process/command.ts";
import { mountpointFor } from "../../mount/mounts.ts";
import { exactly } from "../../support/exactly.ts";
import { HUNG, temporaryDirectory } from "../../support/icfs.ts";

/** A FUSE mount whose process is gone. */
async function deadMount(t: Test, type: string, source: string): Promise<string> {
  const path = await mountpointFor(t);
  const descriptor = openSync("/dev/fuse", "r+");
  const options = "fd=3,rootmode=40000,user_id=0,group_id=0";
  // The source may be a file's name: -c keeps mount from making it an absolute path.
  const command = ["-i", "-c", "-t", type, "-o", options, source, path];
  const { code, stderr } = await run("mount", command, HUNG, { descriptor });
  closeSync(descriptor);
  if (code !== 0) throw new Error(stderr);
  return path;
}

function logged() {
  const lines: string[] = [];
  return { lines, log: createLog("debug", (line) => lines.push(line)) };
}

t.test("a dead icfs mount is removed", async (t) => {
  const path = await deadMount(t, MOUNT_TYPE, "canister");
  const { lines, log } = logged();
  t.match(await prepareMountpoint(path, log), { path, entries: 0 });
  t.equal(mountAt(await readMounts(), path), undefined);
  t.match(lines, exactly(/removing a dead mount of canister/));
});

t.test("a dead mount of another file system is left alone", async (t) => {
  const path = await deadMount(t, "fuse.sshfs", "host:/files");
  await t.rejects(prepareMountpoint(path, logged().log), {
    name: "UserError",
    message: /is a dead mount, but not of icfs; umount -l removes it$/,
  });
  t.equal(mountAt(await readMounts(), path)?.type, "fuse.sshfs", "the dead mount is still mounted");
});

t.test(
  "a mountpoint in use, missing or not a directory is refused, and files in it are reported",
  async (t) => {
    const { log } = logged();
    const path = await mountpointFor(t);
    await run("mount", ["-t", "tmpfs", "other", path], HUNG);
    await t.rejects(prepareMountpoint(path, log), {
      message: /in use: a file system of type tmpfs \(other\)/,
    });
    const directory = await temporaryDirectory(t);
    await t.rejects(prepareMountpoint(join(directory, "none"), log), { message: /does not exist/ });
    writeFileSync(join(directory, "file"), "");
    await t.rejects(prepareMountpoint(join(directory, "file"), log), { message: /is not a directory/ });
    const { lines, log: warning } = logged();
    t.match(await prepareMountpoint(directory, warning), { entries: 1 });
    t.match(lines, exactly(/the mount hides 1 files/));
  },
);

t.test("a relative path is refused when the current directory is gone", async (t) => {
  const gone = await temporaryDirectory(t);
  const before = process.cwd();
  process.chdir(gone);
  await rmdir(gone);
  // tap itself asks for the working directory.
  const said: unknown[] = [];
  const say = (value: unknown) => said.push(value);
  await locate("mnt").then(say, say);
  await inspect("mnt").then(say, say);
  await inspect("/tmp").then(say, say);
  process.chdir(before);
  const why = {
    name: "UserError",
    message: "the current directory, in which mnt would be, is gone: give the full path",
  };
  t.match(said, exactly(why, why, { path: "/tmp" }));
});

t.test("a file system that was mounted since the examination is noticed", async (t) => {
  const path = await mountpointFor(t);
  const mountpoint = await prepareMountpoint(path, logged().log);
  await checkFree(mountpoint);
  await run("mount", ["-t", "tmpfs", "other", path], HUNG);
  await t.rejects(checkFree(mountpoint), {
    name: "UserError",
    message: /in use: a file system of type tmpfs/,
  });
});
