/** docs/SEMANTICS.md, "Versions": releases that change under readers. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmod, lutimes, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";
import { eventually, HUNG, holding, sh } from "../mount/mounts.ts";
import { startMountable } from "../support/mountable.ts";
import { TRANSPORT } from "../support/transport.ts";
import { flipping, readsOneVersion } from "./flipping.ts";

/** The size of the fixture's files in versions 0 to 3. */
const SIZE = 1_500_000;

t.setTimeout(10 * HUNG);

/** The version that one of the fixture's files has in its bytes. */
async function versionOf(path: string): Promise<number> {
  const { stdout } = await sh("od", "-An", "-N1", "-tu1", path);
  return Number(stdout);
}

t.test("12. a handle reads one version to the end, and no page mixes two versions", (t) =>
  readsOneVersion(t, { seconds: 8, transport: TRANSPORT }),
);

t.test("13. a listing shows one version, however long it takes to read", async (t) => {
  const { mountpoint } = await flipping(t, 200);
  const script = `
import os, sys, time
with os.scandir(sys.argv[1] + "/names") as listing:
    names = [next(listing).name]
    time.sleep(1)
    names += [entry.name for entry in listing]
print(len(names), len({name.split("-")[0] for name in names}))
`;
  t.same(await sh("python3", "-c", script, mountpoint), { code: 0, stdout: "2000 1\n", stderr: "" });
});

t.test("14. files opened after a switch are new; over fuse-native, unless their path is open", async (t) => {
  const { mountpoint, live, next } = await flipping(t, 0);
  const held = await holding(t, `${mountpoint}/changing`);
  await next();
  t.equal(
    await versionOf(`${mountpoint}/dir/changing`),
    1,
    "a file that is not open elsewhere has its new content",
  );
  t.equal(
    await versionOf(`${mountpoint}/changing`),
    TRANSPORT === "kernel" ? 1 : 0,
    "a file that is open elsewhere has its new content only over the kernel transport",
  );
  t.equal(await held.rest(), sha256(Buffer.alloc(SIZE, 0)), "the open file keeps its old content");
  await held.close();
  await eventually("it is new", async () => (await versionOf(`${mountpoint}/changing`)) === 1);
  for (let i = 0; i < 5; i++) {
    await next();
    t.equal(await versionOf(`${mountpoint}/changing`), live());
    t.equal(await versionOf(`${mountpoint}/dir/changing`), live());
  }

  // All names change at one moment: a reader that has seen a new name sees no old one any more.
  const quickly = await flipping(t, 50);
  const script = `
import os, sys, time
root, end, times, seen = sys.argv[1], time.monotonic() + 3, 0, set()
def version(name):
    file = os.open(os.path.join(root, name), os.O_RDONLY)
    try:
        return os.read(file, 1)[0]
    finally:
        os.close(file)
while time.monotonic() < end or times <= 50 or len(seen) <= 5:
    first, second = version("changing"), version("dir/changing")
    if (second - first) % 256 > 128:
        print(f"version {second} after {first}")
    times += 1
    seen.add(first)
print(times > 50, len(seen) > 5)
`;
  t.same(await sh("python3", "-c", script, quickly.mountpoint), {
    code: 0,
    stdout: "True True\n",
    stderr: "",
  });
});

