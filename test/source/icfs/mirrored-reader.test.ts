/** A canister by its mirrors, which are directories here: which mirror is believed, and which is asked next. */
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { decodeHashTree, rootHash } from "../../../lib/ic/certificate/hash-tree.ts";
import { absent } from "../../../lib/source/icfs/channels.ts";
import { releasePath } from "../../../lib/source/icfs/mirror-paths.ts";
import { MirroredReader } from "../../../lib/source/icfs/mirrored-reader.ts";
import { Mirrors } from "../../../lib/source/icfs/mirrors.ts";
import type { NetworkReader, ReleaseReader } from "../../../lib/source/icfs/release-reader.ts";
import { canisterId, certify, newBlsKey } from "../../support/certificates.ts";
import { exactly } from "../../support/exactly.ts";
import { encodeHeader } from "../../support/headers.ts";
import { temporaryDirectory } from "../../support/icfs.ts";
import { sha256 } from "../../support/icfs-canister.ts";
import { proofOf, sourceOfReply, witnessOf } from "../../support/proofs.ts";

const root = newBlsKey();
const canister = canisterId(1);
const LIMIT = 10_000;
const HOUR = 3_600_000;

/** A proof of a release that is so many milliseconds old. */
function proof(note: string, age = 0, key = root): Buffer {
  const header = encodeHeader({ note });
  const witness = witnessOf(header);
  const data = rootHash(decodeHashTree(witness));
  return proofOf({
    header,
    witness,
    certificate: certify({ canister, data, root: key, time: Date.now() - age }),
  });
}

interface Stage {
  readonly only?: boolean;
  readonly maxStale?: number;
  readonly network?: Partial<NetworkReader>;
}

/** @param mirrors the files of each */
async function stage(t: Test, mirrors: readonly Record<string, Buffer | string>[], options: Stage = {}) {
  const directory = await temporaryDirectory(t);
  const urls: string[] = [];
  for (const [i, files] of mirrors.entries()) {
    for (const [name, content] of Object.entries(files)) {
      const path = join(directory, `${i}`, ".icfs", name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, content);
    }
    urls.push(`file://${directory}/${i}`);
  }
  const asked: string[] = [];
  const gone = (what: string) => async () => {
    asked.push(what);
    throw new Error("the network is gone");
  };
  const network: NetworkReader = {
    proofPath: releasePath,
    head: gone("head"),
    headers: gone("headers"),
    manifest: gone("manifest"),
    chunk: gone("chunk"),
    piece: gone("piece"),
    restore: (bytes) => sourceOfReply(bytes, canister, root.publicKey).restore(bytes),
    ...options.network,
  };
  const all = new Mirrors(urls, { only: options.only ?? false, maxStale: options.maxStale ?? 0 });
  return { reader: new MirroredReader(all, network, LIMIT), mirrors: all, asked, urls };
}

const noteOf = async (reader: ReleaseReader) => (await reader.head())!.header.note;

t.test("the head comes from the first mirror with a fresh proof", async (t) => {
  const old = { release: proof("old", HOUR) };
  const { reader, mirrors, asked } = await stage(t, [{}, old, { release: proof("fresh") }]);
  t.equal(await noteOf(reader), "fresh");
  t.same(asked, []);
  t.match(
    mirrors.health(),
    exactly(
      { missing: 1, wrong: 0, aside: undefined },
      { missing: 1, wrong: 0, aside: undefined },
      { answers: 1, missing: 0 },
    ),
  );
});

t.test("an old proof is used only without the network, and only if --max-stale allows it", async (t) => {
  const both = [{ release: proof("older", 2 * HOUR) }, { release: proof("old", HOUR) }];
  const network = { head: async () => sourceOfReply(proof("network"), canister, root.publicKey).head() };
  t.equal(await noteOf((await stage(t, both, { network, maxStale: 9 * HOUR })).reader), "network");
  t.equal(
    await noteOf((await stage(t, both, { maxStale: 9 * HOUR })).reader),
    "old",
    "the newest of the old proofs is used",
  );
  t.equal(await noteOf((await stage(t, both, { maxStale: 9 * HOUR, only: true })).reader), "old");
  await t.rejects((await stage(t, both, { maxStale: HOUR / 2 })).reader.head(), {
    message: "the network is gone",
  });
  const strict = await stage(t, both, { maxStale: HOUR / 2, only: true });
  await t.rejects(strict.reader.head(), {
    name: "UserError",
    message: /ago, which --max-stale does not allow/,
  });
  const silent = await stage(t, both, { only: true });
  await t.rejects(silent.reader.head(), {
    message: /ago: --max-stale TIME, such as 7d, accepts one that old/,
  });
  t.same([...strict.asked, ...silent.asked], [], "the network is not asked");
  const ahead = await stage(t, [{ release: proof("ahead", -HOUR) }], { only: true, maxStale: 9 * HOUR });
  await t.rejects(ahead.reader.head(), { message: /no mirror has the newest release: .*its proof is of/ });
});

