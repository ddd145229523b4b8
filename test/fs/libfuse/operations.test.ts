/** fuse-native's operations without a mount: the errnos that they answer with. Each operation answers once, whatever happens. */
import { constants as files } from "node:fs";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { createOperations } from "../../../lib/fs/libfuse/operations.ts";
import { defaultMountOptions } from "../../../lib/fs/mounting/fuse-options.ts";
import { createLog } from "../../../lib/log.ts";
import { directory, file, MemoryFileSystem, type Node, symlink } from "../../mount/memory-filesystem.ts";
import { exactly } from "../../support/exactly.ts";

const { ENOENT, EROFS, EIO, ENOTDIR, EINVAL, ERANGE, ENODATA, EBADF } = constants.errno;
const { O_RDONLY, O_WRONLY, O_RDWR, O_TRUNC } = files;

function start(root: Record<string, Node>) {
  const logged: string[] = [];
  const operations = createOperations({
    fileSystem: new MemoryFileSystem(directory(root)),
    options: defaultMountOptions("canister"),
    log: createLog("debug", (line) => logged.push(line)),
  });
  /** An operation's answer. The operation must not answer again. */
  const ask = async (name: string, ...args: unknown[]): Promise<unknown[]> => {
    const answers: unknown[][] = [];
    const answered = Promise.withResolvers<void>();
    const handler = operations.handlers[name] as (...parameters: unknown[]) => void;
    handler(...args, (...values: unknown[]) => {
      answers.push(values);
      answered.resolve();
    });
    await answered.promise;
    await sleep(0);
    if (answers.length > 1) throw new Error(`${name} answers ${answers.length} times`);
    return answers[0]!;
  };
  return { operations, ask, logged };
}

t.test("missing paths and paths of the wrong kind get the right errno", async (t) => {
  const { ask } = start({ a: file("content"), l: symlink("a"), d: directory({}) });
  t.same(await ask("getattr", "/b"), [-ENOENT]);
  t.same(await ask("getattr", "/a/b"), [-ENOTDIR]);
  t.same(await ask("readlink", "/a"), [-EINVAL]);
  t.same(await ask("readlink", "/l"), [0, "a"]);
  t.same(await ask("readdir", "/a"), [-ENOTDIR]);
  t.same((await ask("readdir", "/")).slice(0, 2), [0, [".", "..", "a", "l", "d"]]);
  t.same(await ask("open", "/b", O_RDONLY), [-ENOENT]);
});

t.test("every operation that would write fails with EROFS", async (t) => {
  const { ask, operations } = start({ a: file("content") });
  for (const flags of [O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC]) {
    t.same(await ask("open", "/a", flags), [-EROFS], `flags ${flags}`);
  }
  t.equal(operations.openFiles(), 0);
  for (const name of [
    "create",
    "write",
    "truncate",
    "unlink",
    "rename",
    "mkdir",
    "chmod",
    "utimens",
    "setxattr",
  ]) {
    t.same(await ask(name, "/a"), [-EROFS], name);
  }
});

t.test("a read returns the file's bytes, and a read that loses bytes fails with EIO", async (t) => {
  const short: Node = { kind: "file", content: Buffer.from("content"), read: async () => Buffer.from("con") };
  const { ask, operations, logged } = start({ a: file("content"), short });
  const [, handle] = await ask("open", "/a", O_RDONLY);
  const buffer = Buffer.alloc(10);
  t.same(await ask("read", "/a", handle, buffer, 10, 2), [5]);
  t.equal(buffer.toString("latin1", 0, 5), "ntent");
  t.same(await ask("read", "/a", handle, buffer, 10, 7), [0], "at its end");
  const [, other] = await ask("open", "/short", O_RDONLY);
  t.same(await ask("read", "/short", other, buffer, 7, 0), [-EIO]);
  t.match(logged, exactly(/3 bytes instead of 7 at 0 of a file of 7 bytes/));
  t.same(await ask("read", "/a", 99, buffer, 1, 0), [-EBADF]);

  t.equal(operations.openFiles(), 2);
  operations.failReads();
  t.same(
    await ask("read", "/a", handle, buffer, 10, 0),
    [-EIO],
    "a read fails once the file system is unmounted",
  );
  for (const one of [handle, other]) t.same(await ask("release", "/a", one), [0]);
  t.equal(operations.openFiles(), 0);
});

t.test("extended attributes are read, and too small a buffer gets ERANGE", async (t) => {
  const { operations } = start({ a: file("") });
  const get = (name: string, size: number) => {
    const buffer = Buffer.alloc(size);
    let result = Number.NaN;
    operations.getxattr("/a", name, buffer, (length) => {
      result = length;
    });
    return result;
  };
  t.equal(get("user.test.inode", 0), 1, "a buffer of size 0 gets the value's length");
  t.equal(get("user.test.inode", 1), 1);
  t.equal(get("user.test.none", 100), -ENODATA);
  let listed = 0;
  operations.listxattr("/a", Buffer.alloc(3), (length) => {
    listed = length;
  });
  t.equal(listed, -ERANGE);
});
