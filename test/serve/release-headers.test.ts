/** Headers for clients that walk down the chain: the pages, what is fetched for them, and what is kept. */
import t from "tap";
import { type HeaderStore, Headers } from "../../lib/serve/release-headers.ts";
import { decodeHeaders, encodeHeaders } from "../../lib/source/icfs/header-list.ts";
import type { ProvenRelease } from "../../lib/source/icfs/open-release.ts";
import { decodeHeader, headerHash } from "../../lib/tree/header.ts";
import { encodeChain, encodeHeader } from "../support/headers.ts";

const ALL = encodeChain(2500);

/** The headers of a chain, and for each request the release down to which it asked. */
function sourceOf(chain: Buffer[], most = Number.POSITIVE_INFINITY) {
  const asked: number[] = [];
  return {
    asked,
    async headersBelow({ newest: { header } }: ProvenRelease, last: number) {
      asked.push(last);
      return chain
        .slice(last - 1, header.number - 1)
        .reverse()
        .slice(0, most);
    },
  };
}

const NO_NETWORK = { headersBelow: () => Promise.reject(new Error("the network is away")) };

/** The proof of a release that is the newest one. */
function proving(number: number, chain = ALL): ProvenRelease {
  const bytes = chain[number - 1]!;
  const newest = { header: decodeHeader(bytes), hash: headerHash(bytes) };
  return { newest } as unknown as ProvenRelease;
}

const pageOf = (headers: Headers, from: number) => headers.page(from) && decodeHeaders(headers.page(from)!);
const below = (number: number, count: number, chain = ALL) => chain.slice(number - count, number).reverse();

t.test("headers are served in pages, and only new ones are fetched", async (t) => {
  const chain = [...ALL];
  const source = sourceOf(chain);
  const headers = new Headers(source);
  await headers.follow(proving(2000));
  await headers.follow(proving(2000));
  await headers.follow(proving(2003));
  t.same(source.asked, [1, 2000]);
  t.same(pageOf(headers, 2002), below(2002, 1000));
  t.same(pageOf(headers, 7), below(7, 7));
  t.equal(headers.page(2003), undefined, "the newest header is not served, as it is in the proof");
  t.equal(headers.page(0), undefined);
  await headers.follow(proving(1900));
  t.equal(source.asked.length, 2, "an older release needs no further request");
  t.same(pageOf(headers, 1899), below(1899, 1000));
  t.equal(headers.page(1900), undefined);
});

t.test("another history with the same numbers replaces the first", async (t) => {
  const other = encodeChain(2500, "another");
  const chain = [...ALL];
  const source = sourceOf(chain);
  const headers = new Headers(source);
  await headers.follow(proving(2003));
  chain.splice(0, chain.length, ...other);
  await headers.follow(proving(2004, other));
  t.same(source.asked, [1, 2003, 1]);
  t.same(pageOf(headers, 2003), below(2003, 1000, other));
});

t.test("a page that would end too early is not served", async (t) => {
  const headers = new Headers(sourceOf(ALL, 10));
  await headers.follow(proving(1000));
  t.equal(headers.page(995), undefined);
});

t.test("kept headers are served without the network, if they belong to the proved release", async (t) => {
  let kept: Buffer | undefined;
  let writes = 0;
  const store: HeaderStore = {
    read: async () => kept,
    async write(bytes) {
      kept = bytes;
      writes += 1;
    },
  };
  await new Headers(sourceOf(ALL), store).follow(proving(2000));
  const again = new Headers(NO_NETWORK, store);
  await again.follow(proving(2000));
  t.same(pageOf(again, 1999), below(1999, 1000));
  const before = new Headers(NO_NETWORK, store);
  await before.follow(proving(1500));
  t.same(pageOf(before, 1499), below(1499, 1000), "kept headers also serve an older release");
  t.equal(writes, 1);
  const newer = sourceOf(ALL);
  await new Headers(newer, store).follow(proving(2100));
  t.same([newer.asked, writes], [[2000], 2], "only new headers are fetched");

  for (const [what, bytes] of [
    ["nothing", undefined],
    ["what is not a list", Buffer.from("x")],
    ["what is no header", encodeHeaders([Buffer.from("x"), ...below(2098, 10)])],
    [
      "a chain that breaks",
      encodeHeaders([...below(2099, 10), encodeHeader({ number: 2089 }), ...below(2088, 10)]),
    ],
    ["another history", encodeHeaders(below(2099, 10, encodeChain(2100, "another")))],
    ["older ones", encodeHeaders(below(2098, 2098))],
  ] as const) {
    kept = bytes;
    const headers = new Headers(NO_NETWORK, store);
    await t.rejects(headers.follow(proving(2100)), /the network is away/, what);
    for (const from of [2099, 2090, 2088])
      t.equal(headers.page(from), undefined, "no header from an unusable list is served");
    const fixed = new Headers(sourceOf(ALL), store);
    await fixed.follow(proving(2100));
    t.same(pageOf(fixed, 2099), below(2099, 1000), "the headers are fetched from the network");
    t.same(decodeHeaders(kept!), below(2099, 2099), "the fetched headers are kept");
  }
});
