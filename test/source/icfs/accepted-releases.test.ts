/** What this host has accepted, over readers of the test's own; test/cli/trust.long.ts has canisters that were reinstalled. */
import { writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { resolveNetwork } from "../../../lib/ic/network.ts";
import {
  acceptedReleases,
  hasAccepted,
  resetTrust,
  trustingReader,
} from "../../../lib/source/icfs/accepted-releases.ts";
import type { Head, ReleaseReader } from "../../../lib/source/icfs/release-reader.ts";
import { decodeHeader, headerHash } from "../../../lib/tree/header.ts";
import { canisterId } from "../../support/certificates.ts";
import { encodeChain } from "../../support/headers.ts";
import { temporaryDirectory } from "../../support/icfs.ts";

const canister = canisterId(1);
const rootKey = Buffer.alloc(133, 7);
const network = resolveNetwork("http://192.0.2.1:8080");

/** A reader of a canister with these releases, the last of which is the newest. */
function readerOf(headers: readonly Buffer[]): ReleaseReader {
  const newest = headers.at(-1);
  const head = async (): Promise<Head | undefined> =>
    newest && {
      header: decodeHeader(newest),
      hash: headerHash(newest),
      certifiedAt: new Date(),
      proof: newest,
    };
  return {
    head,
    restore: async () => (await head())!,
    headers: async (from: number, count: number) => headers.slice(Math.max(0, from - count), from).reverse(),
    manifest: () => Promise.reject(new Error("nobody asks")),
    chunk: () => Promise.reject(new Error("nobody asks")),
  };
}

const trusting = (headers: readonly Buffer[], remember = true) =>
  trustingReader(readerOf(headers), { canister, rootKey, network }, remember);

/** A host that has accepted nothing. @returns where it keeps what it accepts */
async function newHost(t: Test): Promise<string> {
  const directory = await temporaryDirectory(t);
  process.env.XDG_STATE_HOME = directory;
  return join(directory, "icfs", "trust");
}

const chain = encodeChain(6);
const other = encodeChain(6, "another history");
const refused = (message: RegExp) => ({ name: "VerificationError", message });

t.test("a successor is accepted; what is older, a fork or empty is not, and changes nothing", async (t) => {
  await newHost(t);
  const accepted = () => acceptedReleases().map(({ number, header }) => [number, header]);
  await trusting(chain.slice(0, 2)).head();
  await trusting(chain.slice(0, 4)).head();
  const fourth = [[4, headerHash(chain[3]!).toString("hex")]];
  t.strictSame(accepted(), fourth);

  await t.rejects(trusting(chain.slice(0, 3)).head(), refused(/release 3 is older than release 4/));
  await t.rejects(trusting(other.slice(0, 4)).head(), refused(/release 4 is not the one .* this is a fork/));
  await t.rejects(trusting(other).head(), refused(/release 4 is not the one .* this is a fork.*trust reset/));
  await t.rejects(trusting([]).head(), refused(/has no release, but this host accepted release 4/));
  t.strictSame(accepted(), fourth);

  await trusting(chain, false).head();
  t.strictSame(accepted(), fourth, "who only looks leaves it as it is");
  t.notOk(hasAccepted(canister, Buffer.alloc(133, 8)), "on another network it is another canister");
});

t.test("what was kept is known only while it, or a later one, is accepted", async (t) => {
  await newHost(t);
  const restore = (headers: readonly Buffer[]) => trusting(headers).restore(Buffer.alloc(0));
  await t.rejects(restore(chain), refused(/was kept on this host, and is not what it has accepted/));
  await trusting(chain.slice(0, 4)).head();
  t.equal((await restore(chain.slice(0, 4))).header.number, 4);
  t.equal((await restore(chain.slice(0, 3))).header.number, 3, "accepted before, or only listed");
  await t.rejects(restore(chain.slice(0, 5)), refused(/release 5 was kept/));
  await t.rejects(restore(other.slice(0, 4)), refused(/release 4 was kept/));
  t.match(await resetTrust(canister), [{ number: 4, url: "http://192.0.2.1:8080" }]);
  t.same(await resetTrust(canister), [], "there is nothing any more");
  await t.rejects(restore(chain.slice(0, 4)), refused(/release 4 was kept/), "it is forgotten");
  t.equal((await trusting(other).head())!.header.number, 6, "and another history is accepted");
});

t.test("a damaged file is no reason to accept anything", async (t) => {
  const directory = await newHost(t);
  await trusting(chain).head();
  const [name] = await readdir(directory);
  for (const damaged of ["", "{}", '{"number":1.5,"header":"00"}', "not JSON"]) {
    writeFileSync(join(directory, name!), damaged);
    await t.rejects(trusting(chain).head(), { name: "UserError", message: /cannot be read.*trust reset/ });
  }
  t.same(await resetTrust(canister), [undefined], "which may be forgotten all the same");
});
