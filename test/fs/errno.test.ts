import t from "tap";
import { createErrorTranslator, errnoNumber } from "../../lib/fs/errno.ts";
import { type Errno, FsError } from "../../lib/fs/filesystem.ts";
import { createLog, limitRepeats } from "../../lib/log.ts";

t.test("the numbers are Linux's", async (t) => {
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
  const log = limitRepeats(createLog("debug", (line) => lines.push(line)));
  return { translate: createErrorTranslator(log), lines, end: log.end };
}

t.test("the file system's own errors are answered as they are, without a word", async (t) => {
  const { translate, lines } = translator();
  t.equal(translate("lookup", new FsError("ENOENT", "x")), "ENOENT");
  t.equal(translate("read", new FsError("EIO", "x")), "EIO");
  t.same(lines, []);
});

t.test("everything else is EIO", async (t) => {
  const { translate, lines } = translator();
  for (const thrown of [new TypeError("bug"), "text", undefined, null, { errno: "ENOENT" }]) {
    t.equal(translate("read", thrown), "EIO");
  }
  t.equal(translate("read", new FsError("EAGAIN" as Errno, "x")), "EIO");
  t.equal(translate("read", new FsError("toString" as Errno, "x")), "EIO");
  t.match(lines[0], /error unexpected error, answered with EIO: read: TypeError: bug\\n/);
});

t.test("one bug is one kind of event, whatever its message says; another one is another", async (t) => {
  const { translate, lines, end } = translator();
  const names = ["default", "linux", "initrd.gz", "menu.c32", "ldlinux.c32"];
  for (const name of names) translate("read", new TypeError(`bug with ${name}`));
  t.equal(lines.length, 3);
  translate("read", new TypeError("elsewhere"));
  translate("open", new TypeError("elsewhere"));
  t.equal(lines.length, 5);
  end();
  t.match(lines[5], /error 2 more like this in the last \d+ s: .*TypeError: bug with ldlinux\.c32/);
});
