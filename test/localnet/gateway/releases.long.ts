/**
 * A hundred releases while a file of 64 MiB is downloaded through the gateway, again and again: each download is of the release that its
 * URL names, or ends with an error. The releases go back and forth between two trees, so that nothing has to be uploaded meanwhile. Their
 * files differ in the first and in the last piece: a download that went on with another release would have the wrong end. In the middle of a
 * download comes either one release, which must not disturb it, or several, after which the download's own release is gone.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { icfsCanister } from "../../../lib/icfs-canister.ts";
import { publish } from "../../../lib/publish/publish.ts";
import { bytesOf, PLAINLY } from "../../publish/trees.ts";
import { startCanister } from "../../support/canister-network.ts";
import { ask } from "../../support/web.ts";

const MIB = 1 << 20;
const MEBIBYTES = 64;
const SWITCHES = 100;

t.setTimeout(1_800_000);

t.test("each download contains a single release", async (t) => {
  const c = await startCanister(t);
  const host = `${c.canister}.localhost`;
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  const middle = bytesOf(0, (MEBIBYTES - 2) * MIB);
  const contentWith = (seed: number) => Buffer.concat([bytesOf(seed, MIB), middle, bytesOf(seed + 1, MIB)]);
  /** The contents in the even and in the odd releases. */
  const contents = [contentWith(1), contentWith(3)] as const;
  const contentOf = (release: number) => contents[release % 2]!;
  for (const release of [1, 2]) {
    await writeFile(join(tree, "image"), contentOf(release));
    const options = { canister: c.canister, agent: c.publisherAgent, source: c.source(), note: "" };
    await publish({ ...PLAINLY, ...options, directory: tree });
  }
  const canister = icfsCanister(c.publisherAgent, c.canister);
  const source = c.source();
  let newest = 2;
  const next = async () => {
    const { hash } = (await source.head())!;
    const result = await canister.rollback({ to: BigInt(newest - 1), parent: [hash], note: "" });
    if (!("ok" in result)) throw new Error(`release ${newest + 1}: ${Object.keys(result.err)}`);
    newest++;
  };

  /**
   * Downloads the file of the newest release.
   *
   * @param releases how many are made meanwhile, one after the other, the first when byte `from` has arrived
   * @returns true when the whole file came, false after an error
   */
  const download = async (releases: number, from: number): Promise<boolean> => {
    const redirect = await ask(c.url, host, "/image");
    if (redirect.status !== 307) throw new Error(`${redirect.status}: ${redirect.body}`);
    const path = redirect.headers.location!;
    t.equal(path, `/.icfs/at/${newest}/image`, "a path without a release redirects to the newest one");
    const content = contentOf(newest);
    let making: Promise<void> | undefined;
    const make = async () => {
      for (let i = 0; i < releases; i++) await next();
    };
    const got = await ask(c.url, host, path, {
      received(bytes) {
        if (bytes >= from) making ??= make();
        return making;
      },
    });
    making ??= make();
    await making;
    const { status, complete, body } = got;
    if (status === 200 && complete) {
      if (!body.equals(content)) t.fail(`${path} is another file`);
      return true;
    }
    if (status === 200 && !body.equals(content.subarray(0, body.length)))
      t.fail(`${path} begins as another file, and breaks off`);
    return false;
  };

  const half = (MEBIBYTES * MIB) / 2;
  t.equal(await download(1, half), true, "a download survives the next release");
  // The releases begin at the first byte, during the second piece, and so on: by the end the download's own release is gone.
  const failed: boolean[] = [];
  const last = 2 + SWITCHES;
  for (let i = 0; newest < last - 1; i++)
    failed.push(await download(Math.min(3 + (i % 6), last - 1 - newest), 1 + i * 200_000));
  t.ok(failed.includes(false), `some of ${failed.length} downloads fail when their release is dropped`);
  t.equal(await download(1, half), true, "a download survives the last release as well");
  t.equal((await source.head())!.header.number, last);
});
