/** The largest number of channels, and upgrades of canisters that have channels, or are of a version before channels. */
import { readFileSync } from "node:fs";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import t from "tap";
import { history, proved, publishContent, publishedTwice, set } from "../support/channels.ts";
import { ICFS_WASM, startIcfsCanister } from "../support/icfs-canister.ts";

t.test("a canister takes at most a hundred channel names, including deleted ones", async (t) => {
  const canister = await publishedTwice(t);
  const { owner } = canister;
  const names = Array.from({ length: 100 }, (_, i) => `channel-${i}`);
  const note = "n".repeat(1024);
  await Promise.all(names.map((name) => owner.promote(set(name, 1n, undefined, note))));
  t.match(await owner.promote(set("one-more", 1n)), { err: { invalid: /there have been 100 channels/ } });
  t.match(await owner.promote(set("channel-7", undefined, 1n)), { ok: 2n });
  t.match(await owner.promote(set("one-more", 1n)), { err: { invalid: /there have been 100 channels/ } });
  t.match(await owner.promote(set("channel-7", 2n, 2n)), { ok: 3n });
  const { channels } = await proved(canister, "channels");
  t.strictSame([...channels.keys()].sort(), names.sort(), "one proof has room for all hundred channels");
  t.equal((await proved(canister, { channel: "channel-42" })).channels.size, 1);
  await t.rejects(proved(canister, { channel: "one-more" }), { message: /has no channel one-more/ });
});

t.test(
  "an upgrade keeps channels, and one from a build without channels keeps releases and roles",
  async (t) => {
    const before = Uint8Array.from(readFileSync(new URL("before/third.wasm", import.meta.url)));
    const canister = await startIcfsCanister(t, {}, before);
    const { owner, network, id, source } = canister;
    const who = Ed25519KeyIdentity.generate().getPrincipal();
    await owner.grant(who, { reader: null });
    for (const content of ["one", "two"]) await publishContent(canister, content);
    await t.rejects(proved(canister, "channels"), { message: /knows no channels.*icfs deploy/ });
    const head = (await source.head())!;
    await network.replace(id, "upgrade", ICFS_WASM);
    t.strictSame((await source.head())!.hash, head.hash);
    t.strictSame(
      (await owner.roles_granted()).map(([, role]) => role),
      [{ reader: null }],
    );
    await owner.promote(set("stable", 1n));
    await owner.promote(set("stable", 2n, 1n, "newer"));
    await owner.promote(set("canary", 2n));
    const { settings } = await owner.status();
    await owner.configure({ ...settings, hold_newest: 1, hold_nanoseconds: 0n });
    const all = await history(canister, "stable");
    await network.replace(id, "upgrade", ICFS_WASM);
    t.strictSame(await history(canister, "stable"), all);
    const { channels } = await proved(canister, "channels");
    t.match(channels.get("stable"), { serial: 2, note: "newer", release: { number: 2 } });
    t.match(channels.get("canary"), { serial: 1 });
    await publishContent(canister, "three");
    t.strictSame(
      [...(await owner.status()).held],
      [2n, 3n],
      "the upgraded canister still holds a release that channels name",
    );
    t.match(await owner.promote(set("stable", 3n, 2n)), { ok: 3n });
  },
);
