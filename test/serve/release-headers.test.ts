/** Headers for those who walk down the chain: pages, and what is fetched for them. */
import { createHash } from "node:crypto";
import t from "tap";
import { Headers } from "../../lib/serve/release-headers.ts";
import { decodeHeaders } from "../../lib/source/icfs/header-list.ts";
import type { ProvenRelease } from "../../lib/source/icfs/open-release.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

t.test("headers, page by page, of which only new ones are fetched", async (t) => {
  const all = Array.from({ length: 2500 }, (_, i) => Buffer.from(`header of release ${i + 1}`));
  const asked: number[] = [];
  let most = Number.POSITIVE_INFINITY;
  const headers = new Headers({
    async headersBelow({ newest: { header } }, last) {
      asked.push(last);
      return all
        .slice(last - 1, header.number - 1)
        .reverse()
        .slice(0, most);
    },
  });
  const proving = (number: number) =>
    ({ newest: { header: { number }, hash: sha256(all[number - 1]!) } }) as unknown as ProvenRelease;
  await headers.follow(proving(2000));
  await headers.follow(proving(2000));
  await headers.follow(proving(2003));
  t.same(asked, [1, 2000]);
  const page = (from: number) => headers.page(from) && decodeHeaders(headers.page(from)!).map(String);
  const from = (number: number, count: number) =>
    all
      .slice(number - count, number)
      .reverse()
      .map(String);
  t.same(page(2002), from(2002, 1000));
  t.same(page(7), from(7, 7));
  t.equal(page(2003), undefined, "the newest one is in its proof");
  t.equal(page(0), undefined);
  // Another history under the same numbers.
  all.splice(2002, 1, Buffer.from("another"));
  await headers.follow(proving(2004));
  t.same(asked.slice(2), [2003, 1]);
  most = 10;
  await headers.follow(proving(1000));
  t.equal(page(995), undefined, "a page that ends early would look like a lie");
});
