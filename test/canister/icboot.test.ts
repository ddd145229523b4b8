/** The twin of the original's canister (test/support/icboot.mo) has the original's quirks: a test for each. */
import { randomBytes } from "node:crypto";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import t, { type Test } from "tap";
import { createAgent } from "../../lib/ic/agent.ts";
import { fromAgent } from "../../lib/ic/agent-error.ts";
import { type IcbootCanister, icbootActor, startIcboot } from "../support/icboot.ts";

const SECTOR = 512;

const twin: IcbootCanister = await startIcboot(t);
const { put, rawPut, setlen, get, listing } = twin;

const equal = (t: Test, found: Uint8Array, wanted: Uint8Array, what: string) =>
  t.ok(Buffer.from(found).equals(wanted), what);

t.test("uploaded content comes back, sector by sector and 2048 at once", async (t) => {
  const content = randomBytes(2.5 * 1024 * 1024 + 77);
  await put("linux", content);
  const last = Math.floor(content.length / SECTOR);
  for (const sector of [0, 1, 2047, 2048, last - 1, last])
    equal(
      t,
      await get("linux", sector, 1),
      content.subarray(sector * SECTOR, (sector + 1) * SECTOR),
      `${sector}`,
    );
  const parts: Uint8Array[] = [];
  do parts.push(await get("linux", parts.length * 2048, 2048));
  while (parts.at(-1)!.length === 2048 * SECTOR);
  equal(t, Buffer.concat(parts), content, "in the steps of the original's cache");
});

t.test("4096 sectors fit into a reply", async (t) => {
  const content = randomBytes(4096 * SECTOR + 1);
  await put("large", content);
  equal(t, await get("large", 0, 4096), content.subarray(0, -1), "of a query");
});

t.test("get returns nothing past the end", async (t) => {
  await put("short", Buffer.from("0123456789"));
  equal(t, await get("short", 0, 1), Buffer.from("0123456789"), "less than a sector, when there is no more");
  equal(t, await get("short", 0, 10n ** 30n), Buffer.from("0123456789"), "however much is asked for");
  for (const sector of [1, 2, 10n ** 30n])
    t.equal((await get("short", sector, 1)).length, 0, `sector ${sector}`);
  t.equal((await get("short", 0, 0)).length, 0, "reading no sectors gives no bytes");
});

t.test("get of an unknown name is empty", async (t) => {
  t.equal((await get("unknown", 0, 1)).length, 0);
});

t.test("a file whose length was never set is empty and not listed", async (t) => {
  await rawPut("no-length", 0, Buffer.from("content"));
  t.equal((await get("no-length", 0, 1)).length, 0);
  t.notOk((await listing()).some(([name]) => name === "no-length"));
  await setlen("no-length", 7);
  equal(
    t,
    await get("no-length", 0, 1),
    Buffer.from("content"),
    "bytes from before the length was set can be read",
  );
});

t.test("a length without content is listed, and reads as zeros", async (t) => {
  await setlen("no-content", 1000);
  t.ok((await listing()).some(([name, length]) => name === "no-content" && length === 1000n));
  equal(t, await get("no-content", 0, 4), Buffer.alloc(1000), "zeros");
});

t.test("sectors that were never written read as zeros", async (t) => {
  await rawPut("holes", 1_000_000, Buffer.from("x"));
  await setlen("holes", 1_000_000);
  const at = Math.floor(1_000_000 / SECTOR);
  equal(
    t,
    await get("holes", 0, 2000),
    Buffer.from(`${"\0".repeat(at * SECTOR)}x`.padEnd(1_000_000, "\0")),
    "zeros",
  );
});

t.test("put's sector_no is a byte offset, rounded down to a sector", async (t) => {
  await rawPut("offset", 2 * SECTOR + 511, Buffer.from("two"));
  await setlen("offset", 2 * SECTOR + 3);
  equal(t, await get("offset", 2, 1), Buffer.from("two"), "at sector 2");
});

t.test("put pads its last sector with zeros", async (t) => {
  await rawPut("padded", 0, Buffer.alloc(SECTOR, "a"));
  await rawPut("padded", 0, Buffer.from("b"));
  await setlen("padded", SECTOR);
  equal(
    t,
    await get("padded", 0, 1),
    Buffer.from("b".padEnd(SECTOR, "\0")),
    "zeros replace the rest of the old sector",
  );
});

