/** Files whose parts are listed without hashes, and the hashes that become known later. */
import { createHash } from "node:crypto";
import t from "tap";
import { createLog } from "../../lib/log.ts";
import { KnownChunks, ListedFile } from "../../lib/source/listed-file.ts";
import { LeftOut, listedTree, possible } from "../../lib/source/listed-tree.ts";
import { keyOf } from "../../lib/tree/tree.ts";

const MiB = 1024 * 1024;
const [HASH, OTHER] = ["a", "b"].map((text) => createHash("sha256").update(text).digest());
const fileOf = (path: string, size: number) => new ListedFile({ path, size, modified: 0n });

t.test("a file is cut into parts of 1 MiB", async (t) => {
  const { chunks } = fileOf("file", 2 * MiB + 1);
  t.strictSame(
    chunks.map(({ offset, size, sha256 }) => [offset, size, sha256]),
    [
      [0, MiB, undefined],
      [MiB, MiB, undefined],
      [2 * MiB, 1, undefined],
    ],
  );
  t.strictSame(fileOf("file", 0).chunks, []);
  const known = new ListedFile({ path: "file", size: 2, modified: 0n }, [HASH]);
  t.equal(known.chunks[0]!.sha256, HASH, "a chunk has the hash known from before");
});

t.test("a chunk never changes, and when its hash becomes known it is another chunk", async (t) => {
  const known = new KnownChunks();
  const file = fileOf("file", 2 * MiB);
  const [chunk, rest] = file.chunks;
  const key = keyOf(chunk!);
  t.equal(known.of(chunk!), chunk);
  const hashed = known.learn(chunk!, HASH!);
  t.equal(chunk!.sha256, undefined);
  t.equal(keyOf(chunk!), key, "the chunk asked for keeps its key");
  t.match(hashed, { sha256: HASH, file, offset: 0, size: MiB, name: chunk!.name });
  t.equal(known.of(chunk!), hashed);
  t.equal(known.of(hashed), hashed, "a chunk with a hash stays the same");
  t.equal(known.learn(chunk!, OTHER!), hashed, "the first hash learned is kept");
  t.equal(known.of(rest!), rest);
  t.equal(
    known.of(fileOf("file", 2 * MiB).chunks[0]!).sha256,
    undefined,
    "the hash is not known for another version of the file",
  );
  t.equal(new KnownChunks().of(chunk!), chunk, "the hash is not known to another source");
});

t.test("hashes that become known are known to all trees, even to those made before", async (t) => {
  const known = new KnownChunks();
  const files = [fileOf("a", 1), fileOf("b", 1)];
  t.strictSame(possible(files, new LeftOut(createLog("error"))), files);
  const before = await listedTree(files, known);
  known.learn(files[1]!.chunks[0]!, HASH!);
  const after = await listedTree([files[1]!], known);
  const hashes = (tree: typeof before) => tree.chunks.map((chunk) => tree.known(chunk).sha256);
  t.strictSame(hashes(before), [undefined, HASH]);
  t.strictSame(hashes(after), [HASH]);
});
