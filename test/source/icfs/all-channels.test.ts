/** All channels by one query: what each source gets of the answer, what they share, and what a host records. */
import t, { type Test } from "tap";
import { acceptedReleases } from "../../../lib/source/icfs/accepted-releases.ts";
import { AllChannels } from "../../../lib/source/icfs/all-channels.ts";
import { exactly } from "../../support/exactly.ts";
import { temporaryDirectory } from "../../support/icfs.ts";
import { madeUpChannels } from "../../support/made-up-channels.ts";

t.beforeEach(async (t: Test) => {
  process.env.XDG_STATE_HOME = await temporaryDirectory(t);
});

/** A canister of three releases and two channels. */
function started() {
  const canister = madeUpChannels();
  canister.publish(3);
  canister.promote("stable", 1);
  canister.promote("canary", 2);
  const channels = new AllChannels(canister.address, canister.readers);
  return { canister, channels };
}

t.test("one query says what all channels point to, until the next query", async (t) => {
  const { canister, channels } = started();
  const stable = channels.source("stable");
  const canary = channels.source("canary");
  await t.rejects(stable.source.newest(), /nobody has been asked yet/);
  t.equal(channels.certifiedAt, undefined);
  t.same(await channels.look(), ["canary", "stable"], "in order");
  t.match(await stable.source.newest(), { number: 1, channel: { name: "stable", serial: 1 } });
  t.match(await canary.source.newest(), { number: 2, channel: { name: "canary", serial: 1 } });
  t.equal(canister.asked.heads, 1);
  t.equal(stable.address.channel, "stable");
  t.ok(channels.certifiedAt! <= new Date());

  canister.promote("stable", 3);
  t.match(await stable.source.newest(), { number: 1 });
  await channels.look();
  t.match(await stable.source.newest(), { number: 3, channel: { serial: 2 } });
  canister.promote("stable", 1);
  canister.promote("canary", undefined);
  canister.promote("beta", 3);
  t.same(await channels.look(), ["beta", "stable"]);
  t.match(
    await stable.source.newest(),
    { number: 1, channel: { serial: 3 } },
    "a channel may return to an older release",
  );
  await t.rejects(canary.source.newest(), /has no channel canary: .icfs channel/);
});

t.test("when the query fails, no channel says what it points to", async (t) => {
  const { canister, channels } = started();
  await channels.look();
  canister.failure = new Error("no answer");
  await t.rejects(channels.look(), /no answer/);
  await t.rejects(channels.source("stable").source.newest(), /no answer/);
  canister.failure = undefined;
  await channels.look();
  t.match(await channels.source("stable").source.newest(), { number: 1 });
});

t.test("channels that point to the same release share one tree", async (t) => {
  const { canister, channels } = started();
  canister.promote("canary", 1);
  await channels.look();
  const sources = ["stable", "canary"].map((name) => channels.source(name).source);
  const releases = await Promise.all(sources.map((source) => source.newest()));
  const [one, other] = await Promise.all(sources.map((source, i) => source.tree(releases[i]!)));
  t.equal(one, other);
  t.equal(await sources[1]!.tree(releases[1]!), one);
  t.equal(canister.asked.manifests, 1);
  canister.promote("canary", 2);
  await channels.look();
  const next = await sources[1]!.newest();
  canister.beforeManifest = () => Promise.reject(new Error("no answer"));
  await t.rejects(sources[1]!.tree(next), /no answer/);
  canister.beforeManifest = async () => {};
  t.not(await sources[1]!.tree(next), one, "a tree that could not be fetched is fetched again");
});

t.test("accepted channels are known, and a kept channel is restored by itself", async (t) => {
  const { canister, channels } = started();
  t.same(channels.known, []);
  await channels.look();
  t.same(channels.known, ["canary", "stable"]);
  t.match(
    acceptedReleases(),
    exactly({ number: 3, channels: { canary: { release: 2 }, stable: { release: 1 } } }),
  );
  const { source } = channels.source("stable");
  const evidence = (await source.evidence(await source.newest()))!;
  canister.promote("canary", undefined);
  canister.promote("stable", 2);
  await channels.look();
  t.same(channels.known, ["stable"], "a deleted channel is no longer known");
  const again = new AllChannels(canister.address, canister.readers);
  const restored = await again.source("stable").source.restore(evidence);
  t.match(
    restored,
    { number: 1, channel: { serial: 1 } },
    "a kept channel is restored as it was, without the others",
  );
  const { chunks } = channels;
  const tree = await source.tree(restored);
  const { bytes } = await chunks.chunk(tree.chunks[1]!);
  t.equal(bytes.toString(), "release 1\n");
});

t.test("an old answer is refused for all channels", async (t) => {
  const { canister, channels } = started();
  canister.promote("stable", 2);
  await channels.look();
  const old = madeUpChannels();
  old.publish(3);
  old.promote("stable", 1);
  old.promote("canary", 2);
  const replayed = new AllChannels(canister.address, old.readers);
  const refused = /record 1 of channel stable is older than record 2/;
  await t.rejects(replayed.look(), refused);
  await t.rejects(replayed.source("canary").source.newest(), refused);
  t.match(acceptedReleases(), exactly({ channels: { stable: { serial: 2, release: 2 } } }));
});
