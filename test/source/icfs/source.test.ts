/** Older releases under long chains of headers: what a second proof costs, and how much of it is held. */
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import type { ReleaseReader } from "../../../lib/source/icfs/release-reader.ts";
import { IcfsSource } from "../../../lib/source/icfs/source.ts";
import { decodeHeader, headerHash } from "../../../lib/tree/header.ts";
import { encodeChain, encodeHeader } from "../../support/headers.ts";
import { temporaryDirectory } from "../../support/icfs.ts";

/** A canister with these releases (release n at n - 1), and how many headers were asked for. */
function canisterOf(chain: Buffer[]) {
  const canister = { chain, pages: 0, given: 0, source: undefined as unknown as IcfsSource };
  const headOf = (bytes: Buffer) => ({
    header: decodeHeader(bytes),
    hash: headerHash(bytes),
    certifiedAt: new Date(),
    proof: bytes,
  });
  const reader: Pick<ReleaseReader, "head" | "restore" | "headers"> = {
    head: async () => headOf(canister.chain.at(-1)!),
    restore: async (proof) => headOf(Buffer.from(proof)),
    async headers(from, count) {
      canister.pages += 1;
      const page = canister.chain.slice(Math.max(0, from - count), from).reverse();
      canister.given += page.length;
      return page;
    },
  };
  const address = {
    canister: Principal.fromUint8Array(Buffer.from([1])),
    rootKey: Buffer.alloc(32),
    network: { url: "http://127.0.0.1" },
    release: 1,
  } as unknown as ConstructorParameters<typeof IcfsSource>[0];
  canister.source = new IcfsSource(address, reader as ReleaseReader);
  return canister;
}

t.beforeEach(async (t) => {
  process.env.XDG_STATE_HOME = await temporaryDirectory(t);
});

t.test("an older release is proved again by new headers alone, and from kept evidence", async (t) => {
  const chain = encodeChain(10_000);
  const canister = canisterOf(chain);
  const release = await canister.source.newest();
  t.equal(release.number, 1);
  t.match(canister, { pages: 10, given: 9999 }, "ten thousand releases take ten round trips");

  await canister.source.newest();
  t.equal(canister.pages, 10, "nothing is asked for when nothing has changed");
  const [next] = [encodeHeader({ number: 10_001, parent: headerHash(chain.at(-1)!) })];
  canister.chain = [...chain, next!];
  const again = await canister.source.newest();
  t.equal(again.number, 1);
  t.ok(again.hash.equals(release.hash));
  t.match(canister, { pages: 11, given: 10_000 }, "only the one new header is asked for");

  const evidence = (await canister.source.evidence(again))!;
  const other = canisterOf(canister.chain);
  const restored = await other.source.restore(evidence);
  t.ok(restored.hash.equals(release.hash), "kept evidence proves the release");
  t.equal(other.pages, 0);
  await other.source.newest();
  t.match(other, { pages: 0 }, "restored headers are not asked for again");
});

t.test("another history is not accepted as a continuation", async (t) => {
  const chain = encodeChain(5);
  const canister = canisterOf(chain);
  await canister.source.newest();
  canister.chain = encodeChain(7, "another");
  await t.rejects(canister.source.newest(), { message: /release 5 is not the one that this host accepted/ });
});

t.test("too many headers are read, but neither held nor kept", async (t) => {
  const chunks = Array.from({ length: 1000 }, () => Buffer.alloc(32));
  const manifest = { sha256: Buffer.alloc(32), size: 1000, chunks };
  const chain: Buffer[] = [];
  for (let number = 1; number <= 1000; number++) {
    const below = chain.at(-1);
    chain.push(encodeHeader({ number, parent: below && headerHash(below), manifest }));
  }
  const canister = canisterOf(chain);
  const release = await canister.source.newest();
  t.equal(release.number, 1);
  t.equal(await canister.source.evidence(release), undefined, "33 MB");
  await canister.source.newest();
  t.match(canister, { given: 999 }, "the headers are read only once");
});

t.test("evidence of megabytes of headers is made in steps", async (t) => {
  const canister = canisterOf(encodeChain(4000, "x".repeat(1000)));
  const release = await canister.source.newest();
  let isMade = false;
  let turns = 0;
  const look = () => {
    turns += 1;
    if (!isMade) setImmediate(look);
  };
  setImmediate(look);
  const evidence = await canister.source.evidence(release);
  isMade = true;
  t.ok(turns >= 10, `other work had ${turns} turns meanwhile`);
  const other = canisterOf(canister.chain);
  t.ok((await other.source.restore(evidence!)).hash.equals(release.hash), "the evidence proves the release");
});
