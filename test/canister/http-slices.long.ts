/** A release whose pages take many messages to make: until they are ready, HTTP serves the release before, whatever happens in between. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { exactly } from "../support/exactly.ts";
import { askHttp, gatewayAgent, verifyHttp } from "../support/http.ts";
import { startIcfsCanister, treeOf } from "../support/icfs-canister.ts";
import { smallLimits } from "../support/site.ts";

/** The pages of so many files take many messages. */
const FILES = 1_500;

t.test(
  "a release's pages are made in slices, interrupted by an upgrade or another release",
  { timeout: 1_800_000 },
  async (t) => {
    const wasm = smallLimits(t);
    const canister = await startIcfsCanister(t, { api: "both" }, wasm);
    const { network, id, owner, source } = canister;
    const agent = gatewayAgent(network);
    /** The answer at /a, and the release that HTTP serves, before and after that answer. */
    const see = async () => {
      const shown = async () => (await owner.status()).http[0]!.release;
      const before = await shown();
      const answer = await askHttp(agent, id, "/a");
      verifyHttp("/a", answer, id, network.rootKey);
      return {
        releases: [before, await shown()],
        status: answer.status,
        text: Buffer.from(answer.body).toString(),
      };
    };
    /** Publishes a file /a with this text, and many other files with the same text. */
    const publish = async (text: string, files: number) => {
      const { manifest, chunks } = treeOf({ a: text });
      await owner.put(chunks);
      const [entry] = manifest.entries;
      const others = Array.from({ length: files }, (_, i) => ({ ...entry!, path: `f${10_000 + i}` }));
      const result = await canister.publish({ ...manifest, entries: [entry!, ...others] });
      if (!("ok" in result)) throw new Error(JSON.stringify(result));
      return result.ok;
    };
    /** Follows the answers until HTTP serves the newest release. Each answer must be of the release that HTTP serves at that time. */
    const follow = async (texts: Record<string, string>) => {
      const seen = new Set<string>();
      for (;;) {
        const { releases, status, text } = await see();
        const right = releases.map((release) => texts[`${release}`]);
        if (status !== 200 || !right.includes(text)) t.fail(`${status} ${text} of ${releases}`);
        seen.add(text);
        if (releases[1] === (await owner.status()).newest) return seen;
        await sleep(50);
      }
    };

    t.equal(await publish("one", 0), 1n);
    t.match(await see(), { releases: exactly(1n, 1n), text: "one" }, "at once");
    t.equal(await publish("two", FILES), 2n);
    t.match(await see(), { text: "one" }, "the old page is served until the new pages are made");
    t.equal((await source.head())!.header.number, 2, "mounts see the new release at once");
    await network.replace(id, "upgrade", wasm);
    const { status, body } = await askHttp(agent, id, "/a");
    t.equal(status, 503, "the status is 503 while the pages are made again after an upgrade");
    t.match(Buffer.from(body).toString(), /are being made/);
    while ((await owner.status()).http[0]!.release !== 2n) await sleep(100);
    t.match(await see(), { text: "two" });

    t.equal(await publish("three", FILES), 3n);
    t.match(await see(), { text: "two" });
    t.equal(await publish("four", 0), 4n);
    t.match(
      await see(),
      { releases: exactly(4n, 4n), text: "four" },
      "another release in between is served at once",
    );

    t.equal(await publish("five", FILES), 5n);
    const seen = await follow({ 4: "four", 5: "five" });
    t.ok(seen.has("four"), "the release before, in the meantime");
    t.match(await see(), { releases: exactly(5n, 5n), text: "five" });
  },
);
