/**
 * A hundred releases while a file of many pieces is downloaded through the gateway, again and again: each download is of one release, the
 * one that its URL names, or ends with an error. The releases go back and forth between two trees whose files differ in every piece, so
 * that nothing has to be uploaded meanwhile. (64 MiB in place of 4 would take minutes, of hashing and of downloads.)
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { icfsCanister } from "../../../lib/icfs-canister.ts";
import { publish } from "../../../lib/publish/publish.ts";
import { bytesOf, PLAINLY } from "../../publish/trees.ts";
import { startCanister } from "../../support/canister-network.ts";
import { ask } from "../../support/web.ts";

const PIECES = 4;
const SWITCHES = 100;
const DOWNLOADERS = 1;

t.setTimeout(1_200_000);

t.test("each download is of one release", async (t) => {
  const c = await startCanister(t);
  const host = `${c.canister}.localhost`;
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  /** Of the odd and of the even releases. */
  const contents = [bytesOf(0, PIECES << 20), bytesOf(1, PIECES << 20)] as const;
  const contentOf = (release: number) => contents[release % 2]!;
  for (const release of [1, 2]) {
    await writeFile(join(tree, "image"), contentOf(release));
    const options = { canister: c.canister, agent: c.publisherAgent, source: c.source(), note: "" };
    await publish({ ...PLAINLY, ...options, directory: tree });
  }

  let switching = true;
  const counts = { whole: 0, during: 0, failed: 0 };
  const downloads = async () => {
    for (let more = true; more; ) {
      // Once more when all is over: that one must work.
      more = switching;
      const redirect = await ask(c.url, host, "/image");
      if (redirect.status !== 307) throw new Error(`${redirect.status}: ${redirect.body}`);
      const path = redirect.headers.location!;
      const release = Number(/\/at\/(\d+)\/image$/.exec(path)![1]);
      const image = await ask(c.url, host, path).catch(() => undefined);
      if (image?.status !== 200 || !image.complete) {
        counts.failed++;
        if (!more) t.fail("the last download failed");
        continue;
      }
      counts.whole++;
      if (!image.body.equals(contentOf(release))) t.fail(`a download of release ${release} is another file`);
      if (switching) counts.during++;
    }
  };
  const running = Promise.all(Array.from({ length: DOWNLOADERS }, downloads));
  const canister = icfsCanister(c.publisherAgent, c.canister);
  const source = c.source();
  try {
    for (let newest = 2; newest < 2 + SWITCHES; newest++) {
      const { hash } = (await source.head())!;
      const result = await canister.rollback({ to: BigInt(newest - 1), parent: [hash], note: "" });
      if (!("ok" in result)) throw new Error(`release ${newest + 1}: ${Object.keys(result.err)}`);
    }
  } finally {
    switching = false;
    await running;
  }
  t.equal((await source.head())!.header.number, 2 + SWITCHES);
  t.ok(counts.whole >= DOWNLOADERS, JSON.stringify(counts));
});
