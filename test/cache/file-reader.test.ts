import { createHash } from "node:crypto";
import t from "tap";
import { FileReader } from "../../lib/cache/file-reader.ts";
import type { FileEntry } from "../../lib/tree/manifest.ts";
import type { Chunk, Chunks, TreeFile } from "../../lib/tree/tree.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

/** Chunks in memory that record the requests. */
function chunksOf(contents: readonly string[]) {
  const table = contents.map((text) => ({ sha256: sha256(Buffer.from(text)), size: text.length }));
  const got: string[] = [];
  const ahead: string[] = [];
  const text = (reference: Chunk) => contents[table.indexOf(reference as (typeof table)[0])]!;
  const chunks: Chunks = {
    get: async (reference) => {
      got.push(text(reference));
      if (text(reference).startsWith("bad")) throw new Error(`no ${text(reference)}`);
      return Buffer.from(text(reference));
    },
    prefetch: (reference) => {
      ahead.push(text(reference));
    },
  };
  return { table, chunks, got, ahead };
}

function fileOf(content: string, extents: [chunk: number, offset: number, length: number][]): FileEntry {
  return {
    kind: "file",
    path: "x",
    modified: 0n,
    size: content.length,
    sha256: sha256(Buffer.from(content)),
    executable: false,
    extents: extents.map(([chunk, offset, length]) => ({ chunk, offset, length })),
  };
}

async function read(reader: FileReader, index: number): Promise<string[]> {
  const pieces: string[] = [];
  for await (const bytes of reader.read(index)) pieces.push(bytes.toString());
  return pieces;
}

t.test("files that share chunks are read in order, and the next chunks are prefetched", async (t) => {
  const { table, chunks, got, ahead } = chunksOf(["aabb", "cc", "dd", "e"]);
  const files = [
    fileOf("aa", [[0, 0, 2]]),
    fileOf("", []),
    fileOf("bbccd", [
      [0, 2, 2],
      [1, 0, 2],
      [2, 0, 1],
    ]),
    fileOf("de", [
      [2, 1, 1],
      [3, 0, 1],
    ]),
  ];
  const reader = new FileReader(files, table, chunks);
  t.same(await read(reader, 0), ["aa"]);
  t.same(ahead, ["cc", "dd", "e"], "chunks of later files are prefetched");
  t.same(await read(reader, 1), []);
  t.same(await read(reader, 2), ["bb", "cc", "d"]);
  t.same(await read(reader, 3), ["d", "e"]);
  t.same(got, ["aabb", "aabb", "cc", "dd", "dd", "e"]);
});

t.test("prefetching goes a limited number of chunks ahead", async (t) => {
  const contents = Array.from({ length: 30 }, (_, i) => String.fromCharCode(65 + i));
  const { table, chunks, ahead } = chunksOf(contents);
  const file = fileOf(
    contents.join(""),
    contents.map((_, i) => [i, 0, 1]),
  );
  const pieces = new FileReader([file], table, chunks).read(0);
  await pieces.next();
  t.same(
    [...new Set(ahead)],
    contents.slice(1, 10),
    "8 chunks after the second are prefetched, as it is read before the first is returned",
  );
  await pieces.return();
});

t.test("the last piece of a file with a hash other than the manifest's is never returned", async (t) => {
  const { table, chunks } = chunksOf(["aa", "bb"]);
  const file = fileOf("aacc", [
    [0, 0, 2],
    [1, 0, 2],
  ]);
  const pieces = new FileReader([file, fileOf("b", [[1, 0, 1]])], table, chunks).read(0);
  t.match(await pieces.next(), { value: Buffer.from("aa") });
  await t.rejects(pieces.next(), { name: "FormatError", message: /the file's SHA-256 is [0-9a-f]{64}, and/ });
  const empty = { ...fileOf("", []), sha256: sha256(Buffer.from("x")) };
  await t.rejects(read(new FileReader([empty], table, chunks), 0), { name: "FormatError" });
});

t.test("a bad chunk is fetched once and fails every file in it, and other files are read", async (t) => {
  const { table, chunks, got, ahead } = chunksOf(["ok", "bad", "fine"]);
  const files = [fileOf("b", [[1, 0, 1]]), fileOf("a", [[1, 1, 1]]), fileOf("fine", [[2, 0, 4]])];
  const reader = new FileReader(files, table, chunks);
  await t.rejects(read(reader, 0), /no bad/);
  await t.rejects(read(reader, 1), /no bad/);
  t.same(await read(reader, 2), ["fine"]);
  t.same(got, ["bad", "fine"]);
  t.same(ahead, ["fine"]);
});

t.test("other work gets its turn while many cached chunks are read", async (t) => {
  const mebibyte = "x".repeat(1024 * 1024);
  const small = chunksOf(["x"]);
  const large = chunksOf([mebibyte]);
  const whole = fileOf(mebibyte, [[0, 0, mebibyte.length]]);
  const cases: Record<string, [typeof small, TreeFile[], leastTurns: number]> = {
    "a file that is cut very small": [
      small,
      [
        fileOf(
          "x".repeat(6_000),
          Array.from({ length: 6_000 }, () => [0, 0, 1]),
        ),
      ],
      5,
    ],
    "a file that has one chunk many times": [
      large,
      [
        fileOf(
          mebibyte.repeat(20),
          Array.from({ length: 20 }, () => [0, 0, mebibyte.length]),
        ),
      ],
      15,
    ],
    "many files of one chunk": [large, Array.from({ length: 20 }, () => whole), 15],
    "very many small ones": [small, Array.from({ length: 6_000 }, () => fileOf("x", [[0, 0, 1]])), 5],
    "and empty ones": [small, Array.from({ length: 6_000 }, () => fileOf("", [])), 5],
  };
  for (const [name, [{ table, chunks }, files, least]] of Object.entries(cases)) {
    let turns = 0;
    let over = false;
    const turn = () => {
      turns += 1;
      if (!over) setImmediate(turn);
    };
    setImmediate(turn);
    let bytes = 0;
    const reader = new FileReader(files, table, chunks);
    for (const i of files.keys()) for await (const piece of reader.read(i)) bytes += piece.length;
    over = true;
    t.equal(
      bytes,
      files.reduce((sum, { size }) => sum + size, 0),
      name,
    );
    t.ok(turns >= least, `other work had ${turns} turns`);
  }
});

t.test("reading a file examines only the next few files for prefetching", async (t) => {
  const { table, chunks, ahead } = chunksOf(Array.from({ length: 1000 }, (_, i) => `chunk ${i}`));
  let looked = 0;
  const files = table.map((_, i) => {
    const file = fileOf(`chunk ${i}`, [[i, 0, `chunk ${i}`.length]]);
    return {
      ...file,
      get extents() {
        looked += 1;
        return file.extents;
      },
    };
  });
  const reader = new FileReader(files, table, chunks);
  t.equal(looked, 0);
  t.same(await read(reader, 0), ["chunk 0"]);
  t.ok(ahead.length >= 1 && looked < 200, `the files' extents are read ${looked} times`);
  t.same(await read(reader, 900), ["chunk 900"], "files can be read out of order");
});
