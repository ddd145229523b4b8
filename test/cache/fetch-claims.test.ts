/** Processes that share a disk cache fetch a chunk once, and none of them depends on another for it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { lutimesSync } from "node:fs";
import { lstat, lutimes, mkdir, readdir, readlink, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { FetchClaims } from "../../lib/cache/fetch-claims.ts";
import { stateOfProcess } from "../../lib/process/living.ts";
import { keyOf } from "../../lib/tree/tree.ts";
import { eventually } from "../mount/mounts.ts";
import { HUNG, temporaryDirectory } from "../support/icfs.ts";
import { A, answering, B, cacheOf } from "./caches.ts";
import { open } from "./stores.ts";

const KEY = keyOf(A.reference);
/** Longer than any test. */
const PATIENT = { silence: HUNG, whole: HUNG };
const absent = async () => undefined;

/** Two caches over one directory, as two mounts have them. @param fetch the network of both */
async function twoCaches(t: Test, fetch: Parameters<typeof cacheOf>[0], readTimeout = HUNG) {
  const first = await open(t);
  const second = await open(t, undefined, first.directory);
  const over = ({ store }: typeof first) => cacheOf(fetch, { disk: store, readTimeout });
  return { ...first, caches: [over(first), over(second)] as const };
}

t.test("two caches that want a chunk at once fetch it once", async (t) => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const { caches, directory } = await twoCaches(t, async (reference) => {
    asked.resolve();
    await answer.promise;
    return answering(A, B)(
      reference,
      () => {},
      () => {},
    );
  });
  const reads = caches.map(({ cache }) => cache.get(A.reference));
  await asked.promise;
  // By now the waiting cache has seen the other's claim.
  const [claim] = await readdir(join(directory, "fetching"));
  t.equal(claim, KEY);
  t.equal(stateOfProcess(await readlink(join(directory, "fetching", KEY))), "alive");
  answer.resolve();
  for (const read of reads) t.ok((await read).equals(A.bytes));
  t.equal(caches[0].fetched.length + caches[1].fetched.length, 1);
  const verified = caches.map(({ cache }) => cache.statistics.chunksVerified);
  t.same(verified.sort(), [0, 1], "only the cache that fetched the chunk counts it as verified");
  t.same(
    caches.map(({ cache }) => cache.statistics.misses),
    [1, 1],
  );
  // Background loads share their fetch as well.
  await Promise.all(caches.map(({ cache }) => cache.load(B.reference, { keep: false })));
  t.equal(caches[0].fetched.length + caches[1].fetched.length, 2);
  // Readers do not wait for the claim's removal.
  await eventually(
    "the claims are given up",
    async () => (await readdir(join(directory, "fetching"))).length === 0,
  );
});

t.test("when the cache that fetches a chunk fails, the other one fetches it", async (t) => {
  let asked = 0;
  const { caches } = await twoCaches(t, async () => {
    asked += 1;
    if (asked === 1) throw new Error("no");
    return A.bytes;
  });
  const reads = await Promise.all(caches.map(({ cache }) => cache.get(A.reference)));
  t.ok(reads.every((bytes) => bytes.equals(A.bytes)));
  t.equal(asked, 2);
});

t.test("when a fetching process is killed, another takes over the chunk", async (t) => {
  const directory = await temporaryDirectory(t);
  const module = new URL("../../lib/cache/fetch-claims.ts", import.meta.url).href;
  const script = `
    const { FetchClaims } = await import(${JSON.stringify(module)});
    await new FetchClaims(${JSON.stringify(directory)}).take("${KEY}", async () => {}, { silence: 1e9, whole: 1e9 });
    console.log("taken");
    setInterval(() => {}, 1e9);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  t.teardown(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  const claims = new FetchClaims(directory);
  await claims.tidy();
  t.same(await readdir(join(directory, "fetching")), [KEY], "a living process keeps its claim");
  const waiting = claims.take(KEY, absent, PATIENT);
  child.kill("SIGKILL");
  await ended;
  const claim = await waiting;
  t.not(claim, undefined, "the waiting process gets the claim of the killed one");
  t.equal(stateOfProcess(await readlink(join(directory, "fetching", KEY))), "alive");
  await (claim as Exclude<typeof claim, Buffer | undefined>).release();
  t.same(await readdir(join(directory, "fetching")), []);
});

t.test(
  "a silent or slow claim of another container is not waited for, and is removed after a day",
  async (t) => {
    const directory = await temporaryDirectory(t);
    await mkdir(join(directory, "fetching"));
    const path = join(directory, "fetching", KEY);
    await symlink("1-2-3", path);
    const claims = new FetchClaims(directory);
    t.equal(
      await claims.take(KEY, absent, { silence: 20, whole: HUNG }),
      undefined,
      "a silent claim is not waited for",
    );
    t.equal(
      await claims.take(KEY, absent, { silence: HUNG, whole: 20 }),
      undefined,
      "a claim that takes too long is not waited for",
    );
    await claims.tidy();
    t.same(await readdir(join(directory, "fetching")), [KEY]);
    const longAgo = Date.now() / 1000 - 25 * 3600;
    await lutimes(path, longAgo, longAgo);
    await claims.tidy();
    t.same(await readdir(join(directory, "fetching")), [], "a claim of more than a day ago is removed");
  },
);

t.test("a process that sees progress on a claim goes on waiting", async (t) => {
  const directory = await temporaryDirectory(t);
  const claims = new FetchClaims(directory);
  const claim = await claims.take(KEY, absent, PATIENT);
  if (claim === undefined || Buffer.isBuffer(claim)) throw new Error("there is no other");
  const path = join(directory, "fetching", KEY);
  const { mtimeMs } = await lstat(path);
  await eventually("it says that more has come", async () => {
    claim.progress();
    return (await lstat(path)).mtimeMs > mtimeMs;
  });
  const silence = 300;
  const other = claims.take(KEY, async () => A.bytes, { silence, whole: HUNG });
  // This process touches the file itself, so that a delay of the process delays the waiter's looks as well.
  for (const began = performance.now(); performance.now() - began < 3 * silence; await sleep(10)) {
    const time = new Date();
    lutimesSync(path, time, time);
  }
  await claim.release();
  t.ok(Buffer.isBuffer(await other), "the waiting process gets the chunk");
});

t.test("where no claim can be made, each cache fetches for itself", async (t) => {
  await t.test("the directory of claims is a file", async (t) => {
    const { caches, directory } = await twoCaches(t, answering(A, B));
    await writeFile(join(directory, "fetching"), "");
    for (const { cache } of caches) t.ok((await cache.get(A.reference)).equals(A.bytes));
  });
  await t.test("the directory of claims is a link elsewhere", async (t) => {
    const { caches, directory } = await twoCaches(t, answering(A, B));
    const elsewhere = await temporaryDirectory(t);
    await symlink(elsewhere, join(directory, "fetching"));
    for (const { cache } of caches) t.ok((await cache.get(A.reference)).equals(A.bytes));
    t.same(await readdir(elsewhere), []);
  });
});
