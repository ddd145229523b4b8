/** The releases that a host keeps: only ever newer ones, and by network; over sources and stores of the test's own. */
import { readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import { Principal } from "@icp-sdk/core/principal";
import t, { type Test } from "tap";
import { openDiskStore } from "../../lib/cache/disk-store.ts";
import { FormatError } from "../../lib/errors.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { createLog } from "../../lib/log.ts";
import { removeAbandoned } from "../../lib/replace-file.ts";
import {
  type KeptBy,
  keepRelease,
  keptKind,
  keptRelease,
  newestCertifiedTime,
} from "../../lib/source/kept.ts";
import type { Release, Source, SourceKind } from "../../lib/source/source.ts";
import { releaseOf } from "../live/live.ts";
import { temporaryDirectory } from "../support/icfs.ts";

const log = createLog("error");
const MINUTE = 60_000;
const NOW = Date.now();
const KEY = Buffer.alloc(133, 7);

/** A release that was certified so many minutes ago. */
const release = (number: number | undefined, minutes: number, fields: Partial<Release> = {}) =>
  releaseOf(`${number} ${minutes}`, { number, certifiedAt: new Date(NOW - minutes * MINUTE), ...fields });

async function storeOf(t: Test) {
  process.env.XDG_STATE_HOME = await temporaryDirectory(t);
  const store = openDiskStore(join(process.env.XDG_STATE_HOME, "cache"), 1024 * 1024, log);
  t.teardown(() => store.close());
  return store;
}

/** A mount of the canister, as if in a process of its own. It counts what it has verified. */
function mounter(
  kind: SourceKind = "icfs",
  { rootKey = KEY, number }: { rootKey?: Buffer; number?: number } = {},
) {
  const counts = { restored: 0 };
  const source = {
    kind,
    evidence: async (of: Release) => Buffer.from(JSON.stringify({ ...of, hash: of.hash.toString("hex") })),
    async restore(evidence: Buffer): Promise<Release> {
      counts.restored += 1;
      try {
        const { hash, certifiedAt, ...others } = JSON.parse(evidence.toString());
        return { ...others, hash: Buffer.from(hash, "hex"), certifiedAt: new Date(certifiedAt) };
      } catch {
        throw new FormatError("it proves nothing");
      }
    },
  } as Partial<Source> as Source;
  const address = {
    network: resolveNetwork("http://192.0.2.1:8080"),
    rootKey,
    canister: Principal.fromText("rwlgt-iiaaa-aaaaa-aaaaa-cai"),
    ...(number === undefined ? {} : { release: number }),
  };
  const from: KeptBy = { address, source };
  return { from, counts };
}

t.test("a mount that is behind does not replace a newer release that others have kept", async (t) => {
  const store = await storeOf(t);
  const [behind, ahead] = [mounter(), mounter()];
  const kept = async () => (await keptRelease(store, mounter().from))?.number;
  t.ok(await keepRelease(store, behind.from, release(2, 9), log));
  t.ok(await keepRelease(store, ahead.from, release(4, 3), log));
  t.ok(
    await keepRelease(store, behind.from, release(3, 1), log),
    "an older release counts as kept, since a newer one is",
  );
  t.equal(await kept(), 4);
  t.ok(await keepRelease(store, behind.from, release(4, 5), log));
  t.same(
    (await keptRelease(store, mounter().from))!.certifiedAt,
    new Date(NOW - 3 * MINUTE),
    "an older proof does not replace a newer one",
  );
  t.ok(await keepRelease(store, behind.from, release(4, 0), log));
  t.same(
    (await keptRelease(store, mounter().from))!.certifiedAt,
    new Date(NOW),
    "a newer proof replaces an older one",
  );

  const alone = mounter();
  await keepRelease(store, alone.from, release(5, 3), log);
  const { restored } = alone.counts;
  for (const minutes of [2, 1, 0]) await keepRelease(store, alone.from, release(5, minutes), log);
  t.equal(alone.counts.restored, restored, "a mount's own proofs are not verified again");

  const elsewhere = mounter("icfs", { rootKey: Buffer.alloc(133, 9) });
  await keepRelease(store, elsewhere.from, release(9, 0), log);
  t.equal(await keptKind(store, alone.from.address), "icfs");
  t.equal(await kept(), 5, "a release from another network does not replace this one");
});

t.test("a kept release that is damaged or not certified is replaced by any other", async (t) => {
  const store = await storeOf(t);
  const names: string[] = [];
  const recorded = {
    readBlob: (name: string) => store.readBlob(name),
    writeBlob: (name: string, ...others: [Uint8Array, ((before: Buffer) => Promise<boolean>)?]) => {
      names.push(name);
      return store.writeBlob(name, ...others);
    },
  };
  await keepRelease(recorded, mounter().from, release(3, 0), log);
  await store.writeBlob(names[0]!, Buffer.alloc(0));
  await t.rejects(keptRelease(store, mounter().from), { name: "FormatError" });
  await keepRelease(store, mounter().from, release(2, 5), log);
  t.equal((await keptRelease(store, mounter().from))!.number, 2);

  const signed = { verified: "node-signature" } as const;
  await keepRelease(store, mounter("icboot").from, release(undefined, -60, signed), log);
  await keepRelease(store, mounter("icboot").from, release(undefined, 0, signed), log);
  const { certifiedAt } = (await keptRelease(store, mounter("icboot").from))!;
  t.same(certifiedAt, new Date(NOW), "an uncertified release is replaced, even by one with an earlier time");
});

t.test("the newest certified time belongs to a network, and only moves forward", async (t) => {
  const store = await storeOf(t);
  const local = Buffer.alloc(133, 8);
  // An older version's record, of an unknown network.
  await store.writeBlob("newest-certified-time", Buffer.from(new Date(NOW + 1e10).toISOString()));
  t.same(await newestCertifiedTime(store, KEY), new Date(0), "an older version's record is ignored");
  await keepRelease(store, mounter("icfs", { rootKey: local }).from, release(1, -600), log);
  await keepRelease(store, mounter().from, release(1, 5), log);
  t.same(await newestCertifiedTime(store, KEY), new Date(NOW - 5 * MINUTE));
  t.same(await newestCertifiedTime(store, local), new Date(NOW + 600 * MINUTE));
  await keepRelease(store, mounter("assets").from, release(undefined, 1), log);
  await keepRelease(store, mounter().from, release(2, 9), log);
  t.same(await newestCertifiedTime(store, KEY), new Date(NOW - MINUTE));
  await keepRelease(
    store,
    mounter("icboot").from,
    release(undefined, -600, { verified: "node-signature" }),
    log,
  );
  t.same(
    await newestCertifiedTime(store, KEY),
    new Date(NOW - MINUTE),
    "an uncertified release does not move the certified time",
  );
});

t.test("a release that was kept as the newest is also found by its number", async (t) => {
  const store = await storeOf(t);
  await keepRelease(store, mounter().from, release(2, 0), log);
  const second = mounter("icfs", { number: 2 });
  t.equal(await keptKind(store, second.from.address), "icfs");
  t.equal((await keptRelease(store, second.from))!.number, 2);
  await keepRelease(store, second.from, release(2, 0), log);
  await keepRelease(store, mounter().from, release(3, 0), log);
  t.equal(
    (await keptRelease(store, second.from))!.number,
    2,
    "a release kept by its number is found after a newer one is kept",
  );
});

t.test("a channel's name is not taken for a kind", async (t) => {
  const store = await storeOf(t);
  for (const kind of ["assets", "icboot"]) {
    const { from } = mounter();
    const channel = { name: `stable.${kind}`, serial: 1 };
    const named: KeptBy = { ...from, address: { ...from.address, channel: channel.name } };
    t.ok(await keepRelease(store, named, release(1, 1, { channel }), log));
    t.equal(await keptKind(store, named.address), "icfs");
    t.equal(await keptKind(store, { ...from.address, channel: "stable" }), undefined, kind);
  }
});

t.test("a channel's name is not taken for that of an unfinished file", async (t) => {
  const store = await storeOf(t);
  const { from } = mounter();
  const channel = { name: "kernel.new", serial: 1 };
  const named: KeptBy = { ...from, address: { ...from.address, channel: channel.name } };
  t.ok(await keepRelease(store, named, release(1, 1, { channel }), log));
  const proofs = join(store.directory, "proofs");
  const before = Date.now() / 1000 - 7 * 24 * 3600;
  for (const name of await readdir(proofs)) await utimes(join(proofs, name), before, before);
  await removeAbandoned(proofs);
  t.equal((await keptRelease(store, named))?.number, 1);
});

t.test("the result says whether the release was kept", async (t) => {
  const broken = { readBlob: async () => undefined, writeBlob: async () => false };
  t.equal(await keepRelease(broken, mounter().from, release(1, 0), log), false);
});

t.test("a release that another mount keeps meanwhile is used instead", async (t) => {
  const store = await storeOf(t);
  const { from } = mounter();
  await keepRelease(store, from, release(3, 5), log);
  let kept = 3;
  const source: Source = {
    ...from.source,
    async restore(evidence: Buffer) {
      const found = await from.source.restore(evidence);
      // As acceptedReleases does: an older release is refused once the host has kept a newer one.
      if (kept === 3) await keepRelease(store, mounter().from, release(4, 0), log).then(() => (kept = 4));
      if (found.number! < kept)
        throw new FormatError(`release ${found.number} is not the newest that is kept`);
      return found;
    },
  };
  t.equal((await keptRelease(store, { ...from, source }))?.number, 4);
  kept = 9;
  await t.rejects(
    keptRelease(store, { ...from, source }),
    { name: "FormatError" },
    "a release that is refused and not replaced meanwhile is an error",
  );
});
