/** Channels: who may move them, what the canister certifies of them, which releases they hold, and what remains after deletion. */
import type { IDL } from "@icp-sdk/core/candid";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import t from "tap";
import { messageOf } from "../../lib/errors.ts";
import { actorOf } from "../../lib/ic/actor.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import type { PromoteResult } from "../../lib/icfs-canister.ts";
import { AbsentChannelError } from "../../lib/source/icfs/channels.ts";
import { openReader } from "../../lib/source/icfs/open-release.ts";
import { decodeRecord, recordHash } from "../../lib/tree/channel.ts";
import { history, proved, publishContent, publishedTwice, set } from "../support/channels.ts";
import { exactly } from "../support/exactly.ts";
import { headerOf } from "../support/http.ts";
import { publishTree, startSite } from "../support/site.ts";

const failure = (call: Promise<unknown>): Promise<string> => call.then(() => "it succeeded", messageOf);
const NOT_TAKEN = /rejected|refused|inspect/i;

const serialOf = (result: PromoteResult) => ("ok" in result ? result.ok : result);

t.test(
  "a channel's last record is certified with the newest release, alone and among all channels",
  async (t) => {
    const canister = await publishedTwice(t);
    const { owner, network } = canister;
    t.equal((await proved(canister, "channels")).channels.size, 0);
    const refused = await proved(canister, { channel: "stable" }).catch((error: unknown) => error);
    t.ok(refused instanceof AbsentChannelError, "the absence of a channel is certified");
    t.match(await owner.promote(set("stable", 1n, undefined, "boots")), { ok: 1n });
    for (const name of ["canary", "a", "z.9_-"]) await owner.promote(set(name, 2n));
    const { head, channels } = await proved(canister, { channel: "stable" });
    t.strictSame([...channels.keys()], ["stable"]);
    const record = channels.get("stable")!;
    const headers = await canister.source.headers(1, 1);
    t.match(record, { serial: 1, note: "boots", before: undefined, release: { number: 1 } });
    t.ok(
      record.release!.header.equals(recordHash(headers[0]!)),
      "the record has the hash of the release's header",
    );
    t.ok(record.setBy.equals(network.identity.getPrincipal().toUint8Array()));
    t.equal(head.header.number, 2, "the channel's proof also proves the newest release");
    const all = await proved(canister, "channels");
    t.strictSame([...all.channels.keys()], ["a", "canary", "stable", "z.9_-"]);
    await t.rejects(proved(canister, { channel: "b" }), { message: /has no channel b/ });
    t.equal(
      (await canister.source.head())!.header.number,
      2,
      "the newest release can still be requested on its own",
    );
  },
);

t.test(
  "promoters move channels and do nothing else; publishers and strangers cannot move them",
  async (t) => {
    const canister = await publishedTwice(t);
    const { owner } = canister;
    const [promoter, publisher] = [Ed25519KeyIdentity.generate(), Ed25519KeyIdentity.generate()];
    await owner.grant(promoter.getPrincipal(), { promoter: null });
    await owner.grant(publisher.getPrincipal(), { publisher: null });
    const as = canister.as(promoter);
    t.match(await as.promote(set("stable", 1n)), { ok: 1n });
    t.match(await failure(as.put([Buffer.from("x")])), NOT_TAKEN);
    t.match(await failure(as.keep(1n, true)), NOT_TAKEN);
    t.match(await failure(as.grant(promoter.getPrincipal(), { publisher: null })), NOT_TAKEN);
    const change = set("stable", 2n, 1n);
    t.match(await failure(canister.as(publisher).promote(change)), NOT_TAKEN);
    t.match(await failure(canister.as(undefined).promote(change)), NOT_TAKEN);
    t.strictSame((await owner.promoters_granted()).map(String), [promoter.getPrincipal().toText()]);
    t.strictSame(
      (await owner.roles_granted()).map(([who]) => who.toText()),
      [publisher.getPrincipal().toText()],
    );
    await owner.restrict(true);
    t.equal((await as.missing([])).length, 0, "a promoter can read a private canister");
    await owner.restrict(false);
    await owner.grant(publisher.getPrincipal(), { promoter: null });
    t.match(
      await canister.as(publisher).promote(change),
      { ok: 2n },
      "a publisher who is also a promoter can move channels",
    );
    t.equal((await canister.as(publisher).put([Buffer.from("x")])).length, 1);
    await owner.revoke(publisher.getPrincipal());
    t.match(await failure(canister.as(publisher).promote(set("stable", 1n, 2n))), NOT_TAKEN);
    t.strictSame(await owner.roles_granted(), []);
  },
);