t.test("put of whole sectors overwrites the next sector with zeros", async (t) => {
  const [first, second] = [Buffer.alloc(SECTOR, "a"), Buffer.alloc(SECTOR, "b")];
  await rawPut("order", SECTOR, second);
  await rawPut("order", 0, first);
  await setlen("order", 2 * SECTOR);
  equal(
    t,
    await get("order", 0, 2),
    Buffer.concat([first, Buffer.alloc(SECTOR)]),
    "the second sector is lost when it is put before the first",
  );
  await rawPut("order", SECTOR, second);
  equal(t, await get("order", 0, 2), Buffer.concat([first, second]), "in ascending order it is there");
  await rawPut("order", SECTOR, Buffer.alloc(0));
  equal(
    t,
    await get("order", 0, 2),
    Buffer.concat([first, Buffer.alloc(SECTOR)]),
    "nothing is whole sectors as well",
  );
});

t.test("setlen only sets a file's length, and keeps its content", async (t) => {
  await put("cut", Buffer.from("0123456789"));
  await setlen("cut", 4);
  equal(t, await get("cut", 0, 1), Buffer.from("0123"), "shorter");
  await setlen("cut", 12);
  equal(t, await get("cut", 0, 1), Buffer.from("0123456789\0\0"), "longer: what was cut off is there again");
});

t.test("an empty file is listed with length 0", async (t) => {
  await put("empty", Buffer.alloc(0));
  t.ok((await listing()).some(([name, length]) => name === "empty" && length === 0n));
  t.equal((await get("empty", 0, 1)).length, 0);
});

t.test("any name is accepted", async (t) => {
  for (const name of ["", "/", "../up", "a//b", "a/../b", "ünï/ço\u0000de", "linux/below-a-file"]) {
    await put(name, Buffer.from(`content of ${name}`));
    equal(t, await get(name, 0, 1), Buffer.from(`content of ${name}`), JSON.stringify(name));
  }
});

t.test("the listing is unordered", async (t) => {
  const names = Array.from({ length: 30 }, (_, i) => `order-${String(i).padStart(2, "0")}`);
  for (const name of names) await setlen(name, 1);
  const listed = (await listing()).map(([name]) => name).filter((name) => name.startsWith("order-"));
  t.strictSame([...listed].sort(), names);
  t.notSame(listed, names, "names are not listed in order of name or of insertion");
});

t.test("anyone may write", async (t) => {
  const { network, rootKey, canister } = twin;
  for (const identity of [undefined, Ed25519KeyIdentity.generate()]) {
    const agent = createAgent({
      network,
      rootKey,
      ...(identity === undefined ? {} : { identity }),
      verifyQuerySignatures: true,
      requestTimeout: 30_000,
    });
    const actor = icbootActor(agent, canister);
    await actor.put({ filename: "short", sector_no: 0n, data_vec: Buffer.from("changed") });
    await actor.setlen({ filename: "short", len: 7n });
    equal(t, await get("short", 0, 1), Buffer.from("changed"), "by a stranger");
  }
});

t.test("only controllers can read the Candid interface", async (t) => {
  const { network, rootKey, canister } = twin;
  const agent = createAgent({ network, rootKey, verifyQuerySignatures: true, requestTimeout: 30_000 });
  const path = ["canister", canister.toUint8Array(), "metadata", "candid:service"].map((label) =>
    typeof label === "string" ? Buffer.from(label) : label,
  );
  await t.rejects(
    agent.readState({ canisterId: canister }, { paths: [path] }),
    /can only be requested by the controllers/,
  );
});

t.test("a reply that would be too large is refused", async (t) => {
  await setlen("huge", 2 ** 52);
  t.match(await get("huge", 5, 6145).catch((error) => fromAgent(error).message), /the reply is too large/);
  equal(t, await get("huge", 5, 6000), Buffer.alloc(6000 * SECTOR), "a reply within the limit is returned");
});

// test/boot/icboot-qemu.long.ts publishes a larger file: Debian's initrd, of 40 MB.
t.test("8 MB, in 8 parts", async (t) => {
  const content = randomBytes(8 * 1024 * 1024);
  await put("initrd", content);
  const sectors = content.length / SECTOR;
  for (let at = 0; at < sectors; at += 4096)
    equal(
      t,
      await get("initrd", at, 4096),
      content.subarray(at * SECTOR, (at + 4096) * SECTOR),
      `from ${at} on`,
    );
});

t.test("an upgrade loses everything", async (t) => {
  await twin.upgrade();
  t.strictSame(await listing(), []);
  await setlen("linux", SECTOR);
  equal(t, await get("linux", 0, 1), Buffer.alloc(SECTOR), "content too");
});
