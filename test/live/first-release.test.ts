/** The first release of a mount of one channel, when the channel was deleted. */
import t from "tap";
import { openDiskStore } from "../../lib/cache/disk-store.ts";
import { openFirst } from "../../lib/live/first-release.ts";
import { createLog } from "../../lib/log.ts";
import { AllChannels } from "../../lib/source/icfs/all-channels.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { madeUpChannels } from "../support/made-up-channels.ts";

t.test("a deleted channel is not mounted again, even offline, until it exists again", async (t) => {
  process.env.XDG_STATE_HOME = await temporaryDirectory(t);
  const canister = madeUpChannels();
  canister.publish(3);
  canister.promote("stable", 1);
  const log = createLog("error", () => {});
  const store = openDiskStore(await temporaryDirectory(t), 1_000_000, log);
  t.teardown(() => store.close());
  const channels = new AllChannels(canister.address, canister.readers);
  const opened = async (offline = false) => {
    await channels.look().catch(() => {});
    return openFirst(channels.source("stable"), { store, offline, maxStale: Number.POSITIVE_INFINITY, log });
  };
  t.match(await opened(), { release: { number: 1 }, isKept: true, warning: undefined });
  canister.failure = new Error("no answer");
  t.match(await opened(), { release: { number: 1 }, warning: /no answer/ }, "kept");

  canister.failure = undefined;
  canister.promote("stable", undefined);
  await t.rejects(opened(), { message: /has no channel stable/ });
  canister.failure = new Error("no answer");
  await t.rejects(
    opened(),
    { message: /has no channel stable/ },
    "this host remembers that the channel was deleted",
  );
  await t.rejects(opened(true), { message: /has no channel stable/ });

  canister.failure = undefined;
  canister.promote("stable", 2);
  t.match(await opened(), { release: { number: 2 } });
  t.match(await opened(true), { release: { number: 2 } });
});
