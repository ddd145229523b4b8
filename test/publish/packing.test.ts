import { createHash, randomBytes } from "node:crypto";
import t from "tap";
import {
  cutManifest,
  PACK_MAX_BYTES,
  PACK_TARGET_BYTES,
  Packer,
  type Piece,
} from "../../lib/publish/packing.ts";
import { bytesOf } from "./trees.ts";

const pieceOf = (bytes: Buffer): Piece => ({ bytes, sha256: createHash("sha256").update(bytes).digest() });

function packed(pieces: readonly Piece[]): (readonly Piece[])[] {
  const packs: (readonly Piece[])[] = [];
  const packer = new Packer((pack) => packs.push(pack));
  for (const piece of pieces) packer.add(piece);
  packer.close();
  packer.close();
  return packs;
}

const sizeOf = (pack: readonly Piece[]) => pack.reduce((sum, { bytes }) => sum + bytes.length, 0);

t.test("pieces stay in order, and packs have about the target's size and are never too large", async (t) => {
  const pieces = Array.from({ length: 2000 }, (_, i) => pieceOf(bytesOf(i, 1 + ((i * 7919) % 60_000))));
  const packs = packed(pieces);
  t.strictSame(packs.flat(), pieces);
  t.ok(packs.every((pack) => sizeOf(pack) <= PACK_MAX_BYTES));
  const average = sizeOf(pieces) / packs.length;
  t.ok(average > PACK_TARGET_BYTES / 2 && average < 2 * PACK_TARGET_BYTES, `${average} bytes`);
});

t.test("a pack is filled to the largest size, and not a byte more", async (t) => {
  // A piece smaller than the target, whose hash ends no pack.
  const quiet = (size: number): Piece => ({ bytes: Buffer.alloc(size), sha256: Buffer.alloc(32, 255) });
  const sizes = (...pieces: number[]) => packed(pieces.map(quiet)).map(sizeOf);
  const third = PACK_TARGET_BYTES - 1;
  const rest = PACK_MAX_BYTES - 3 * third;
  t.strictSame(sizes(third, third, third, rest, 5), [PACK_MAX_BYTES, 5]);
  t.strictSame(sizes(third, third, third, rest + 1, 5), [3 * third, rest + 6]);
});

t.test("an added or removed piece changes at most two packs", async (t) => {
  const pieces = Array.from({ length: 500 }, (_, i) => pieceOf(bytesOf(i, 5000 + ((i * 7919) % 50_000))));
  const names = (some: readonly Piece[]) =>
    new Set(packed(some).map((pack) => pack.map(({ sha256 }) => sha256).join()));
  const before = names(pieces);
  for (const at of [0, 250, 499]) {
    const added = names(pieces.toSpliced(at, 0, pieceOf(bytesOf(9999, 3000))));
    t.ok([...added].filter((pack) => !before.has(pack)).length <= 2, `added at ${at}`);
    const removed = names(pieces.toSpliced(at, 1));
    t.ok([...removed].filter((pack) => !before.has(pack)).length <= 2, `removed at ${at}`);
  }
});

t.test("an entry larger than a chunk is cut", async (t) => {
  const large = randomBytes(2_500_000);
  const chunks = cutManifest([Buffer.from("prefix"), large, Buffer.from("entry")]);
  t.ok(Buffer.concat(chunks).equals(Buffer.concat([Buffer.from("prefix"), large, Buffer.from("entry")])));
  t.ok(
    chunks.every(({ length }) => length <= 1024 * 1024),
    chunks.map(({ length }) => length).join(),
  );
});
