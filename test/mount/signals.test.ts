/**
 * Signals for those who wait in a read, over the kernel transport: who is being killed dies at once, and for anybody else
 * read() goes on; it never fails with EINTR. (libfuse 2 keeps the first half from us.)
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { eventually, HUNG, mountpointFor, type Served, serve, sh } from "./mounts.ts";

t.setTimeout(3 * HUNG);

/** How a file is read: through the page cache, page by page, and past it. */
const WAYS = {
  "read()": "os.read(os.open(path, os.O_RDONLY), 4096)",
  "read() of much": "os.read(os.open(path, os.O_RDONLY), 300000)",
  O_DIRECT: "os.preadv(os.open(path, os.O_RDONLY | os.O_DIRECT), [mmap.mmap(-1, 4096)], 0)",
  mmap: "mmap.mmap(os.open(path, os.O_RDONLY), 300000, prot=mmap.PROT_READ)[0]",
};

type Test = Parameters<typeof mountpointFor>[0];

/** A process that waits in a read of `path`, in the kernel. */
async function reader(t: Test, path: string, how: string, before = "") {
  const script = `
import mmap, os, signal, sys
path = sys.argv[1]
${before}
print("reading", flush=True)
got = ${how}
signal.setitimer(signal.ITIMER_REAL, 0)
print(len(got) if isinstance(got, bytes) else got, flush=True)
`;
  const child = spawn("python3", ["-c", script, path], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit") as Promise<[number | null, string | null]>;
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  t.teardown(async () => void child.kill("SIGKILL"));
  await eventually("it reads", () => said !== "");
  // Asleep: it waits for the answer.
  await eventually("it waits", async () =>
    /\) [SD] /.test(await readFile(`/proc/${child.pid}/stat`, "utf8")),
  );
  return { child, ended, said: () => said };
}

/** Somebody else is still served. */
const lives = async (mountpoint: string) => (await sh("cat", `${mountpoint}/hello.txt`)).stdout;

async function end(served: Served): Promise<number | string> {
  served.process.kill("SIGTERM");
  return served.ended;
}

for (const [name, how] of Object.entries(WAYS)) {
  t.test(`a killed reader ends although its read never does: ${name}`, async (t) => {
    const mountpoint = await mountpointFor(t);
    const served = await serve(t, mountpoint);
    const killed = await reader(t, `${mountpoint}/special/never`, how);
    killed.child.kill("SIGKILL");
    t.same(await killed.ended, [null, "SIGKILL"]);
    // A signal that it has no handler for ends it as well.
    const ended = await reader(t, `${mountpoint}/special/never`, how);
    ended.child.kill("SIGTERM");
    t.same(await ended.ended, [null, "SIGTERM"]);
    t.equal(await lives(mountpoint), "hello\n");
    t.equal(await end(served), 0);
  });

  t.test(`a signal with a handler, and then one that kills: ${name}`, async (t) => {
    const mountpoint = await mountpointFor(t);
    const served = await serve(t, mountpoint);
    const handle = "signal.signal(signal.SIGUSR1, lambda *_: None)";
    const waiting = await reader(t, `${mountpoint}/special/never`, how, handle);
    waiting.child.kill("SIGUSR1");
    await sleep(300);
    t.equal(waiting.child.exitCode, null);
    waiting.child.kill("SIGKILL");
    t.same(await waiting.ended, [null, "SIGKILL"]);
    t.equal(await end(served), 0);
  });
}

for (const [name, how] of Object.entries(WAYS)) {
  t.test(`reads go on through signals that are handled: ${name}`, async (t) => {
    const mountpoint = await mountpointFor(t);
    const served = await serve(t, mountpoint);
    // Python would read again after EINTR; the C library's function does not.
    const before = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def read(flags, size):
    area = mmap.mmap(-1, size)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    got = libc.read(os.open(path, os.O_RDONLY | flags), ctypes.c_void_p(address), ctypes.c_size_t(size))
    return (got, ctypes.get_errno(), calls > 3)
calls = 0
def count(*_):
    global calls
    calls += 1
signal.signal(signal.SIGALRM, count)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
`;
    const calls: Record<string, string> = {
      "read()": "str(read(0, 4096))",
      "read() of much": "str(read(0, 300000))",
      O_DIRECT: "str(read(os.O_DIRECT, 4096))",
      mmap: how,
    };
    const alarmed = await reader(t, `${mountpoint}/waiting/0`, calls[name]!, before);
    await sleep(1000);
    t.equal(alarmed.said(), "reading\n", "it waits through twenty signals");
    served.process.kill("SIGUSR2");
    t.same(await alarmed.ended, [0, null]);
    t.notMatch(alarmed.said(), "-1", "no error");
    t.equal(await end(served), 0);
  });
}

t.test("a crowd of which some are killed: the others read everything", async (t) => {
  const mountpoint = await mountpointFor(t);
  const served = await serve(t, mountpoint);
  const how = "os.preadv(os.open(path, os.O_RDONLY | os.O_DIRECT), [mmap.mmap(-1, 303104)], 0)";
  const readers = await Promise.all(
    Array.from({ length: 12 }, (_, i) => reader(t, `${mountpoint}/waiting/${i}`, how)),
  );
  for (const [i, { child }] of readers.entries()) if (i % 2 === 0) child.kill("SIGKILL");
  for (const [i, { ended }] of readers.entries()) if (i % 2 === 0) t.same(await ended, [null, "SIGKILL"]);
  served.process.kill("SIGUSR2");
  for (const [i, { ended, said }] of readers.entries()) {
    if (i % 2 === 0) continue;
    t.same(await ended, [0, null]);
    t.equal(said(), "reading\n300000\n");
  }
  t.equal(await end(served), 0);
});
