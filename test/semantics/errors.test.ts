/** docs/SEMANTICS.md, "Errors": the errors that readers get, and the ones that they never get. */
import { randomBytes, randomInt } from "node:crypto";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { eventually, HUNG, mountedAt, sh } from "../mount/mounts.ts";
import { type Fault, faultFor, startFaultProxy } from "../support/fault-proxy.ts";
import { type Mounted, startMountable } from "../support/mountable.ts";
import { aboveTransports } from "../support/transport.ts";

t.setTimeout(10 * HUNG);

const MiB = 1024 * 1024;
/** Reads a mount for some seconds, and prints the errors that it got. */
const READER = fileURLToPath(new URL("errors-reader.py", import.meta.url));
const SECONDS = 8;
const READERS = 3;

/** Ways in which a network is away or useless. */
const FAULTS: Readonly<Record<string, Exclude<Fault, (answer: Buffer) => Buffer>>> = {
  silence: "silence",
  "dropped connections": "drop",
  "flipped bits": "flip",
  "answers that are cut off": "truncate",
  "a gateway that is busy": { status: 503 },
};
/** Everything comes from the network when it is read. */
const COLD = ["--prefetch", "none", "--max-cache-size", "0", "--memory", "1MiB", "--refresh", "0"];

const c = await startMountable(t);
await c.publish({
  large: randomBytes(4 * MiB),
  pieces: randomBytes(5_000_003),
  "dir/file": randomBytes(300_000),
  small: "small\n",
});
const mounted = await c.mount(...COLD, "--read-timeout", "2");

/** A mount for each fault, behind a proxy of its own. */
const faulty = await Promise.all(
  Object.entries(FAULTS).map(async ([name, fault]) => {
    const proxy = await startFaultProxy(t, c.url);
    const mount = await c.mount(...COLD, "--read-timeout", "2", "--network", proxy.url);
    return { name, fault, proxy, mount };
  }),
);

/** The result of each of these expressions of Python: OK, or the error's name. They see the mountpoint as `root`. */
async function outcomes({ mountpoint }: Mounted, expressions: readonly string[]): Promise<string[]> {
  const script = `
import errno, json, os, sys
root = sys.argv[1]
def outcome(expression):
    try:
        eval(expression)
        return "OK"
    except OSError as error:
        return errno.errorcode[error.errno]
print(json.dumps([outcome(one) for one in json.loads(sys.argv[2])]))
`;
  const { stdout, stderr } = await sh("python3", "-c", script, mountpoint, JSON.stringify(expressions));
  if (stderr !== "") throw new Error(stderr);
  return JSON.parse(stdout);
}

t.test("1. ENOENT means that the release has no such name; an outage never looks like that", async (t) => {
  const absent = ['os.stat(root + "/absent")', 'open(root + "/dir/absent")', 'os.listdir(root + "/absent")'];
  const there = [
    'os.stat(root + "/dir/file")',
    'os.listdir(root + "/dir")',
    'open(root + "/dir/file", "rb")',
  ];
  const cold = ['open(root + "/dir/file", "rb").read()', 'open(root + "/small", "rb").read()'];
  for (const { proxy, fault } of faulty) proxy.fault = () => fault;
  await Promise.all(
    faulty.map(async ({ name, mount }) => {
      // The second time the mount knows that the network is away.
      for (const when of ["at first", "later"]) {
        t.same(
          await outcomes(mount, absent),
          ["ENOENT", "ENOENT", "ENOENT"],
          `${name}: names that do not exist, ${when}`,
        );
        t.same(await outcomes(mount, there), ["OK", "OK", "OK"], `${name}: names that exist, ${when}`);
        t.same(
          await outcomes(mount, cold),
          ["EIO", "EIO"],
          `${name}: content that cannot be fetched, ${when}`,
        );
      }
    }),
  );
});

