/** The kernel's structures as bytes: each field is written at the offset that linux/fuse.h gives it, and no bytes make the decoders throw. */
import fc from "fast-check";
import t from "tap";
import {
  attributesReply,
  decodeBatchForget,
  decodeForget,
  decodeGetxattr,
  decodeInit,
  decodeInterrupt,
  decodeName,
  decodeOpenFlags,
  decodeRead,
  decodeRelease,
  decodeRequest,
  entryReply,
  initReply,
  notification,
  writeItem,
} from "../../../lib/fs/kernel/protocol.ts";
import { defaultMountOptions } from "../../../lib/fs/mounting/fuse-options.ts";
import type { Attributes } from "../../../lib/fs/view/filesystem.ts";

const options = { ...defaultMountOptions("test"), uid: 12, gid: 34 };

const attributes: fc.Arbitrary<Attributes> = fc.record({
  inode: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  kind: fc.constantFrom("file", "directory", "symlink"),
  size: fc.maxSafeNat(),
  executable: fc.boolean(),
  modified: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  changed: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  links: fc.integer({ min: 1, max: 100_000 }),
});

/** The fields of struct fuse_attr at `at`, by the offsets that a C compiler gives them. */
function attrAt(bytes: Buffer, at: number) {
  const time = (i: number) =>
    bytes.readBigUInt64LE(at + 24 + 8 * i) * 1_000_000_000n + BigInt(bytes.readUInt32LE(at + 48 + 4 * i));
  return {
    inode: Number(bytes.readBigUInt64LE(at)),
    size: Number(bytes.readBigUInt64LE(at + 8)),
    blocks: Number(bytes.readBigUInt64LE(at + 16)),
    read: time(0),
    modified: time(1),
    changed: time(2),
    mode: bytes.readUInt32LE(at + 60),
    links: bytes.readUInt32LE(at + 64),
    owner: [bytes.readUInt32LE(at + 68), bytes.readUInt32LE(at + 72)],
    device: bytes.readUInt32LE(at + 76),
    flags: bytes.readUInt32LE(at + 84),
  };
}

t.test("attributes", async (t) => {
  const types = { file: 0o100, directory: 0o040, symlink: 0o120 };
  fc.assert(
    fc.property(attributes, (given) => {
      const { inode, kind, size, modified, changed, links } = given;
      const expected = {
        ...{ inode, size, read: modified, modified, changed, links, blocks: Math.ceil(size / 512) },
        ...{ owner: [12, 34], device: 0, flags: 0 },
      };
      const attr = attributesReply(given, options, 9);
      t.equal(attr.length, 104);
      t.equal(attr.readBigUInt64LE(0), 9n);
      t.match(attrAt(attr, 16), expected);
      t.equal(attrAt(attr, 16).mode >> 9, types[kind]);
      const entry = entryReply(given, options, 2 ** 32 - 1, 7);
      t.equal(entry.length, 128);
      t.same(
        [0, 8, 16, 24].map((at) => entry.readBigUInt64LE(at)),
        [BigInt(inode), 0xffffffffn, 0n, 7n],
      );
      t.match(attrAt(entry, 40), expected);
    }),
    { numRuns: 50 },
  );
});

t.test("listings", async (t) => {
  const item = fc.record({
    name: fc.string({ minLength: 1, maxLength: 85, unit: "grapheme" }).map((name) => Buffer.from(name)),
    inode: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    kind: fc.constantFrom("file" as const, "directory" as const, "symlink" as const),
    next: fc.maxSafeNat(),
  });
  fc.assert(
    fc.property(fc.array(item), fc.integer({ min: 0, max: 2000 }), (items, room) => {
      const target = Buffer.alloc(room);
      let end = 0;
      let written = 0;
      for (const item of items) {
        const at = writeItem(target, end, item);
        if (at === end) break;
        end = at;
        written += 1;
      }
      // Steps to the next entry as the kernel does, by FUSE_DIRENT_SIZE.
      const found = [];
      for (let at = 0; at < end; ) {
        const length = target.readUInt32LE(at + 16);
        found.push({
          inode: Number(target.readBigUInt64LE(at)),
          next: Number(target.readBigUInt64LE(at + 8)),
          kind: { 8: "file", 4: "directory", 10: "symlink" }[target.readUInt32LE(at + 20)],
          name: target.subarray(at + 24, at + 24 + length),
        });
        at += (24 + length + 7) & ~7;
      }
      t.same(found, items.slice(0, written));
      t.ok(end <= room && end % 8 === 0);
    }),
    { numRuns: 100 },
  );
});

t.test("names", async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.uint8Array(), (name, rest) => {
      if (name.includes("\0")) return;
      t.equal(decodeName(Buffer.concat([Buffer.from(`${name}\0`), rest])), name);
    }),
    { numRuns: 100 },
  );
  t.equal(decodeName(Buffer.from("no end")), undefined);
  t.equal(decodeName(Buffer.alloc(0)), undefined);
  // A byte that is not UTF-8, a code point in too many bytes, half of a surrogate pair.
  for (const bytes of ["ff00", "c08000", "eda08000"]) {
    t.equal(decodeName(Buffer.from(bytes, "hex")), undefined, bytes);
  }
  t.equal(decodeName(Buffer.from("\uFFFD\0")), "\uFFFD", "the replacement character itself");
  t.equal(decodeName(Buffer.from("\uFEFFx\0")), "\uFEFFx", "a byte order mark");
});

t.test("decoders do not throw on any bytes, and return only possible numbers", async (t) => {
  const decoders = [
    decodeInit,
    decodeRead,
    decodeRelease,
    decodeOpenFlags,
    decodeGetxattr,
    decodeInterrupt,
    decodeForget,
    decodeBatchForget,
    decodeName,
    decodeRequest,
  ];
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(bytes, (bytes) => {
      for (const decode of decoders) decode(bytes);
      const read = decodeRead(bytes);
      if (read && !(Number.isSafeInteger(read.handle) && read.offset >= 0 && read.size >= 0)) {
        throw new Error(JSON.stringify(read));
      }
      for (const pair of decodeBatchForget(bytes)) {
        if (!pair.every(Number.isSafeInteger)) throw new Error(`${pair}`);
      }
    }),
    { numRuns: 2000 },
  );
  const many = Buffer.alloc(8 + 16);
  many.writeUInt32LE(0xffffffff, 0);
  t.equal(
    decodeBatchForget(many).length,
    1,
    "only the entries that exist are decoded, whatever the count says",
  );
});

t.test("the answer to INIT", async (t) => {
  const reply = initReply({ flags: -1, maxReadahead: 1, maxBackground: 64, maxWrite: 4096, maxPages: 256 });
  t.equal(reply.length, 64, "the size of struct fuse_init_out since protocol 7.23");
  t.same([reply.readUInt32LE(0), reply.readUInt32LE(12), reply.readUInt16LE(16)], [7, 0xffffffff, 64]);
  t.same([reply.readUInt32LE(20), reply.readUInt16LE(28)], [4096, 256]);
});

t.test("a notification", async (t) => {
  t.same(notification(8, Buffer.alloc(0)), Buffer.from("10000000080000000000000000000000", "hex"));
});
