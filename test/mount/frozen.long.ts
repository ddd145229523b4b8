/**
 * A canister that is out of cycles answers nobody. A mount serves what it has; everything else says what is wrong and what to do;
 * after a top-up all goes on.
 */
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Cbor } from "@icp-sdk/core/agent";
import t from "tap";
import { inOrder } from "../support/in-order.ts";
import { setFreezingThreshold, topUp } from "../support/management.ts";
import { startMountable } from "../support/mountable.ts";
import { eventually, HUNG, sh } from "./mounts.ts";

t.setTimeout(30 * HUNG);

/** No canister has cycles for so many seconds. */
const FOR_EVER = 1n << 60n;
const test = inOrder(t);
const SHORT = ["--refresh", "0.3", "--quiet", "0", "--read-timeout", "2"];

const c = await startMountable(t);
const FROZEN = new RegExp(`canister ${c.id} is out of cycles: it is frozen, and answers again when`);
const TOP_UP = /topped up \(on a local network with provisional_top_up_canister\)/;
await c.publish({ file: "file\n", large: randomBytes(1024 * 1024) });
const whole = await c.mount("--ready", "hydrated", ...SHORT, "--metrics", "127.0.0.1:0");
const partly = await c.mount("--prefetch", "none", "--cache-dir", join(c.directory, "other"), ...SHORT);
await setFreezingThreshold(c.publisherAgent, c.canister, FOR_EVER);

test("mounts serve what they have, and report why they cannot fetch more", async (t) => {
  t.ok(await c.same(whole.mountpoint));
  for (const { status } of [whole, partly]) {
    await eventually("it has looked for a new release", async () => (await status()).problem !== undefined);
  }
  const { problem, release, hydrated } = await whole.status();
  t.match(problem, FROZEN);
  t.match(problem, TOP_UP);
  t.match({ release, hydrated }, { release: 1, hydrated: true });
  t.match(await whole.log(), new RegExp(`cannot ask for the newest release: ${FROZEN.source}`));
  const [, url] = /metrics are at (\S+)/.exec(await whole.log()) ?? [];
  const metrics = await (await fetch(url!)).text();
  t.match(metrics, /^icfs_release_check_failing\{.*\} 1$/m);
  t.match(metrics, /^icfs_hydrated\{.*\} 1$/m);

  t.match((await sh("cat", partly.at("large"))).stderr, /Input\/output error/);
  t.match(
    (await sh("cat", partly.at("absent"))).stderr,
    /No such file/,
    "a name that does not exist gives ENOENT",
  );
  t.match(await partly.log(), new RegExp(`chunk [0-9a-f]{16}: .*${FROZEN.source}`));
  // The last of several requests may still be under way when the time is over.
  const message = new RegExp(`^large: .*(${FROZEN.source}|no answer within the read timeout)`);
  t.match((await partly.status()).lastError, { message });
  t.match(await c.icfs(["status", partly.mountpoint]), { code: 0, stdout: FROZEN });
});

test("a host can mount again what it has kept, and a fresh host cannot mount", async (t) => {
  const again = await c.mount();
  t.match(again.said.stderr, new RegExp(`serves what was kept on this host, .*${FROZEN.source}`));
  t.ok(await c.same(again.mountpoint));
  await again.umount();
  const fresh = await c.tryMount("--cache-dir", join(c.directory, "empty"));
  t.match(fresh, { code: 1, stderr: FROZEN });
});

test("commands report that the canister is out of cycles", async (t) => {
  await writeFile(join(c.tree, "new"), "new\n");
  const commands: Record<string, string[]> = {
    publish: [c.tree, c.id],
    ls: [c.id],
    status: [c.id],
    grant: [c.id, "aaaaa-aa", "reader"],
    deploy: [c.id],
  };
  const said = Object.entries(commands).map(async ([name, args]) => {
    const result = await c.icfs([name, ...args]);
    t.match(result, { code: 1, stderr: FROZEN }, name);
    t.match(result, { stderr: TOP_UP }, `${name} says how to top up the canister`);
  });
  const doctor = c.icfs(["doctor", c.id]);
  await Promise.all(said);
  const { code, stdout } = await doctor;
  t.equal(code, 1);
  t.match(stdout, new RegExp(`^fail {2}canister: ${FROZEN.source}`, "m"));
  t.match(
    stdout,
    new RegExp(`^warn {2}mount: ${whole.mountpoint} goes on with release 1, .*${FROZEN.source}`, "m"),
  );
});

/** Any gateway can answer a call like this: nobody signs it. */
const OUT_OF_CYCLES = {
  status: 200,
  headers: { "content-type": "application/cbor" },
  body: Buffer.from(
    Cbor.encode({
      status: "non_replicated_rejection",
      reject_code: 2,
      reject_message: `Canister ${c.id} is out of cycles`,
      error_code: "IC0207",
    }),
  ),
};

test("a gateway's passing claim that cycles have run out does not end a publication", async (t) => {
  await setFreezingThreshold(c.publisherAgent, c.canister, 1n);
  let calls = 0;
  // The first calls, for chunks and for the release, get that answer, and each of them is repeated.
  c.proxy.fault = (path) => (path.endsWith("/call") && calls++ % 2 === 0 ? OUT_OF_CYCLES : "none");
  const result = await c.icfs(["publish", c.tree, c.id, "--network", c.proxy.url]);
  c.proxy.fault = () => "none";
  t.match(result, { code: 0, stdout: /^published release 2 / });
  t.ok(calls >= 2, `${calls} calls`);
});

test("a publication fails once the canister has been frozen for long enough", async (t) => {
  await writeFile(join(c.tree, "larger"), randomBytes(8 * 1024 * 1024));
  let freezing: Promise<void> | undefined;
  c.proxy.fault = (path) => {
    if (path.endsWith("/call")) freezing ??= setFreezingThreshold(c.publisherAgent, c.canister, FOR_EVER);
    return "none";
  };
  // The publication alone waits for half a minute.
  const result = await c.icfs(["publish", c.tree, c.id, "--network", c.proxy.url], { limit: 3 * HUNG });
  c.proxy.fault = () => "none";
  t.ok(freezing);
  t.match(result, { code: 1, stderr: FROZEN });
  t.match(result, { stderr: TOP_UP });
});

test("after a top-up, mounts and publications continue", async (t) => {
  await topUp(c.publisherAgent, c.canister, FOR_EVER << 30n);
  t.equal(await c.publish({ new: "new\n" }), 3);
  for (const { mountpoint, status } of [whole, partly]) {
    await eventually("it has switched", async () => (await status()).release === 3);
    await eventually("and answers", () => c.same(mountpoint));
    t.equal((await status()).problem, undefined);
  }
});