aboveTransports(
  t,
  "2. a mount that has neither network nor cache fails, says why, and leaves nothing",
  async (t) => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    t.teardown(() => void silent.close());
    const { port } = silent.address() as { port: number };
    const busy = await startFaultProxy(t, c.url);
    busy.fault = () => ({ status: 503 });
    const dripping = await startFaultProxy(t, c.url);
    dripping.fault = () => "drip";
    const drippingAll = await startFaultProxy(t, c.url);
    Object.assign(drippingAll, { fault: dripping.fault, everywhere: true });
    const key = ["--root-key", Buffer.from(c.rootKey).toString("hex")];
    const networks: [name: string, options: string[], message: RegExp][] = [
      ["nobody listens", ["--network", "http://127.0.0.1:1"], /no network answers at http:\/\/127.0.0.1:1/],
      ["a socket that is silent", ["--network", `http://127.0.0.1:${port}`], /no network answers/],
      [
        "the same, and the key is known",
        ["--network", `http://127.0.0.1:${port}`, ...key],
        /timed? ?out|no answer/,
      ],
      ["a gateway that is busy", ["--network", busy.url], /HTTP status 503/],
      ["a gateway that drips", ["--network", dripping.url], /no answer within 1 s, but a trickle/],
      ["one whose every answer drips", ["--network", drippingAll.url], /no answer within 5 s, but a trickle/],
      [
        "the same, and the key is known",
        ["--network", drippingAll.url, ...key],
        /no answer within 1 s, but a tr/,
      ],
    ];
    await Promise.all(
      networks.map(async ([name, options, message]) => {
        const { code, stdout, stderr, mountpoint } = await c.tryMount(
          ...COLD,
          "--read-timeout",
          "2",
          ...options,
        );
        t.match({ code, stdout, stderr }, { code: 1, stdout: "", stderr: /^icfs: \S/ }, name);
        t.match(stderr, message, name);
        t.equal(await mountedAt(mountpoint), undefined, `${name}: nothing is mounted`);
        t.equal((await sh("ls", "-A", mountpoint)).stdout, "", `${name}: the mountpoint is empty`);
      }),
    );
  },
);

t.test(
  "3. a read fails with EIO when bytes come too late or do not verify; a wrong byte is never served",
  async (t) => {
    const script = `
import errno, json, os, sys
right, wrong, failed = 0, False, None
with open(sys.argv[1], "rb") as published:
    file = os.open(sys.argv[2], os.O_RDONLY)
    try:
        while piece := os.read(file, 100000):
            wrong = wrong or piece != published.read(len(piece))
            right += len(piece)
    except OSError as error:
        failed = errno.errorcode[error.errno]
print(json.dumps({"right": right, "wrong": wrong, "failed": failed}))
`;
    await Promise.all(
      faulty.map(async ({ name, fault, proxy, mount }) => {
        proxy.fault = () => "none";
        // Not too often: five reads at once would take the processors from the mount.
        await eventually("it has recovered", async () => {
          const { code } = await sh("cat", mount.at("dir/file"));
          if (code !== 0) await sleep(500);
          return code === 0;
        });
        let chunks = 0;
        // The first chunk is right.
        proxy.fault = faultFor("chunk", () => (chunks++ < 1 ? "none" : fault));
        const read = await sh("python3", "-c", script, join(c.tree, "large"), mount.at("large"));
        const { right, wrong, failed } = JSON.parse(read.stdout);
        t.same({ wrong, failed }, { wrong: false, failed: "EIO" }, name);
        t.ok(right < 4 * MiB, `${name}: ${right} bytes`);
        const mapped =
          "import mmap, sys; f = open(sys.argv[1], 'rb'); mmap.mmap(f.fileno(), 0, prot=1)[3500000]";
        const { stdout } = await sh(
          "sh",
          "-c",
          `python3 -c "$1" "$2"; echo $?`,
          "sh",
          mapped,
          mount.at("large"),
        );
        t.equal(stdout, "135\n", `${name}: a reader of a mapped file gets SIGBUS`);
        proxy.fault = () => "none";
        await eventually("it is read when it can be fetched", () => c.same(mount.mountpoint));
      }),
    );
  },
);

