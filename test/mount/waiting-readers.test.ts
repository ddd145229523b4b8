/**
 * Signals for processes that wait in a read, over the kernel transport: more cases than in test/semantics/time.test.ts.
 * (libfuse 2 does not tell icfs which reader is being killed.)
 */
import t from "tap";
import { HUNG, mountpointFor, serve, sh, WAYS_TO_READ, waitingReader } from "./mounts.ts";

t.setTimeout(10 * HUNG);

const mountpoint = await mountpointFor(t);
const served = await serve(t, mountpoint);

for (const [name, how] of Object.entries(WAYS_TO_READ)) {
  t.test(`a signal with a handler, and then one that kills: ${name}`, async (t) => {
    const handle = "signal.signal(signal.SIGUSR1, lambda *_: None)";
    const waiting = await waitingReader(t, `${mountpoint}/special/never`, how, handle);
    waiting.child.kill("SIGUSR1");
    // The kernel reports the signal before it asks for anything else.
    for (const path of ["hello.txt", "tool"]) t.equal((await sh("cat", `${mountpoint}/${path}`)).code, 0);
    t.equal(waiting.child.exitCode, null);
    waiting.child.kill("SIGKILL");
    t.same(await waiting.ended, [null, "SIGKILL"]);
  });
}

t.test("when some of many waiting readers are killed, the others read everything", async (t) => {
  const how = "os.preadv(os.open(path, os.O_RDONLY | os.O_DIRECT), [mmap.mmap(-1, 303104)], 0)";
  const readers = await Promise.all(
    Array.from({ length: 12 }, (_, i) => waitingReader(t, `${mountpoint}/waiting/${i}`, how)),
  );
  for (const [i, { child }] of readers.entries()) if (i % 2 === 0) child.kill("SIGKILL");
  for (const [i, { ended }] of readers.entries()) if (i % 2 === 0) t.same(await ended, [null, "SIGKILL"]);
  served.process.kill("SIGUSR2");
  for (const [i, { ended, said }] of readers.entries()) {
    if (i % 2 === 0) continue;
    t.same(await ended, [0, null]);
    t.equal(said(), "reading\n300000\n");
  }
});

t.test("the mount ends normally after all these tests", async (t) => {
  served.process.kill("SIGTERM");
  t.equal(await served.ended, 0);
});
