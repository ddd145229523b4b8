/** The kernel's requests, without a kernel: a malformed request gets an error, and every request gets exactly one answer. */
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import t from "tap";
import { Opcode, replyHeader } from "../../../lib/fs/kernel/protocol.ts";
import { Session } from "../../../lib/fs/kernel/session.ts";
import { defaultMountOptions } from "../../../lib/fs/mounting/fuse-options.ts";
import { type Attributes, type FileSystem, FsError, ROOT_INODE } from "../../../lib/fs/view/filesystem.ts";
import { createLog } from "../../../lib/log.ts";
import { exactly } from "../../support/exactly.ts";

const CONTENT = Buffer.from("the file's content");
const FILE = 2;
const EINVAL = 22;
const ENOENT = 2;
const EAGAIN = 11;

/** A root with one file in it. */
class OneFile implements FileSystem {
  readonly retained = new Set<number>();
  reading: Promise<Uint8Array> | undefined;
  released = 0;

  lookup(parent: number, name: string): number {
    if (parent !== ROOT_INODE) throw new FsError("ENOTDIR", "no directory");
    if (name !== "file") throw new FsError("ENOENT", name);
    return FILE;
  }
  parent(): number {
    return ROOT_INODE;
  }
  getattr(inode: number): Attributes {
    if (inode !== ROOT_INODE && inode !== FILE) throw new FsError("ENOENT", `inode ${inode}`);
    const kind = inode === FILE ? "file" : "directory";
    const size = inode === FILE ? CONTENT.length : 0;
    const time = 1_500_000_000_123_456_789n;
    return { inode, kind, size, executable: false, modified: time, changed: time, links: 1 };
  }
  readlink(): string {
    throw new FsError("EINVAL", "no symlink");
  }
  readdir(inode: number) {
    if (inode !== ROOT_INODE) throw new FsError("ENOTDIR", "no directory");
    return [{ name: "file", inode: FILE, kind: "file" as const }];
  }
  open(inode: number): number {
    if (inode !== FILE) throw new FsError("EISDIR", "a directory");
    return 7;
  }
  async read(_: number, offset: number, length: number): Promise<Uint8Array[]> {
    return [(await this.reading) ?? CONTENT.subarray(offset, offset + length)];
  }
  release(): void {
    this.released += 1;
  }
  getxattr(_: number, name: string): Uint8Array {
    if (name === "user.a") return Buffer.from("value");
    throw new FsError("ENODATA", name);
  }
  listxattr(): readonly string[] {
    return ["user.a"];
  }
  retain(inode: number): void {
    this.retained.add(inode);
  }
  forget(inode: number): void {
    this.retained.delete(inode);
  }
}

interface Answer {
  readonly error: number;
  readonly unique: bigint;
  readonly body: Buffer;
}

function start() {
  const fileSystem = new OneFile();
  const answers: Answer[] = [];
  const session = new Session({
    fileSystem,
    options: defaultMountOptions("test"),
    log: createLog("error", () => {}),
    send: (parts) => {
      const whole = Buffer.concat(parts);
      if (whole.length !== whole.readUInt32LE(0)) throw new Error("an answer of the wrong length");
      answers.push({
        error: -whole.readInt32LE(4),
        unique: whole.readBigUInt64LE(8),
        body: whole.subarray(16),
      });
    },
  });
  session.greeted.catch(() => {});
  return { fileSystem, session, answers };
}

/** start(), with request 9, a read of three bytes, waiting for `reading`. */
function startReading() {
  const { session, answers, fileSystem } = start();
  session.handle(request(Opcode.OPEN, FILE, numbers(0)));
  const reading = Promise.withResolvers<Uint8Array>();
  fileSystem.reading = reading.promise;
  session.handle(request(Opcode.READ, FILE, numbers(7, 0, 3, 0, 0), 9n));
  return { session, answers, reading };
}

/** struct fuse_in_header and the body behind it. */
function request(opcode: number, nodeid: bigint | number, body: Uint8Array, unique = 1n): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32LE(40 + body.length, 0);
  header.writeUInt32LE(opcode, 4);
  header.writeBigUInt64LE(unique, 8);
  header.writeBigUInt64LE(BigInt(nodeid), 16);
  header.writeUInt32LE(process.pid, 32);
  return Buffer.concat([header, body]);
}