t.test("a fresh proof that is older than --max-stale is passed over", async (t) => {
  const mirrors = [{ release: proof("minutes", HOUR / 20) }, { release: proof("now") }];
  t.equal(await noteOf((await stage(t, mirrors)).reader), "minutes");
  const strict = await stage(t, mirrors, { maxStale: HOUR / 60 });
  t.equal(await noteOf(strict.reader), "now");
  t.match(strict.mirrors.health(), exactly({ missing: 1, wrong: 0, aside: undefined }, { answers: 1 }));
  const only = await stage(t, mirrors.slice(0, 1), { maxStale: HOUR / 60, only: true });
  await t.rejects(only.reader.head(), { message: /certified .* ago, which --max-stale does not allow/ });
});

t.test("a proof by another key counts as wrong", async (t) => {
  const { reader, mirrors } = await stage(t, [
    { release: proof("forged", 0, newBlsKey()) },
    { release: proof("true") },
  ]);
  t.equal(await noteOf(reader), "true");
  t.match(mirrors.health()[0], { wrong: 1, aside: { why: /^its answer was wrong: / } });
});

t.test("a release that this host does not accept does not count against its mirror", async (t) => {
  const { reader, mirrors } = await stage(t, [{ release: proof("a") }, { release: proof("b") }]);
  const head = await reader.head(async (one) => {
    if (one!.header.note === "a") throw new Error("it is older");
  });
  t.equal(head!.header.note, "b");
  t.match(mirrors.health()[0], { wrong: 0, failures: 0, aside: undefined });
  const { reader: alone } = await stage(t, [{ release: proof("a") }], { only: true });
  await t.rejects(
    alone.head(() => Promise.reject(new Error("it is older"))),
    { message: "it is older" },
  );
});

t.test("chunks", async (t) => {
  const bytes = Buffer.from("a chunk's bytes");
  const hash = sha256(bytes);
  const name = `chunk/${hash.toString("hex")}`;
  const reference = { sha256: hash, size: bytes.length };
  const good = { [name]: bytes };
  const bad = { [name]: "other bytes    " };
  const first = await stage(t, [{}, bad, good]);
  t.same(await first.reader.chunk(reference), bytes);
  t.match(
    first.mirrors.health(),
    exactly({ missing: 1 }, { wrong: 1, chunks: 0 }, { chunks: 1, bytes: bytes.length }),
  );
  t.same(first.asked, []);

  const network = { chunk: async () => bytes };
  t.same(
    await (await stage(t, [{}, bad], { network })).reader.chunk(reference),
    bytes,
    "the network is asked when no mirror has the chunk",
  );
  await t.rejects((await stage(t, [{}, bad])).reader.chunk(reference), { message: "the network is gone" });
  const lying = await stage(t, [bad], { only: true });
  await t.rejects(lying.reader.chunk(reference), {
    name: "VerificationError",
    message: /^no mirror has a right answer: \S+: chunk [0-9a-f]{64} arrived with other bytes$/,
  });
  const without = await stage(t, [{}, {}], { only: true });
  await t.rejects(without.reader.chunk(reference), { message: /^no mirror has chunk \w+ of a file: / });
  t.same([...lying.asked, ...without.asked], []);
  const long = await stage(t, [{ [name]: Buffer.alloc(2 * 1024 * 1024) }], { only: true });
  const refused = (why: RegExp) =>
    t.rejects(long.reader.chunk(reference), { name: "VerificationError", message: why });
  await refused(/should have 1048576 at most/);
  const path = join(fileURLToPath(long.urls[0]!), ".icfs", name);
  await rm(path);
  await mkdir(path);
  await refused(/ is not a file$/);
  await rm(path, { recursive: true });
  await symlink(path, path);
  await refused(/ELOOP/);
  const wrongSize = await stage(t, [good], { only: true });
  await t.rejects(wrongSize.reader.chunk({ ...reference, size: 1 }), {
    message: /another size than the manifest says/,
  });
  t.match(
    wrongSize.mirrors.health(),
    exactly({ wrong: 0 }),
    "a wrong size in the manifest is not counted against the mirror",
  );
});

t.test("a proof of a release, or of a channel's absence, shows the kind of the canister", async (t) => {
  const detected = async () => "icboot" as const;
  t.equal(await (await stage(t, [{ release: proof("any", HOUR) }])).reader.kind(detected), "icfs");
  t.equal(await (await stage(t, [{}])).reader.kind(detected), "icboot");
  const restore = async () => Promise.reject(absent(canister, "nosuch"));
  const { reader, mirrors } = await stage(t, [{ release: proof("any") }], { network: { restore } });
  t.equal(await reader.kind(detected), "icfs");
  t.match(mirrors.health(), exactly({ missing: 0, aside: undefined }));
});
