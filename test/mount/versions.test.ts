/** Releases that flip under readers: every handle reads one version to its end, and no page is ever of two. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import t from "tap";
import { run } from "../support/icfs.ts";
import { TRANSPORT } from "../support/transport.ts";
import { eventually, HUNG, mountpointFor, sh } from "./mounts.ts";

const FIXTURE = fileURLToPath(new URL("versions-fixture.ts", import.meta.url));
const READER = fileURLToPath(new URL("versions-reader.py", import.meta.url));
/** Seconds of reading; versions.long.ts has minutes. */
const SECONDS = Number(process.env.TEST_VERSIONS_SECONDS ?? 15);
const READERS = 6;

interface Test {
  teardown(work: () => void): void;
}

/** Mounts the flipping tree; which version is live, as it says. */
async function flipping(t: Test & Parameters<typeof mountpointFor>[0], interval: number) {
  const mountpoint = await mountpointFor(t);
  const child = spawn(process.execPath, [FIXTURE, mountpoint, String(interval)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => {
    child.kill("SIGKILL");
  });
  let live = -1;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    for (const [, version] of text.matchAll(/"version":(\d+)/g)) live = Number(version);
  });
  await eventually("it is mounted", () => live >= 0);
  return { mountpoint, live: () => live };
}

t.test("readers with random offsets, by read, O_DIRECT and mmap", async (t) => {
  const { mountpoint, live } = await flipping(t, 300);
  const results = await Promise.all(
    Array.from({ length: READERS }, (_, seed) =>
      run("python3", [READER, mountpoint, String(SECONDS), String(seed)], {
        env: process.env,
        limit: SECONDS * 1000 + HUNG,
      }),
    ),
  );
  for (const { stdout, stderr } of results) {
    t.equal(stderr, "");
    const { reads, versions, problems } = JSON.parse(stdout);
    t.same(problems, []);
    t.ok(reads > 20, `${reads} reads`);
    t.ok(versions > 3, `${versions} versions`);
  }
  t.ok(live() > 10, `${live()} flips`);
});

t.test("who opens a path that nobody has open gets the live version", async (t) => {
  const { mountpoint, live } = await flipping(t, 400);
  for (let i = 0; i < 10; i++) {
    const before = live();
    const { stdout } = await sh("head", "-c", "1", `${mountpoint}/dir/changing`);
    const version = Buffer.from(stdout, "latin1")[0]!;
    t.ok(version >= before && version <= live() + 1, `${version}, and live were ${before} to ${live()}`);
    await sh("sleep", "0.3");
  }
});

t.test("a listing that has begun is of one version to its end", async (t) => {
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

t.test("directories tell their new times, also to somebody who works in one", async (t) => {
  const { mountpoint, live } = await flipping(t, 1500);
  const script = `
import os, sys
os.chdir(sys.argv[1] + "/dir")
for line in sys.stdin:
    print(int(os.stat(".").st_mtime), int(os.stat("..").st_mtime), int(os.stat(sys.argv[1]).st_mtime), flush=True)
`;
  const child = spawn("python3", ["-c", script, mountpoint], { stdio: ["pipe", "pipe", "inherit"] });
  t.teardown(() => void child.kill("SIGKILL"));
  for (let i = 0; i < 4; i++) {
    const before = live();
    child.stdin.write("\n");
    const [said] = await once(child.stdout, "data");
    for (const time of String(said).trim().split(" ").map(Number)) {
      t.ok(time >= before && time <= live() + 1, `${time}, and live were ${before} to ${live()}`);
    }
    await eventually("the next version", () => live() > before);
  }
});

t.test("a file that is held open stays as it was; others who open its path", async (t) => {
  const { mountpoint } = await flipping(t, 200);
  const script = `
import os, sys, time
path = sys.argv[1] + "/changing"
first = os.open(path, os.O_RDONLY)
was = os.pread(first, 1, 0)[0]
time.sleep(2)
second = os.open(path, os.O_RDONLY)
now = os.pread(second, 1, 1000000)[0]
size = os.fstat(first).st_size
whole = b"".join(os.pread(first, 100000, at) for at in range(0, size, 100000))
print(was, now, len(whole) == size, set(whole) == {was})
os.close(first), os.close(second)
time.sleep(1)
print(open(path, "rb").read(1)[0])
`;
  const { stdout, stderr } = await sh("python3", "-c", script, mountpoint);
  t.equal(stderr, "");
  const [was, now, whole, same, later] = stdout.trim().split(/\s+/);
  t.same([whole, same], ["True", "True"], "the whole file is of the version that was opened");
  if (TRANSPORT === "kernel") t.not(now, was, "new opens get the new version");
  else t.equal(now, was, "a path in use stays old until it is closed");
  t.not(later, was, "and then it is new");
});