function numbers(...values: (number | bigint)[]): Buffer {
  const body = Buffer.alloc(8 * values.length);
  for (const [i, value] of values.entries()) body.writeBigUInt64LE(BigInt(value), 8 * i);
  return body;
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

t.test("a lookup, an open and a read", async (t) => {
  const { session, answers, fileSystem } = start();
  session.handle(request(Opcode.LOOKUP, ROOT_INODE, Buffer.from("file\0"), 11n));
  const entry = answers.pop()!;
  t.match(entry, { error: 0, unique: 11n });
  t.equal(entry.body.length, 128, "the size of struct fuse_entry_out");
  t.equal(entry.body.readBigUInt64LE(0), BigInt(FILE));
  t.same(
    [entry.body.readBigUInt64LE(16), entry.body.readUInt32LE(32)],
    [0n, 0],
    "the kernel looks the name up every time",
  );
  t.equal(entry.body.readBigUInt64LE(40 + 8), BigInt(CONTENT.length));
  t.equal(entry.body.readUInt32LE(40 + 52), 123_456_789, "the nanoseconds of the modification time");
  session.handle(request(Opcode.OPEN, FILE, numbers(0)));
  t.equal(answers.pop()!.body.readBigUInt64LE(0), 7n);
  session.handle(request(Opcode.READ, FILE, numbers(7, 4, 6, 0, 0)));
  await settled();
  t.equal(answers.pop()!.body.toString(), "file's");
  // An offset beyond JavaScript's safe integers, past the end of the file.
  session.handle(request(Opcode.READ, FILE, numbers(7, 2n ** 63n - 1n, 6, 0, 0)));
  await settled();
  t.match(answers.pop(), { error: 0, body: Buffer.alloc(0) });
  t.same([session.openFiles, session.known.inodes], [1, 1]);
  session.handle(request(Opcode.RELEASE, FILE, numbers(7, 0, 0)));
  t.same([session.openFiles, fileSystem.released], [0, 1]);
});

t.test("an inode is retained until it has been forgotten as often as it was looked up", async (t) => {
  const { session, answers, fileSystem } = start();
  for (let i = 0; i < 3; i++) session.handle(request(Opcode.LOOKUP, ROOT_INODE, Buffer.from("file\0")));
  session.handle(request(Opcode.OPENDIR, ROOT_INODE, numbers(0)));
  const handle = answers.at(-1)!.body.readBigUInt64LE(0);
  session.handle(request(Opcode.READDIR, ROOT_INODE, numbers(handle, 0, 4096, 0, 0)));
  const before = answers.length;
  session.handle(request(Opcode.FORGET, FILE, numbers(2)));
  t.ok(
    fileSystem.retained.has(FILE),
    "one of three lookups is not forgotten yet, and listing does not count",
  );
  session.handle(request(Opcode.BATCH_FORGET, 0, numbers(2, FILE, 1, FILE, 1)));
  t.same([fileSystem.retained.size, session.known.inodes], [0, 0]);
  session.handle(request(Opcode.FORGET, FILE, numbers(5)));
  t.equal(answers.length, before, "FORGET and BATCH_FORGET get no answer");
});

t.test("`.` and `..` are found from an inode that the kernel has forgotten", async (t) => {
  const { session, answers, fileSystem } = start();
  const found = (inode: number, name: string) => {
    session.handle(request(Opcode.LOOKUP, inode, Buffer.from(`${name}\0`)));
    const { error, body } = answers.pop()!;
    return error === 0 ? Number(body.readBigUInt64LE(0)) : -error;
  };
  t.equal(found(FILE, "."), FILE);
  t.ok(fileSystem.retained.has(FILE), "a lookup of `.` retains the inode again");
  session.handle(request(Opcode.FORGET, FILE, numbers(1)));
  t.equal(fileSystem.retained.size, 0);
  t.equal(found(ROOT_INODE, "."), ROOT_INODE);
  t.equal(found(FILE, ".."), ROOT_INODE);
  t.equal(
    found(77, "."),
    -ENOENT,
    "an inode of another release gets ENOENT, which the kernel turns into ESTALE",
  );
  t.same([fileSystem.retained.size, session.known.inodes], [0, 0], "lookups of the root are not counted");

  const generation = (session: Session, answers: Answer[]) => {
    session.handle(request(Opcode.LOOKUP, ROOT_INODE, Buffer.from("file\0")));
    return answers.pop()!.body.readBigUInt64LE(8);
  };
  const others = Array.from({ length: 3 }, start).map((other) => generation(other.session, other.answers));
  t.not(
    new Set([generation(session, answers), ...others]).size,
    1,
    "inode generations differ between mounts",
  );
  t.equal(generation(session, answers), generation(session, answers));
});

t.test("a listing that does not fit is sent in parts, with each entry once", async (t) => {
  const { session, answers } = start();
  session.handle(request(Opcode.OPENDIR, ROOT_INODE, numbers(0)));
  const handle = answers.at(-1)!.body.readBigUInt64LE(0);
  const names: string[] = [];
  for (let offset = 0n; ; ) {
    session.handle(request(Opcode.READDIR, ROOT_INODE, numbers(handle, offset, 40, 0, 0)));
    const { body } = answers.at(-1)!;
    if (body.length === 0) break;
    names.push(body.toString("utf8", 24, 24 + body.readUInt32LE(16)));
    offset = body.readBigUInt64LE(8);
  }
  t.same(names, [".", "..", "file"]);
});

t.test("invalid names and truncated requests get errors, and a truncated header no answer", async (t) => {
  const { session, answers } = start();
  const errorOf = (bytes: Buffer) => {
    session.handle(bytes);
    return answers.pop()?.error;
  };
  t.equal(errorOf(request(Opcode.LOOKUP, ROOT_INODE, Buffer.from([0xff, 0]))), ENOENT);
  t.equal(errorOf(request(Opcode.LOOKUP, ROOT_INODE, Buffer.from("no end"))), ENOENT);
  t.equal(errorOf(request(Opcode.LOOKUP, 2n ** 63n, Buffer.from("file\0"))), 20, "ENOTDIR");
  for (const opcode of [Opcode.OPEN, Opcode.READ, Opcode.RELEASE, Opcode.GETXATTR, Opcode.INIT]) {
    t.equal(errorOf(request(opcode, FILE, Buffer.alloc(1))), EINVAL, `opcode ${opcode}`);
  }
  t.equal(errorOf(Buffer.alloc(39)), undefined, "a message shorter than its header gets no answer");
  const lying = request(Opcode.STATFS, ROOT_INODE, Buffer.alloc(0));
  lying.writeUInt32LE(41, 0);
  t.equal(errorOf(lying), undefined);
});

t.test("any request gets exactly one answer, or none if none is due", async (t) => {
  const silent = new Set<number>([Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.NOTIFY_REPLY, Opcode.INTERRUPT]);
  const holds = fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          opcode: fc.oneof(
            fc.constantFrom(...Object.values(Opcode)),
            fc.integer({ min: 0, max: 0xffffffff }),
          ),
          nodeid: fc.oneof(fc.constantFrom(0n, 1n, 2n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
          body: fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.constant(numbers(7, 0, 100, 0, 0))),
        }),
        { maxLength: 20 },
      ),
      async (requests) => {
        const { session, answers } = start();
        for (const [i, { opcode, nodeid, body }] of requests.entries()) {
          session.handle(request(opcode, nodeid, body, BigInt(i + 1)));
        }
        await settled();
        await settled();
        for (const [i, { opcode }] of requests.entries()) {
          const count = answers.filter(({ unique }) => unique === BigInt(i + 1)).length;
          // Interrupts are answered a while later, if at all.
          if (count !== (silent.has(opcode) ? 0 : 1)) {
            throw new Error(`${count} answers to opcode ${opcode}`);
          }
        }
      },
    ),
    { numRuns: 500 },
  );
  await t.resolves(holds);
});