t.test("15. an inode number stands for one path with one content; directories keep theirs", async (t) => {
  const { mountpoint, next } = await flipping(t, 0);
  const script = `
import json, os, sys
os.chdir(sys.argv[1] + "/dir")
for line in sys.stdin:
    seen = {}
    for name in ("../changing", "../constant", ".", ".."):
        if name.startswith("../c"):
            with open(name, "rb") as file:
                file.read()
        status = os.stat(name)
        seen[name] = [status.st_ino, status.st_size, status.st_mtime_ns]
    print(json.dumps(seen), flush=True)
`;
  // A process that works in the directory all the time.
  const child = spawn("python3", ["-c", script, mountpoint], { stdio: ["pipe", "pipe", "inherit"] });
  t.teardown(async () => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout });
  const look = async (): Promise<Record<string, [inode: number, size: number, time: number]>> => {
    child.stdin.write("\n");
    const [said] = await once(lines, "line");
    return JSON.parse(said);
  };
  const versions = [];
  for (let version = 0; version < 6; version++) {
    if (version > 0) await next();
    versions.push(await look());
  }
  const [first] = versions as [(typeof versions)[0]];
  const inodes = versions.map((seen) => seen["../changing"]![0]);
  t.equal(new Set(inodes).size, 6, "each new content gets a new inode number");
  for (const [version, seen] of versions.entries()) {
    for (const name of ["../constant", ".", ".."]) t.equal(seen[name]![0], first[name]![0], name);
    for (const name of [".", ".."])
      t.equal(seen[name]![2], version * 1e9, "directories have the new release's time");
    const [, size, time] = seen["../changing"]!;
    // Versions 0 and 1, 2 and 3, and so on have the same size and time.
    t.equal(size, version < 4 ? SIZE : SIZE + 100_000);
    const younger = TRANSPORT === "fuse-native" && version % 2 === 1 ? 1e6 : 0;
    t.equal(time, Math.floor(version / 2) * 1e9 + younger, `the time of version ${version}`);
  }

  await t.test("ctime is the time of the release that made a file or directory what it is", async (t) => {
    const c = await startMountable(t);
    const OLD = 1_000_000_000;
    // So large that it shares no chunk with its neighbours: otherwise it would change with them.
    const kept = "1".repeat(300_000);
    /** Publishes files with times of long ago, as `cp -p` and package managers leave them. */
    const publish = async (files: Record<string, string>) => {
      for (const [name, content] of Object.entries(files)) {
        await mkdir(dirname(join(c.tree, name)), { recursive: true });
        await writeFile(join(c.tree, name), content);
      }
      for (const name of await readdir(c.tree, { recursive: true }))
        await lutimes(join(c.tree, name), OLD, OLD);
      await c.publish({});
    };
    await mkdir(c.tree, { recursive: true });
    await symlink("kept/file", join(c.tree, "link"));
    await publish({ replaced: "1\n", "kept/file": kept, tool: "1\n", "dir/replaced": "1\n" });
    const { mountpoint, status } = await c.mount("--refresh", "0.3", "--quiet", "0");
    const names = ["replaced", "dir/replaced", "dir", "tool", "kept/file", "kept", "link", "."];
    const look = async () => {
      const { stdout } = await sh("stat", "-c", "%Y %Z", ...names.map((name) => join(mountpoint, name)));
      const times = stdout
        .trim()
        .split("\n")
        .map((line) => line.split(" ").map(Number));
      return Object.fromEntries(
        names.map((name, i) => [name, { mtime: times[i]![0]!, ctime: times[i]![1]! }]),
      );
    };
    const first = await look();
    const published = first["."]!.mtime;
    for (const name of names.slice(0, -1))
      t.same(first[name], { mtime: OLD, ctime: published }, `release 1: ${name}`);
    // The next release must be of another second.
    await eventually("a second is over", () => Date.now() / 1000 > published + 2);
    await chmod(join(c.tree, "tool"), 0o755);
    await publish({ replaced: "2\n", "dir/replaced": "2\n" });
    await eventually("release 2 is live", async () => (await status()).release === 2);
    const second = await look();
    const later = second["."]!.mtime;
    t.ok(later > published, `${later} is later than ${published}`);
    for (const name of ["replaced", "dir/replaced", "dir", "tool"]) {
      t.same(second[name], { mtime: OLD, ctime: later }, `release 2 has changed ${name}`);
    }
    for (const name of ["kept/file", "kept", "link"])
      t.same(second[name], first[name], `release 2 has not changed ${name}`);
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
