/** Parts of files, cut in any way; chunks found by their hashes; headers page by page; and types as the canister has them. */
import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import fc from "fast-check";
import t from "tap";
import { ChunkIndex } from "../../lib/serve/chunk-index.ts";
import { fileBytes, PIECE_BYTES } from "../../lib/serve/file-bytes.ts";
import { Headers } from "../../lib/serve/headers.ts";
import { mediaTypeOf } from "../../lib/serve/media-type.ts";
import { decodeHeaders } from "../../lib/source/icfs/header-list.ts";
import type { ProvenRelease } from "../../lib/source/icfs/open-release.ts";
import { atOnce } from "../../lib/steps.ts";
import { type Chunk, keyOf, Tree, type TreeFile } from "../../lib/tree/tree.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const chunkOf = (bytes: Buffer): Chunk => ({ sha256: sha256(bytes), size: bytes.length });

t.test("any part of a file, however it is cut", async (t) => {
  const content = Array.from({ length: 4 }, (_, i) => randomBytes(PIECE_BYTES * i + 1000));
  const chunks = content.map(chunkOf);
  const extent = fc.nat(3).chain((chunk) => {
    const { size } = chunks[chunk]!;
    return fc
      .tuple(fc.nat(size - 1), fc.integer({ min: 1, max: size }))
      .map(([offset, length]) => ({ chunk, offset, length: Math.min(length, size - offset) }));
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(extent, { minLength: 1, maxLength: 6 }),
      fc.nat(),
      fc.nat(),
      async (extents, a, b) => {
        const whole = Buffer.concat(
          extents.map(({ chunk, offset, length }) => content[chunk]!.subarray(offset, offset + length)),
        );
        const [start, end] = [a % whole.length, b % (whole.length + 1)].sort((x, y) => x - y) as [
          number,
          number,
        ];
        const file = {
          kind: "file",
          path: "f",
          modified: 0n,
          size: whole.length,
          extents,
        } as unknown as TreeFile;
        const tree = Tree.of({ chunks, entries: [file] }, 0n);
        const pieces: Buffer[] = [];
        for await (const piece of fileBytes(
          file,
          tree,
          start,
          end,
          async (chunk) => content[chunks.indexOf(chunk)]!,
        )) {
          t.ok(piece.length > 0 && piece.length <= PIECE_BYTES);
          pieces.push(Buffer.from(piece));
        }
        return Buffer.concat(pieces).equals(whole.subarray(start, end));
      },
    ),
    { numRuns: 50 },
  );
});

t.test("a million chunks by their hashes", async (t) => {
  for (const count of [0, 1, 3, 5000]) {
    const chunks = Array.from({ length: count }, (_, i) => chunkOf(Buffer.from(String(i))));
    // Those that no listing has a hash of are not found, and in nobody's way.
    const index = atOnce(ChunkIndex.growing([...chunks, { sha256: undefined, name: "x", size: 1 }]));
    t.ok(chunks.every((chunk) => index.find(chunk.sha256!) === chunk));
    t.equal(index.find(sha256(Buffer.from("another"))), undefined);
  }
  const twice = chunkOf(Buffer.from("twice"));
  t.equal(keyOf(atOnce(ChunkIndex.growing([twice, { ...twice }])).find(twice.sha256!)!), keyOf(twice));
});

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

t.test("types are those that the canister's own URLs have", async (t) => {
  const source = await readFile(new URL("../../canister/contenttype.mo", import.meta.url), "utf8");
  const types = Array.from(source.matchAll(/^ {4}"([^"]+)",$/gm), ([, type]) => type!);
  const endings = Array.from(
    source.matchAll(/\("(\w+)", (\d+)\),/g),
    ([, ending, number]) => [ending!, Number(number)] as const,
  );
  t.ok(types.length > 20 && endings.length > 25);
  const mine = Object.fromEntries(
    endings.map(([ending]) => [ending, mediaTypeOf(`a/b.${ending.toUpperCase()}`)]),
  );
  t.same(mine, Object.fromEntries(endings.map(([ending, number]) => [ending, types[number]])));
  for (const path of ["pxelinux.0", "linux", "pxelinux.cfg/default", ".gitignore", "x.constructor"]) {
    t.equal(mediaTypeOf(path), "application/octet-stream", path);
  }
});
