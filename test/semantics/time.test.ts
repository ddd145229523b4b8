/** docs/SEMANTICS.md, "Time": which operations wait for the network, and for how long. */
import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import t from "tap";
import {
  eventually,
  HUNG,
  holding,
  mountpointFor,
  serve,
  sh,
  WAYS_TO_READ,
  waitingReader,
} from "../mount/mounts.ts";
import { faultFor } from "../support/fault-proxy.ts";
import { startMountable } from "../support/mountable.ts";
import { TRANSPORT } from "../support/transport.ts";

t.setTimeout(10 * HUNG);

const MiB = 1024 * 1024;
/** The number of SIGALRM. */
const ALARM = BigInt(constants.signals.SIGALRM);
/** Everything comes from the network when it is read. */
const COLD = ["--prefetch", "none", "--max-cache-size", "0", "--refresh", "0"];

const c = await startMountable(t);
/** Each file has chunks of its own: each cold read takes another one. */
const COLD_FILES = ["a", "b", "c", "d", "e", "f", "g", "h", "one", "slow", "two"];
await c.publish({
  ...Object.fromEntries(COLD_FILES.map((name) => [name, randomBytes(300_000)])),
  large: randomBytes(4 * MiB),
  warm: randomBytes(MiB),
});
const mounted = await c.mount(...COLD, "--read-timeout", "2");

t.test("7. metadata and opening do not wait for the network", async (t) => {
  const patient = await c.mount(...COLD, "--read-timeout", "60");
  c.proxy.fault = () => "silence";
  const slow = await waitingReader(
    t,
    patient.at("slow"),
    "hashlib.sha256(open(path, 'rb').read()).hexdigest()",
    "import hashlib",
  );
  const script = `
import os, sys
root = sys.argv[1]
for name in sorted(os.listdir(root)):
    path = os.path.join(root, name)
    for work in (os.stat, os.lstat, os.listxattr, os.statvfs):
        work(path)
    os.getxattr(path, "user.icfs.sha256")
    file = os.open(path, os.O_RDONLY)
    os.fstat(file)
    os.close(file)
    print(name)
os.path.exists(root + "/absent")
`;
  const looked = await sh("python3", "-c", script, patient.mountpoint);
  t.same(looked.stdout.trim().split("\n"), [...COLD_FILES, "large", "warm"].sort());
  t.equal((await sh("ls", "-lR", patient.mountpoint)).code, 0);
  t.equal(slow.said(), "reading\n", "the slow reader is still waiting");
  c.proxy.fault = () => "none";
  c.proxy.hangUp();
  t.same(await slow.ended, [0, null]);
  t.equal(slow.said(), `reading\n${sha256(await readFile(join(c.tree, "slow")))}\n`);
  await patient.umount();
});

t.test("8. a read ends within --read-timeout, even if the network says nothing", async (t) => {
  const read = (name: string, how: string) =>
    sh(
      "sh",
      "-c",
      `python3 -c "$1" "$2"; echo $?`,
      "sh",
      `import mmap, os, sys; path = sys.argv[1]; ${how}`,
      mounted.at(name),
    );
  for (const [fault, names] of [
    ["silence", ["a", "b", "c", "d"]],
    ["stall", ["e", "f", "g", "h"]],
  ] as const) {
    c.proxy.fault = () => fault;
    const results = await Promise.all(Object.values(WAYS_TO_READ).map((how, i) => read(names[i]!, how)));
    for (const [i, way] of Object.keys(WAYS_TO_READ).entries()) {
      const { stdout, stderr } = results[i]!;
      if (way === "mmap") t.equal(stdout, "135\n", `${fault}, ${way}: SIGBUS`);
      else t.match(stderr, /Input\/output error/, `${fault}, ${way}`);
    }
    c.proxy.fault = () => "none";
    await eventually("it has recovered", async () => (await sh("cat", mounted.at("warm"))).code === 0);
  }
  t.match(await mounted.log(), /no answer within the read timeout/);
});

