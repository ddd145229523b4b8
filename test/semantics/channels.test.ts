/** docs/SEMANTICS.md, "Channels": mounts of a channel's release. */
import t from "tap";
import { eventually, HUNG, sh } from "../mount/mounts.ts";
import { promoter } from "../support/channels.ts";
import { faultFor } from "../support/fault-proxy.ts";
import { startMountable } from "../support/mountable.ts";
import { aboveTransports } from "../support/transport.ts";

t.setTimeout(10 * HUNG);

const c = await startMountable(t);
const promote = promoter(c);
const FAST = ["--refresh", "0.3", "--quiet", "0"];

for (const number of [1, 2, 3])
  await c.publish({ kernel: `kernel ${number}\n`, initrd: `initrd ${number}\n` });
await promote("stable", 1);

t.test("38. a mount of a channel follows it, forward and back, and not the newest release", async (t) => {
  const { at, status, log, umount } = await c.mountNamed("stable", ...FAST);
  const shows = async (number: number) => {
    const { stdout } = await sh("cat", at("kernel"), at("initrd"));
    t.equal(stdout, `kernel ${number}\ninitrd ${number}\n`);
  };
  await shows(1);
  for (const [i, number] of [3, 1, 2].entries()) {
    await promote("stable", number);
    await eventually(`release ${number} is live`, async () => (await status()).release === number);
    t.match(await status(), { channel: "stable", serial: i + 2, release: number });
    await shows(number);
  }
  await c.publish({ kernel: "kernel 4\n", initrd: "initrd 4\n" });
  const { checkedAt } = await status();
  await eventually("it looks again", async () => (await status()).checkedAt !== checkedAt);
  t.match(await status(), { release: 2, next: undefined });
  t.notMatch(await log(), /warn|error/i, "quietly");
  await eventually("it is here", async () => (await status()).hydrated);
  await umount();
  const offline = await c.mountNamed("stable", "--offline");
  t.match(await offline.status(), { channel: "stable", serial: 4, release: 2 });
  t.equal((await sh("cat", offline.at("kernel"))).stdout, "kernel 2\n");
  await offline.umount();
});

aboveTransports(
  t,
  "39. what the channel stood for before is refused, and goes on being served if it is deleted",
  async (t) => {
    const { at, status, log, umount } = await c.mountNamed("stable", ...FAST);
    let old: Buffer | undefined;
    let isReplayed = false;
    const fault = faultFor("channels", () => (answer) => {
      old ??= answer;
      return isReplayed ? old : answer;
    });
    c.proxy.fault = fault;
    await eventually("it was asked", () => old !== undefined);
    await promote("stable", 3);
    await eventually("release 3 is live", async () => (await status()).release === 3);
    isReplayed = true;
    await eventually("the replay is refused", async () => (await status()).refused === true);
    t.match(
      (await status()).problem,
      /record 4 of channel stable is older than record 5, which this host accepted/,
    );
    t.match(await log(), /record 4 of channel stable is older than record 5/);
    t.equal((await sh("cat", at("kernel"))).stdout, "kernel 3\n");
    await umount();
    const again = await c.mountNamed("stable", ...FAST);
    t.match(again.said.stderr, /serves what was kept on this host.*record 4 .* is older than record 5/);
    t.match(await again.status(), { serial: 5, release: 3 });
    c.proxy.fault = () => "none";
    await eventually("it is asked again", async () => (await again.status()).problem === undefined);
    await promote("stable", undefined);
    await eventually("it is deleted", async () => (await again.status()).problem !== undefined);
    t.match(await again.status(), { problem: /has no channel stable/, channelDeleted: true, release: 3 });
    t.match(
      (await c.icfs(["status", again.mountpoint])).stdout,
      /^ {2}channel {4}stable \(record 5\); deleted on the canister since: /m,
    );
    t.match(
      (await c.icfs(["doctor", again.mountpoint])).stdout,
      /^warn +mount: .* goes on with release 3: channel stable was deleted on the canister$/m,
    );
    t.equal((await sh("cat", again.at("kernel"))).stdout, "kernel 3\n");
    await promote("stable", 1);
    await eventually("it is there again", async () => (await again.status()).release === 1);
    t.match(await again.status(), { serial: 7, channelDeleted: undefined });
    await again.umount();
  },
);
