import t from "tap";
import { createErrorTranslator, errnoNumber } from "../../lib/fs/errno.ts";
import { type Errno, FsError } from "../../lib/fs/view/filesystem.ts";
import { createLog } from "../../lib/log.ts";

t.test("the numbers match Linux's", async (t) => {
  const linux = {
    ENOENT: 2,
    EIO: 5,
    EBADF: 9,
    ENOTDIR: 20,
    EISDIR: 21,
    EINVAL: 22,
    EROFS: 30,
    ENODATA: 61,
    ENOTSUP: 95,
  };
  for (const [name, number] of Object.entries(linux)) t.equal(errnoNumber(name as Errno), number, name);
});

function translator() {
  const lines: string[] = [];
  const translate = createErrorTranslator(createLog("debug", (line) => lines.push(line)));
  return { translate, lines };
}

t.test("the file system's own errors are returned unchanged and not logged", async (t) => {
  const { translate, lines } = translator();
  t.equal(translate("lookup", new FsError("ENOENT", "x")), "ENOENT");
  t.equal(translate("read", new FsError("EIO", "x")), "EIO");
  t.same(lines, []);
});

t.test("any other error becomes EIO", async (t) => {
  const { translate, lines } = translator();
  for (const thrown of [new TypeError("bug"), "text", undefined, null, { errno: "ENOENT" }]) {
    t.equal(translate("read", thrown), "EIO");
  }
  t.equal(translate("read", new FsError("EAGAIN" as Errno, "x")), "EIO");
  t.equal(translate("read", new FsError("toString" as Errno, "x")), "EIO");
  t.match(lines[0], /error unexpected error, answered with EIO: read: TypeError: bug\\n/);
});

t.test("the same bug is logged once, whatever its message, and another bug is logged too", async (t) => {
  const { translate, lines } = translator();
  for (let offset = 0; offset < 10; offset++) translate("read", new TypeError(`bug at ${offset}`));
  t.equal(lines.length, 1);
  translate("read", new TypeError("elsewhere"));
  t.equal(lines.length, 2);
});

t.test("a flood of different errors does not flood the log", async (t) => {
  const { translate, lines } = translator();
  for (let i = 0; i < 1000; i++) translate("read", `text ${i}`);
  t.equal(lines.length, 100);
});