t.test("9. a signal does not make a read fail, and a process that is killed ends", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  let file = 0;
  const waiting = (how: string, before?: string) => {
    file += 1;
    return waitingReader(t, `${mountpoint}/waiting/${file}`, how, before);
  };
  // Python would repeat the read after EINTR; the C library does not.
  const before = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def read(flags, size):
    area = mmap.mmap(-1, size)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    got = libc.read(os.open(path, os.O_RDONLY | flags), ctypes.c_void_p(address), ctypes.c_size_t(size))
    return (got, ctypes.get_errno())
calls = 0
def count(*_):
    global calls
    calls += 1
signal.signal(signal.SIGALRM, count)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
`;
  const calls: Record<keyof typeof WAYS_TO_READ, string> = {
    "read()": "str(read(0, 4096))",
    "read() of much": "str(read(0, 300000))",
    O_DIRECT: "str(read(os.O_DIRECT, 4096))",
    mmap: WAYS_TO_READ.mmap,
  };
  const alarmed = await Promise.all(Object.values(calls).map((how) => waiting(how, before)));
  const killed = await Promise.all(Object.values(WAYS_TO_READ).map((how) => waiting(how)));
  // A signal without a handler ends the process as well.
  const ended = await Promise.all(Object.values(WAYS_TO_READ).map((how) => waiting(how)));
  // Each process has a pending signal, and still waits in the read: it can take the signal only after that.
  for (const { child } of alarmed) {
    const hasSignal = async () => ((await pendingSignals(child.pid!)) & (1n << (ALARM - 1n))) !== 0n;
    await eventually("a signal waits for the end of the read", hasSignal);
  }
  for (const { said } of alarmed) t.equal(said(), "reading\n", "a read keeps waiting in spite of signals");
  for (const { child } of killed) child.kill("SIGKILL");
  for (const { child } of ended) child.kill("SIGTERM");
  // Over fuse-native they end only when the read does.
  if (TRANSPORT === "fuse-native") served.process.kill("SIGUSR2");
  for (const one of killed) t.same(await one.ended, [null, "SIGKILL"]);
  for (const one of ended) t.same(await one.ended, [null, "SIGTERM"]);
  t.equal((await sh("cat", `${mountpoint}/hello.txt`)).stdout, "hello\n", "other files are still served");
  served.process.kill("SIGUSR2");
  for (const [i, one] of alarmed.entries()) {
    t.same(await one.ended, [0, null]);
    const got = ["(4096, 0)", "(300000, 0)", "(4096, 0)", /^\d+$/][i]!;
    t.match(one.said().split("\n")[1] ?? "", got, Object.keys(calls)[i]!);
  }
});

t.test(
  "10. after a missed deadline, other cold reads fail at once, until a probe gets through",
  async (t) => {
    const { at, status } = mounted;
    await eventually("it is warm", async () => (await sh("cat", at("warm"))).code === 0);
    c.proxy.fault = () => "silence";
    t.match((await sh("cat", at("one"))).stderr, /Input\/output error/);
    t.ok((await status()).cache.failingSince, "the status reports the outage");
    t.match((await sh("cat", at("two"))).stderr, /Input\/output error/);
    t.match(
      (await status()).lastError?.message,
      /^two: the network has not answered since /,
      "the second read fails without asking the network",
    );
    t.equal((await sh("cmp", join(c.tree, "warm"), at("warm"))).code, 0, "cached content can still be read");
    c.proxy.fault = () => "none";
    await eventually("all of it can be read", () => c.same(mounted.mountpoint));
    t.notOk((await status()).cache.failingSince);
  },
);

t.test(
  "11. with --open whole, an open file is on this host and verified; otherwise open() fails",
  async (t) => {
    const whole = ["--open", "whole", "--open-timeout", "2", "--read-timeout", "2"];
    const { at, status, umount } = await c.mount(...COLD, ...whole);
    const open = (name: string) => sh("python3", "-c", "import os, sys; os.open(sys.argv[1], 0)", at(name));
    let chunks = 0;
    c.proxy.fault = faultFor("chunk", () => (chunks++ < 2 ? "none" : "silence"));
    t.match((await open("large")).stderr, /Input\/output error/, "open() itself fails");
    t.equal((await status()).openFiles, 0);
    c.proxy.fault = () => "none";
    c.proxy.hangUp();
    await eventually("it can be opened", async () => (await open("large")).code === 0);
    const holder = await holding(t, at("large"));
    c.proxy.fault = () => "drop";
    t.equal(
      await holder.rest(),
      sha256(await readFile(join(c.tree, "large"))),
      "the open file is read without the network",
    );
    await holder.close();
    c.proxy.fault = () => "none";
    await umount();
  },
);

/** The pending signals of a process: bit 0 is signal 1. */
async function pendingSignals(pid: number): Promise<bigint> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return BigInt(`0x${/^ShdPnd:\s*([0-9a-f]+)$/m.exec(status)![1]}`);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
