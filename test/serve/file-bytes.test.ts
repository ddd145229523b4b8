/** Any range of a file, however the file is cut into chunks. */
import { createHash, randomBytes } from "node:crypto";
import fc from "fast-check";
import t from "tap";
import { fileBytes, PIECE_BYTES } from "../../lib/serve/file-bytes.ts";
import { type Chunk, Tree, type TreeFile } from "../../lib/tree/tree.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const chunkOf = (bytes: Buffer): Chunk => ({ sha256: sha256(bytes), size: bytes.length });

t.test("any range of a file is read, however the file is cut into chunks", async (t) => {
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
