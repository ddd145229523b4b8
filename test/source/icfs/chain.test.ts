/** The walk from a verified head down: complete, in pages, and refused wherever a header was changed. */
import t from "tap";
import { ancestors } from "../../../lib/source/icfs/chain.ts";
import type { VerifiedHeader } from "../../../lib/source/icfs/release-reader.ts";
import { decodeHeader, headerHash } from "../../../lib/tree/header.ts";
import { encodeChain, encodeHeader } from "../../support/headers.ts";

const verified = (bytes: Uint8Array): VerifiedHeader => ({
  header: decodeHeader(bytes),
  hash: headerHash(bytes),
});

/** A source with these headers (release n at n - 1) that gives at most `page` at once, and the requests that it got. */
function sourceOf(headers: readonly Uint8Array[], page = 1000) {
  const asked: [number, number][] = [];
  return {
    asked,
    headers: async (from: number, count: number) => {
      asked.push([from, count]);
      return headers.slice(Math.max(0, from - Math.min(count, page)), from).reverse();
    },
  };
}

async function walk(...args: Parameters<typeof ancestors>): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { header, hash } of ancestors(...args)) {
    if (hash.length !== 32) throw new Error("no hash");
    numbers.push(header.number);
  }
  return numbers;
}

const down = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, i) => from - i);

t.test("the walk goes down to release 1, a page at a time", async (t) => {
  const chain = encodeChain(2500);
  const head = verified(chain.at(-1)!);
  t.strictSame(await walk(head, sourceOf(chain)), down(2499, 1));
  // Half a megabyte fills a page.
  const large = encodeChain(900, "x".repeat(1024));
  t.strictSame(await walk(verified(large.at(-1)!), sourceOf(large, 450)), down(899, 1));
  t.strictSame(await walk(verified(chain[0]!), sourceOf([])), [], "nothing is below release 1");
  const newest = sourceOf(chain);
  for await (const { header, hash } of ancestors(head, newest)) {
    t.equal(header.number, 2499);
    t.ok(hash.equals(head.header.parent!));
    break;
  }
  t.strictSame(newest.asked, [[2499, 1000]], "no more pages are asked for than needed");
});

t.test("the walk goes down to a given release, and asks for nothing below it", async (t) => {
  const chain = encodeChain(9);
  const head = verified(chain.at(-1)!);
  const source = sourceOf(chain);
  t.strictSame(await walk(head, source, 7), [8, 7]);
  t.strictSame(source.asked, [[8, 2]]);
  t.strictSame(await walk(head, source, 9), [], "a walk from the head down to itself is empty");
  t.equal(source.asked.length, 1);
});

t.test("a broken chain is refused where it breaks", async (t) => {
  const chain = encodeChain(5);
  const head = verified(chain[4]!);
  const refused = async (headers: Uint8Array[], message: string, last?: number) => {
    await t.rejects(walk(head, sourceOf(headers), last), { name: "VerificationError", message });
  };
  const other = encodeChain(5, "another history");
  await refused([...chain.slice(0, 3), other[3]!], "release 4 is not the parent of release 5");
  await refused([other[0]!, ...chain.slice(1)], "release 1 is not the parent of release 2");
  await refused([chain[1]!, chain[0]!, ...chain.slice(2)], "release 2 is not the parent of release 3");
  await refused([], "the canister does not give release 4's header");
  t.strictSame(
    await walk(head, sourceOf([other[0]!, ...chain.slice(1)]), 2),
    [4, 3, 2],
    "a break below the given release is not reached",
  );

  const liar = encodeHeader({ number: 3, parent: headerHash(chain[1]!) });
  const above = encodeHeader({ number: 5, parent: headerHash(liar) });
  await t.rejects(walk(verified(above), sourceOf([...chain.slice(0, 3), liar])), {
    name: "VerificationError",
    message: "release 4 calls itself 3",
  });
  const garbage = Buffer.from("no header at all");
  const onGarbage = encodeHeader({ number: 5, parent: headerHash(garbage) });
  await t.rejects(walk(verified(onGarbage), sourceOf([...chain.slice(0, 3), garbage])), {
    name: "FormatError",
  });
});

t.test("a canister that gives few headers at a time is given up", async (t) => {
  const chain = encodeChain(2500);
  const source = sourceOf(chain, 333);
  await t.rejects(walk(verified(chain.at(-1)!), source), {
    name: "VerificationError",
    message: /gives only 333 of the 1000 headers asked for at once: .*would take too many requests/,
  });
  t.equal(source.asked.length, 1);
});
