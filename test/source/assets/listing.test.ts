/** All pages of a list that changes while it is read. */
import { IDL } from "@icp-sdk/core/candid";
import t from "tap";
import { listAll } from "../../../lib/source/assets/listing.ts";

const ENCODING = IDL.Record({
  content_encoding: IDL.Text,
  sha256: IDL.Opt(IDL.Vec(IDL.Nat8)),
  length: IDL.Nat,
  modified: IDL.Int,
});
const LIST = IDL.Vec(IDL.Record({ key: IDL.Text, encodings: IDL.Vec(ENCODING) }));
const PAGE = IDL.Record({ start: IDL.Opt(IDL.Nat), length: IDL.Opt(IDL.Nat) });

/** Answers as the canister does, a hundred keys at a time. @param after called when a page has been made */
function paging(keys: () => readonly string[], after: (pages: number) => void = () => {}, most = 100) {
  let pages = 0;
  return async (_: string, arg: Uint8Array) => {
    const [{ start }] = IDL.decode([PAGE], new Uint8Array(arg)) as unknown as [{ start: [] | [bigint] }];
    const from = Number(start[0] ?? 0n);
    const page = keys()
      .slice(from, from + most)
      .map((key) => ({ key, encodings: [] }));
    pages += 1;
    after(pages);
    return new Uint8Array(IDL.encode([LIST], [page]));
  };
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `/${String(i).padStart(6, "0")}`);

t.test("a list of any length is read to the end", async (t) => {
  for (const count of [0, 1, 2, 99, 100, 101, 199, 200, 298, 1000, 1234]) {
    const found = await listAll(paging(() => names(count)));
    t.same(found.map(({ key }) => key).sort(), names(count), `${count} assets`);
  }
});

t.test("when an asset is deleted between two pages, no other asset is missed", async (t) => {
  let keys = names(250);
  const call = paging(
    () => keys,
    (pages) => {
      if (pages === 1) keys = keys.filter((key) => key !== "/000005");
    },
  );
  t.same((await listAll(call)).map(({ key }) => key).sort(), keys);
});

t.test("a list that keeps changing is an error", async (t) => {
  let keys = names(250);
  const call = paging(
    () => keys,
    () => {
      keys = keys.slice(1);
    },
  );
  await t.rejects(listAll(call), { message: /^its list changes while it is read/ });
});

t.test("a canister that lists few assets at a time is given up after a few pages", async (t) => {
  for (const most of [2, 3, 10]) {
    let asked = 0;
    const call = paging(
      () => names(2000),
      (pages) => {
        asked = pages;
      },
      most,
    );
    await t.rejects(listAll(call), { message: /or comes a few assets at a time$/ }, `${most} a page`);
    t.ok(asked < 10, `${asked} pages`);
  }
});

t.test("assets that are added while a short list is read are found", async (t) => {
  let keys = names(3);
  const call = paging(
    () => keys,
    (pages) => {
      if (pages === 1) keys = names(10);
    },
    100,
  );
  t.same((await listAll(call)).map(({ key }) => key).sort(), keys);
});