t.test("4. writing fails with EROFS, even after a remount for writing", async (t) => {
  const { mountpoint, at } = mounted;
  const writing = [
    ["touch", at("new")],
    ["touch", at("small")],
    ["rm", "-f", at("small")],
    ["mkdir", at("new")],
    ["mv", at("small"), at("other")],
    ["chmod", "777", at("small")],
    ["ln", "-s", "x", at("new")],
    ["dd", "if=/dev/zero", `of=${at("small")}`, "count=1", "conv=notrunc"],
    ["truncate", "-s", "0", at("small")],
    ["python3", "-c", "import os, sys; os.setxattr(sys.argv[1], 'user.x', b'x')", at("small")],
  ];
  const refused = async (when: string) => {
    for (const [command, ...parameters] of writing) {
      const { code, stderr } = await sh(command!, ...parameters);
      t.not(code, 0, `${when}: ${command}`);
      t.match(stderr, /Read-only file system/, `${when}: ${command}`);
    }
  };
  await refused("as it is mounted");
  // The kernel may refuse the remount itself: then nothing changes.
  await sh("mount", "-i", "-o", "remount,rw", mountpoint);
  await refused("after a remount");
  await sh("mount", "-i", "-o", "remount,ro", mountpoint);
  await eventually("it can be read", async () => (await sh("cat", at("small"))).stdout === "small\n");
});

t.test("5. no reader gets EAGAIN, EINTR, ENOMEM or ENOBUFS, whatever happens", async (t) => {
  const { mountpoint, at } = mounted;
  const faults = ["none", ...Object.values(FAULTS), "none"] as const;
  let reading = true;
  const readers = Promise.all(
    Array.from({ length: READERS }, (_, seed) =>
      sh("python3", READER, mountpoint, c.tree, String(SECONDS), String(seed)),
    ),
  ).finally(() => {
    reading = false;
  });
  for (let i = 0; reading; i++) {
    c.proxy.fault = () => faults[i % faults.length]!;
    // A reader is killed while it waits.
    const victim = sh("timeout", "-s", "KILL", "0.2", "cat", at("large"));
    await sleep(randomInt(200, 600));
    await victim;
  }
  c.proxy.fault = () => "none";
  const seen = new Set<string>();
  for (const { stdout, stderr } of await readers) {
    t.equal(stderr, "");
    const { errors, reads, signals, problems } = JSON.parse(stdout);
    t.same(problems, []);
    t.ok(reads > 10, `${reads} reads`);
    t.ok(signals > 10, `${signals} signals`);
    for (const name of errors) seen.add(name);
  }
  t.same([...seen].sort(), ["EIO", "EISDIR", "ENODATA", "ENOENT", "ENOTDIR", "EROFS"]);
});

t.test("6. a read is short only at the end of a file", async (t) => {
  const script = `
import json, mmap, os, random, sys
published, mounted = (os.open(path, os.O_RDONLY) for path in sys.argv[1:3])
direct = os.open(sys.argv[2], os.O_RDONLY | os.O_DIRECT)
size = os.fstat(published).st_size
chance = random.Random(7)
pieces = [(0, 1), (size - 1, 1), (size - 3, 100), (size, 10), (size + 1000000, 10), (131071, 2), (1048575, 2), (0, size)]
pieces += [(chance.randrange(size), chance.randrange(400000)) for _ in range(100)]
problems = []
for offset, length in pieces:
    want = os.pread(published, length, offset)
    if os.pread(mounted, length, offset) != want:
        problems.append(f"{length} at {offset}")
    offset, length = offset // 4096 * 4096, (length // 4096 + 1) * 4096
    area = mmap.mmap(-1, length)
    got = os.preadv(direct, [area], offset)
    if area[:got] != os.pread(published, length, offset):
        problems.append(f"{length} at {offset}, O_DIRECT: {got}")
print(len(pieces), problems)
`;
  const { at, umount } = await c.mount(...COLD);
  const { stdout, stderr } = await sh("python3", "-c", script, join(c.tree, "pieces"), at("pieces"));
  t.same({ stdout, stderr }, { stdout: "108 []\n", stderr: "" });
  await umount();
});
