/** Files that are read whole, into icfs's own chunks, whatever the pieces: no chunk is kept unless the file has its certified hash. */
import { createHash } from "node:crypto";
import { brotliCompressSync, constants, deflateSync, gzipSync } from "node:zlib";
import t from "tap";
import { readWhole } from "../../../lib/source/assets/whole-file.ts";
import { MAX_CHUNK_BYTES } from "../../../lib/tree/limits.ts";
import { bytesOf } from "../../publish/trees.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const ENCODERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  identity: (bytes) => bytes,
  gzip: gzipSync,
  deflate: deflateSync,
  br: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
};
const PIECE_BYTES = 700_000;

/** Reads content that should have this hash. @returns what it says of the file, and the chunks that were kept */
async function read(content: Buffer, encoding: string, expected = sha256(content), most = 10_000_000) {
  const pieces = async function* () {
    for (let at = 0; at < content.length; at += PIECE_BYTES) yield content.subarray(at, at + PIECE_BYTES);
  };
  const taken: Buffer[] = [];
  const whole = await readWhole(pieces(), encoding, expected, most, async (index, hash, bytes) => {
    if (index !== taken.length || !hash.equals(sha256(bytes))) throw new Error("another chunk");
    taken.push(Buffer.from(bytes));
  });
  return { whole, taken };
}

for (const [encoding, encode] of Object.entries(ENCODERS)) {
  t.test(encoding, async (t) => {
    for (const length of [0, 1, MAX_CHUNK_BYTES, 2 * MAX_CHUNK_BYTES + 5]) {
      const file = bytesOf(length, length);
      const { whole, taken } = await read(encode(file), encoding);
      t.ok(Buffer.concat(taken).equals(file), `${length} bytes`);
      t.same(whole, { size: length, sha256: sha256(file), chunks: taken.map(sha256) });
      t.equal(taken.length, Math.ceil(length / MAX_CHUNK_BYTES));
    }
    const file = bytesOf(1, 2_000_000);
    const another = sha256(Buffer.from("what is certified"));
    await t.rejects(read(encode(file), encoding, another), {
      name: "VerificationError",
      message: `its SHA-256 is ${sha256(encode(file)).toString("hex")}, and ${another.toString("hex")} is certified`,
    });
    await t.rejects(read(encode(file), encoding, undefined, file.length - 1), {
      name: "FormatError",
      message: /has more than 1999999 bytes/,
    });
    if (encoding !== "identity") {
      await t.rejects(read(Buffer.from("no such thing"), encoding), { name: "FormatError" });
    }
  });
}