t.test("random bytes get no more answers than there were messages", async (t) => {
  const holds = fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), async (messages) => {
      const { session, answers } = start();
      for (const message of messages) {
        const bytes = Buffer.from(message);
        // Half of the messages state their length correctly.
        if (bytes.length >= 4 && bytes[0]! % 2 === 0) bytes.writeUInt32LE(bytes.length, 0);
        session.handle(bytes);
      }
      await settled();
      if (answers.length > messages.length) throw new Error("more answers than requests");
    }),
    { numRuns: 500 },
  );
  await t.resolves(holds);
});

t.test("an interrupt does not end a read while its reader lives", async (t) => {
  const { session, answers, reading } = startReading();
  answers.length = 0;
  session.handle(request(Opcode.INTERRUPT, 0, numbers(9), 10n));
  t.same(answers, [], "the interrupt does not end the read");
  session.handle(request(Opcode.INTERRUPT, 0, numbers(77), 12n));
  while (answers.length < 2) await sleep(50);
  t.match(answers, exactly({ unique: 10n, error: EAGAIN }, { unique: 12n, error: EAGAIN }));
  reading.resolve(CONTENT.subarray(0, 3));
  await settled();
  t.match(answers.at(-1), { unique: 9n, error: 0 });
});

t.test("failReads() makes a waiting read fail once", async (t) => {
  const { session, answers, reading } = startReading();
  session.failReads();
  reading.resolve(CONTENT.subarray(0, 3));
  await settled();
  t.same(
    answers.filter(({ unique }) => unique === 9n).map(({ error }) => error),
    [5],
  );
});

t.test("a kernel that is too old is refused", async (t) => {
  const { session } = start();
  const body = Buffer.alloc(16);
  body.writeUInt32LE(7, 0);
  body.writeUInt32LE(22, 4);
  session.handle(request(Opcode.INIT, 0, body));
  await t.rejects(session.greeted, /speaks FUSE 7\.22/);
});

t.test("a reply's header", async (t) => {
  t.same(replyHeader(2n ** 63n, 5, 3), Buffer.from("13000000fbffffff0000000000000080", "hex"));
});