t.test("when two promote at once, one wins and the other gets a conflict", async (t) => {
  const { owner } = await publishedTwice(t);
  const first = await Promise.all([owner.promote(set("stable", 1n)), owner.promote(set("stable", 2n))]);
  t.equal(first.filter((result) => "ok" in result).length, 1);
  t.match(
    first.find((result) => "err" in result),
    { err: { conflict: { serial: exactly(1n) } } },
  );
  const both = await Promise.all([
    owner.promote(set("stable", 1n, 1n)),
    owner.promote(set("stable", undefined, 1n)),
    owner.promote(set("canary", 1n)),
  ]);
  t.equal(both.slice(0, 2).filter((result) => "ok" in result).length, 1);
  t.match(both[2], { ok: 1n }, "a promotion of another channel succeeds");
});

t.test("an invalid promotion is refused, and changes nothing", async (t) => {
  const canister = await publishedTwice(t);
  const { owner } = canister;
  const long = "n".repeat(65);
  for (const name of [
    "",
    "7",
    "2024",
    "-a",
    ".icfs",
    "_a",
    "Stable",
    "a/b",
    "a@b",
    "ä",
    "a b",
    "a\n",
    long,
  ]) {
    t.match(await owner.promote(set(name, 1n)), { err: { invalid: /a channel's name has/ } }, name);
  }
  t.match(await owner.promote(set("stable", 3n)), { err: { invalid: /release 3 is not held/ } });
  t.match(await owner.promote(set("stable", undefined)), { err: { invalid: /there is no channel stable/ } });
  t.match(await owner.promote(set("stable", 1n, 1n)), { err: { conflict: { serial: exactly() } } });
  const note = "n".repeat(1025);
  t.match(await owner.promote(set("stable", 1n, undefined, note)), { err: { invalid: /longer than 1024/ } });
  t.equal((await proved(canister, "channels")).channels.size, 0);
  for (const name of ["0a", "n".repeat(64), "1.2"]) t.match(await owner.promote(set(name, 1n)), { ok: 1n });
});

t.test("a release of another type than nat64, which Candid turns into none, deletes nothing", async (t) => {
  const canister = await publishedTwice(t);
  const { owner, network, id } = canister;
  await owner.promote(set("stable", 1n));
  const careless: IDL.InterfaceFactory = ({ IDL }) => {
    const change = {
      channel: IDL.Text,
      release: IDL.Opt(IDL.Int),
      serial: IDL.Opt(IDL.Nat64),
      note: IDL.Text,
    };
    const error = IDL.Variant({ invalid: IDL.Text, conflict: IDL.Reserved });
    const result = IDL.Variant({ ok: IDL.Nat64, err: error });
    return IDL.Service({ promote: IDL.Func([IDL.Record(change)], [result], []) });
  };
  const caller = actorOf<typeof owner>(careless, { agent: network.agent, canisterId: id });
  const refusal = { err: { invalid: /no release was given as a nat64/ } };
  t.match(await caller.promote(set("stable", 2n, 1n)), refusal);
  t.match(await owner.promote({ ...set("stable", 2n, 1n), release: [] }), refusal);
  t.match((await proved(canister, { channel: "stable" })).channels.get("stable"), { release: { number: 1 } });
});

t.test("serials only grow, even after a deletion, and each record leads to the one before", async (t) => {
  const canister = await publishedTwice(t);
  const { owner } = canister;
  const changes = [1n, 2n, 1n, undefined, 2n];
  for (const [i, release] of changes.entries()) {
    const serial = i === 0 ? undefined : BigInt(i);
    t.equal(serialOf(await owner.promote(set("stable", release, serial, `change ${i}`))), BigInt(i + 1));
    if (release === undefined) {
      const { channels } = await proved(canister, { channel: "stable" });
      t.match(channels.get("stable"), { serial: 4, release: undefined }, "the deletion is certified");
      t.match(await owner.promote(set("stable", undefined, 4n)), { err: { invalid: /there is no channel/ } });
    }
  }
  const records = await history(canister, "stable");
  t.strictSame(
    records.map((bytes) => decodeRecord(bytes).release?.number),
    [2, undefined, 1, 2, 1],
  );
  for (const [i, bytes] of records.entries()) {
    const { before, note, serial } = decodeRecord(bytes);
    t.strictSame(before, records[i + 1] && recordHash(records[i + 1]!));
    t.match({ note, serial }, { note: `change ${4 - i}`, serial: 5 - i });
  }
  t.strictSame(
    await history(canister, "stable", 3n, 2),
    records.slice(2, 4),
    "a page of the history starts at the given serial",
  );
  t.strictSame(await history(canister, "other"), []);
});

t.test("a release is held while a channel names it, and dropped when none does", async (t) => {
  const canister = await publishedTwice(t);
  const { owner } = canister;
  const held = async () => [...(await owner.status()).held];
  await owner.promote(set("stable", 1n));
  await owner.promote(set("old", 1n));
  const { settings } = await owner.status();
  await owner.configure({ ...settings, hold_newest: 1, hold_nanoseconds: 0n });
  for (const content of ["three", "four"]) await publishContent(canister, content);
  t.strictSame(await held(), [1n, 4n]);
  await owner.promote(set("stable", 4n, 1n));
  t.strictSame(await held(), [1n, 4n], "a release is held while another channel names it");
  await owner.promote(set("old", undefined, 1n));
  t.strictSame(await held(), [4n]);
  t.match(await owner.promote(set("stable", 1n, 2n)), { err: { invalid: /release 1 is not held/ } });
});

t.test("over HTTP: the proof, a certified script, and uncertified redirects", async (t) => {
  const site = await startSite(t);
  const { owner, network, id } = site;
  const file = Buffer.from("content");
  const boot = { "boot.ipxe": Buffer.from("#!ipxe\n") };
  await publishTree(site, { d: null, "d/a b%.txt": file, ...boot });
  t.equal((await site.get("/@stable/d/x")).status, 404);
  await owner.promote(set("stable", 1n));
  await owner.promote(set("stable-2", 1n));
  const address = {
    network: resolveNetwork(network.url),
    rootKey: network.rootKey,
    canister: id,
    channel: "stable",
  };
  const { body } = await site.get("/.icfs/channel/stable");
  const { channels } = await openReader(address, 10_000).restore(Uint8Array.from(body));
  t.match(channels!.get("stable")!.record, { serial: 1, release: { number: 1 } });
  t.equal(
    (await site.get("/.icfs/channel/none")).status,
    200,
    "the absence of a channel is proved over HTTP",
  );
  t.equal((await site.get("/.icfs/channel/stable/x")).status, 404);

  const location = async (url: string) => {
    const answer = await site.get(url);
    t.equal(answer.status, 307, url);
    return headerOf(answer, "location")!;
  };
  t.equal(await location("/@stable/d/a%20b%25.txt#y?z"), "/.icfs/at/1/d/a%20b%25.txt");
  t.equal(
    await location("/@stable/a?mac=52:54:00:ab:cd:ef&b=/c?d#e"),
    "/.icfs/at/1/a?mac=52:54:00:ab:cd:ef&b=/c?d",
  );
  for (const query of ["a b", "é", "a\r\nb: c"]) {
    t.equal(
      headerOf(await site.ask(`/@stable/a?${query}`), "location"),
      "/.icfs/at/1/a",
      "it cannot be in a header",
    );
  }
  t.equal(await site.text("/.icfs/at/1/d/a%20b%25.txt"), "content");
  for (const url of ["/@stable", "/@stable/", "//@stable//"]) t.equal(await location(url), "/.icfs/at/1/");
  t.equal(await location("/@stable/d/"), "/.icfs/at/1/d/");
  t.equal(await location(`/@stable/a?canisterId=${id}`), `/.icfs/at/1/a?canisterId=${id}`);
  for (const url of ["/@none/a", "/@/a", "/@stable-/a"]) t.equal((await site.get(url)).status, 404, url);
  for (const path of ["..", "../a", "%2e%2e/a", "d/.%2E/../../a", "./a", "d/.", "d/../"]) {
    t.equal((await site.get(`/@stable/${path}`)).status, 404, `${path} would lead out of the release`);
  }
  t.equal(await location("/@stable/.a/..b/..."), "/.icfs/at/1/.a/..b/...");
  t.equal((await site.get("/@stable/a", { method: "PUT" })).status, 405);
  for (const name of ["stable", "stable-2"]) {
    t.equal(await site.text(`/.icfs/boot/${name}.ipxe`), "#!ipxe\nchain /.icfs/at/1/boot.ipxe\n");
  }

  await publishTree(site, { "@stable": file });
  await publishTree(site, { other: file });
  t.equal(
    await site.text("/.icfs/at/1/d/a%20b%25.txt"),
    "content",
    "files of a release that a channel names stay available",
  );
  await owner.promote(set("stable", 2n, 1n));
  t.equal(await location("/@stable/a"), "/.icfs/at/2/a");
  t.equal((await site.get("/.icfs/boot/stable.ipxe")).status, 404, "it has none");
  await owner.rollback({ to: 2n, parent: [(await site.source.head())!.hash], note: "" });
  t.equal(await site.text("/@stable"), "content", "a file takes precedence over a channel of the same name");
  await owner.promote(set("stable-2", undefined, 1n));
  t.equal((await site.get("/@stable-2/a")).status, 404);
  t.equal(
    (await site.get("/.icfs/at/1/d/a%20b%25.txt")).status,
    404,
    "files of a release that no channel names are gone",
  );
});
