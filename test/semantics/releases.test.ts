/** docs/SEMANTICS.md, "Releases": when a new release goes live. */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";
import { eventually, HUNG, holding, type mountpointFor, sh } from "../mount/mounts.ts";
import type { Fault } from "../support/fault-proxy.ts";
import { startMountable } from "../support/mountable.ts";
import { aboveTransports } from "../support/transport.ts";

t.setTimeout(10 * HUNG);

const MiB = 1024 * 1024;
/** Seconds: many times the pause that a busy machine makes between two opens of `booting`. */
const QUIET = 5;
/** So many opens take longer than QUIET, since a pause of a tenth of a second follows each. */
const OPENS = 12 * QUIET;

const c = await startMountable(t);
let last = await c.publish({ file: "release 1\n", other: randomBytes(300_000) });

async function publish(files: Record<string, string | Buffer> = {}): Promise<number> {
  last = await c.publish({ file: `release ${last + 1}\n`, ...files });
  return last;
}

/** Opens a file again and again, like a rack that boots. */
function booting(t: Parameters<typeof mountpointFor>[0], path: string) {
  const script = `
import sys, time
while True:
    with open(sys.argv[1]) as file:
        print(file.read(), end="", flush=True)
    time.sleep(0.1)
`;
  const child = spawn("python3", ["-c", script, path], { stdio: ["ignore", "pipe", "inherit"] });
  const stop = () => void child.kill("SIGKILL");
  t.teardown(async () => stop());
  const read: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => void read.push(line));
  return { read, stop };
}

aboveTransports(t, "16. a new release waits until no file was open for --quiet", async (t) => {
  const { at, status, log, umount } = await c.mount("--refresh", "0.3", "--quiet", `${QUIET}`);
  const boot = booting(t, at("file"));
  await eventually("a boot is under way", () => boot.read.length > 0);
  const before = last;
  const next = await publish();
  await eventually("it waits", async () => (await status()).next?.state === "waiting for quiet");
  const opened = boot.read.length;
  // Goes on for longer than QUIET.
  await eventually("files go on being opened", () => boot.read.length > opened + OPENS);
  t.equal((await status()).release, before);
  // One file stays open, as for a slow client.
  const holder = await holding(t, at("other"));
  boot.stop();
  t.same(new Set(boot.read), new Set([`release ${before}`]));
  const ticks = booting(t, join(c.tree, "file"));
  await eventually("it is open for longer than that", () => ticks.read.length > OPENS);
  t.equal((await status()).release, before);
  ticks.stop();
  await holder.close();
  await eventually("it is live", async () => (await status()).release === next);
  t.equal((await sh("cat", at("file"))).stdout, `release ${next}\n`);
  t.match(
    await log(),
    new RegExp(`release ${next} is live \\(all of it is here\\), after .* s of waiting for quiet`),
  );
  await umount();
});

t.test("17. a release goes live --switch-within after it is ready, even if files are in use", async (t) => {
  const { at, status, log, umount } = await c.mount(
    "--refresh",
    "0.3",
    "--quiet",
    "1h",
    "--switch-within",
    "2",
  );
  const boot = booting(t, at("file"));
  await eventually("a boot is under way", () => boot.read.length > 0);
  const next = await publish();
  await eventually("it is read", () => boot.read.at(-1) === `release ${next}`);
  t.equal((await status()).release, next);
  boot.stop();
  t.match(await log(), new RegExp(`release ${next} is live .*, though files are in use, after `));
  await umount();
});

t.test(
  "18. with --prefetch all, a release goes live when all of it is on this host and verified",
  async (t) => {
    const options = ["--refresh", "0.3", "--quiet", "0", "--read-timeout", "2", "--ready", "hydrated"];
    const { at, status, mountpoint, umount } = await c.mount(...options);
    const before = last;
    const content = randomBytes(300_000);
    const chunk = createHash("sha256").update(content).digest();
    let fault: Exclude<Fault, (answer: Buffer) => Buffer> = "silence";
    let asked = 0;
    c.proxy.fault = (_, body) => {
      if (!body.includes(chunk)) return "none";
      asked += 1;
      return fault;
    };
    const next = await publish({ new: content });
    for (fault of ["silence", "flip"] as const) {
      asked = 0;
      c.proxy.hangUp();
      // One request without an answer, or with a wrong one, and another one after it.
      await eventually(`it is asked for: ${fault}`, () => asked > 2);
      t.match(await status(), { release: before, next: { release: next, state: "hydrating" } }, fault);
      t.equal((await sh("cat", at("file"))).stdout, `release ${before}\n`, fault);
      t.match((await sh("cat", at("new"))).stderr, /No such file/, fault);
    }
    fault = "none";
    await eventually("it is live", async () => (await status()).release === next);
    c.proxy.fault = () => "drop";
    t.ok(await c.same(mountpoint), "it needs no network");
    t.equal((await status()).hydrated, true);
    c.proxy.fault = () => "none";
    await umount();
  },
);

aboveTransports(
  t,
  "19. a release that is larger than the cache is read on demand, and goes live as well",
  async (t) => {
    const cache = ["--max-cache-size", "2MiB", "--memory", "1MiB", "--cache-dir", join(c.directory, "small")];
    const { status, log, mountpoint, umount } = await c.mount("--refresh", "0.3", "--quiet", "0", ...cache);
    for (const name of ["large", "larger"]) {
      const next = await publish({ [name]: randomBytes(3 * MiB) });
      await eventually("it is live", async () => (await status()).release === next);
      t.ok(await c.same(mountpoint));
      t.equal((await status()).hydrated, false);
      t.match(await log(), new RegExp(`release ${next} is live \\(it is read on demand\\)`));
    }
    await umount();
  },
);
