/** A mirror's pages of headers, with thousands of releases: they are complete and bounded, and none is fetched twice. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { MirrorDirectory } from "../../lib/mirror/directory.ts";
import { mirrorRelease } from "../../lib/mirror/mirror.ts";
import { ancestors } from "../../lib/source/icfs/chain.ts";
import { releasePath } from "../../lib/source/icfs/mirror-paths.ts";
import { MirroredReader } from "../../lib/source/icfs/mirrored-reader.ts";
import { Mirrors } from "../../lib/source/icfs/mirrors.ts";
import type { NetworkReader } from "../../lib/source/icfs/release-reader.ts";
import { decodeHeader, headerHash } from "../../lib/tree/header.ts";
import { readerOf } from "../source/icfs/chain-reader.ts";
import { canisterId } from "../support/certificates.ts";
import { encodeHeader } from "../support/headers.ts";
import { temporaryDirectory } from "../support/icfs.ts";

const RELEASES = 2500;

const headers: Buffer[] = [];
for (let number = 1; number <= RELEASES; number++) {
  const parent = headers.length === 0 ? undefined : headerHash(headers.at(-1)!);
  headers.push(encodeHeader({ number, parent, note: "n".repeat(number % 50) }));
}
const directory = await temporaryDirectory(t);
process.env.XDG_STATE_HOME = join(directory, "state");
const address = {
  network: resolveNetwork("http://127.0.0.1:9"),
  rootKey: Uint8Array.from([1]),
  canister: canisterId(1),
};
const mirror = join(directory, "mirror");
const pages = async () => (await readdir(join(mirror, ".icfs/headers"))).map(Number).sort((a, b) => b - a);

/** The reader of a canister whose newest release is `newest` and whose trees are empty, and the requests that it got. */
function canisterAt(newest: number): { reader: NetworkReader; asked: [from: number, count: number][] } {
  const asked: [number, number][] = [];
  const real = readerOf(headers.slice(0, newest));
  const reader: NetworkReader = {
    ...real,
    proofPath: releasePath,
    piece: () => Promise.reject(new Error("nobody asks")),
    restore: async (proof) => ({
      header: decodeHeader(proof),
      hash: headerHash(proof),
      certifiedAt: new Date(),
      proof,
    }),
    headers(from, count, accept) {
      asked.push([from, count]);
      return real.headers(from, count, accept);
    },
    manifest: async () => ({ entries: [], chunks: [] }),
  };
  return { reader, asked };
}

async function mirrored(newest: number) {
  const { reader, asked } = canisterAt(newest);
  const progress = { start() {}, add() {} };
  await MirrorDirectory.open(mirror, (opened) => mirrorRelease(address, reader, opened, progress, false));
  return asked;
}

/** The numbers of the releases through which a reader of the mirror alone walks down. */
async function walked(newest: number): Promise<number[]> {
  const { reader: network } = canisterAt(newest);
  const mirrors = new Mirrors([`file://${mirror}`], { only: true, maxStale: 0 });
  const reader = new MirroredReader(mirrors, network, 10_000);
  const head = await reader.head();
  const numbers: number[] = [];
  for await (const { header } of ancestors(head!, reader)) numbers.push(header.number);
  return numbers;
}

const below = (newest: number) => Array.from({ length: newest - 1 }, (_, i) => newest - 1 - i);

t.test("a first run", async (t) => {
  t.same(await mirrored(2400), [
    [2399, 1000],
    [1399, 1000],
    [399, 399],
  ]);
  t.same(await pages(), [2399, 1399, 399]);
  t.same(await walked(2400), below(2400));
});

t.test("later runs request only what is new", async (t) => {
  const asked = await mirrored(2410);
  t.equal(
    asked.length,
    4,
    "one request for each of three pages, and one to check the chain to the accepted release",
  );
  t.ok(
    asked.every(([, count]) => count <= 10),
    `${asked.join(" ")}`,
  );
  t.same(
    await pages(),
    [2409, 2399, 1409, 1399, 409, 399],
    "the previous run's pages stay for readers that are still using them",
  );
  t.same(await walked(2410), below(2410));
  await mirrored(RELEASES);
  t.same(await pages(), [2499, 2409, 1499, 1409, 499, 409], "pages from before the previous run are gone");
  t.same(await walked(RELEASES), below(RELEASES));
  t.same(await mirrored(RELEASES), [], "nothing is requested when nothing is new");
});

t.test("a mirror does not go back to an older release", async (t) => {
  await t.rejects(mirrored(2400), { message: /release 2400 is older than release 2500/ });
  process.env.XDG_STATE_HOME = join(directory, "state-of-another");
  const message = /^the mirror has release 2500 of .*, and the network says that 2400 is the newest/;
  await t.rejects(mirrored(2400), { name: "UserError", message });
  t.same(await walked(RELEASES), below(RELEASES));
});
