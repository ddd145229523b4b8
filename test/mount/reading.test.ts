/** What readers of a mount see: names, attributes, content, errors. */

import { createHash } from "node:crypto";
import t from "tap";
import { MODIFIED, pattern } from "./memory-filesystem.ts";
import { eventually, HUNG, mountedAt, mountpointFor, serve, sh } from "./mounts.ts";

t.setTimeout(10 * HUNG);

const mountpoint = await mountpointFor(t);
const served = await serve(t, mountpoint, "ryjl3-tyaaa-aaaaa-aaaba-cai@12, or\\so");
const at = (name: string) => `${mountpoint}/${name}`;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

t.test("the kernel lists the mount as read-only, under its given name", async (t) => {
  const mount = await mountedAt(mountpoint);
  t.equal(mount?.type, "fuse.icfs");
  t.equal(mount?.source, "ryjl3-tyaaa-aaaaa-aaaba-cai@12, or\\so");
  for (const option of ["ro", "nosuid", "nodev", "noexec"]) t.ok(mount?.options.includes(option), option);
});

t.test("another user can read everything", async (t) => {
  const asNobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
  const read = await sh("setpriv", ...asNobody, "cat", at("deep/er/file"));
  t.same(read, { code: 0, stdout: "deep\n", stderr: "" });
  t.equal((await sh("setpriv", ...asNobody, "ls", mountpoint)).code, 0);
});

t.test("attributes", async (t) => {
  const stat = async (name: string, format: string) =>
    (await sh("stat", "-c", format, at(name))).stdout.trim();
  t.equal(await stat("hello.txt", "%F %s %a %u:%g %h"), "regular file 6 444 0:0 1");
  t.equal(await stat("tool", "%F %s %a"), "regular file 10 555");
  t.equal(await stat("empty", "%F %s %b"), "regular empty file 0 0");
  t.equal(await stat("big", "%s %b %B"), "5000003 9766 512");
  t.equal(await stat("deep", "%F %a"), "directory 555");
  t.equal(await stat("link", "%F %s"), "symbolic link 12");
  const modified = (Number(MODIFIED / 1_000_000n) / 1000).toFixed(3);
  for (const field of ["%.3X", "%.3Y", "%.3Z"]) t.equal(await stat("hello.txt", field), modified, field);
});

t.test("stat and readdir give the file system's inode numbers, which do not change", async (t) => {
  const names = ["hello.txt", "empty", "big", "tool", "link"];
  const inodes = async () => (await sh("stat", "-c", "%i", ...names.map(at))).stdout;
  const first = await inodes();
  t.same(first.trim().split("\n"), ["2", "3", "4", "5", "6"]);
  await sh("ls", "-lR", mountpoint);
  t.equal(await inodes(), first);
  t.equal((await sh("stat", "-c", "%i", mountpoint)).stdout.trim(), "1");
  // `ls -i` alone takes the numbers from readdir.
  const listed = (await sh("ls", "-U", "-i", "-a", "-1", mountpoint)).stdout;
  for (const line of ["1 .", "2 hello.txt", "6 link"])
    t.match(listed, new RegExp(`^ *${line.replace(".", "\\.")}$`, "m"));
});

t.test("symlinks", async (t) => {
  t.equal((await sh("readlink", at("link"))).stdout, "deep/er/file\n");
  t.equal((await sh("cat", at("link"))).stdout, "deep\n");
});

t.test("names in UTF-8, and as long as Linux allows", async (t) => {
  t.equal((await sh("cat", at("größe-日本語-🥾"))).stdout, "umlauts\n");
  t.equal((await sh("cat", at("n".repeat(255)))).stdout, "long\n");
  const listed = (await sh("ls", mountpoint)).stdout.split("\n");
  t.ok(listed.includes("größe-日本語-🥾"));
  t.ok(listed.includes("n".repeat(255)));
});

t.test("missing files, and paths through or to the wrong type", async (t) => {
  for (const name of ["missing", "deep/missing", "missing/deep"]) {
    t.match((await sh("cat", at(name))).stderr, /No such file or directory/, name);
  }
  t.match((await sh("cat", at("hello.txt/below"))).stderr, /Not a directory/);
  t.match((await sh("cat", at("deep"))).stderr, /Is a directory/);
});

t.test("a directory of 10,000 entries", async (t) => {
  const listed = (await sh("ls", "-a", at("many"))).stdout.trim().split("\n");
  t.equal(listed.length, 10_002);
  t.equal(new Set(listed).size, 10_002);
  t.equal((await sh("cat", at("many/entry-9999"))).stdout, "9999");
});

t.test("a reader can seek and rewind in a directory listing", async (t) => {
  const script = `
import ctypes, sys
libc = ctypes.CDLL(None)
class Entry(ctypes.Structure):
    _fields_ = [("inode", ctypes.c_uint64), ("offset", ctypes.c_int64), ("length", ctypes.c_uint16),
                ("type", ctypes.c_uint8), ("name", ctypes.c_char * 256)]
libc.opendir.restype = libc.telldir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Entry)
directory = ctypes.c_void_p(libc.opendir(sys.argv[1].encode()))
def rest():
    names = []
    while entry := libc.readdir(directory):
        names.append(entry.contents.name)
    return names
first = [libc.readdir(directory).contents.name for _ in range(5000)]
place = libc.telldir(directory)
end = rest()
libc.seekdir(directory, ctypes.c_long(place))
again = rest()
libc.rewinddir(directory)
everything = rest()
print(len(first), len(end), end == again, everything == first + end)
`;
  const { stdout, stderr } = await sh("python3", "-c", script, at("many"));
  t.same([stdout, stderr], ["5000 5002 True True\n", ""]);
});

t.test(". and .. have the right inode numbers", async (t) => {
  const inodeOf = async (name: string) => (await sh("stat", "-c", "%i", at(name))).stdout.trim();
  const listed = (await sh("ls", "-U", "-i", "-a", "-1", at("deep/er"))).stdout;
  t.match(listed, new RegExp(`^ *${await inodeOf("deep/er")} \\.$`, "m"));
  t.match(listed, new RegExp(`^ *${await inodeOf("deep")} \\.\\.$`, "m"));
});

t.test("extended attributes", async (t) => {
  const script = `
import ctypes, errno, os, sys
path = sys.argv[1]
print(os.listxattr(path))
print(os.getxattr(path, "user.test.inode"), os.getxattr(path, "user.test.empty"))
for name in "user.test.other", "security.selinux":
    try:
        os.getxattr(path, name)
    except OSError as error:
        print(errno.errorcode[error.errno])
libc = ctypes.CDLL(None, use_errno=True)
one = ctypes.create_string_buffer(1)
path = path.encode()
print(libc.getxattr(path, b"user.test.inode", None, 0), libc.getxattr(path, b"user.test.inode", one, 1), one.raw)
print(libc.listxattr(path, one, 1), errno.errorcode[ctypes.get_errno()])
`;
  const { stdout, stderr } = await sh("python3", "-c", script, at("hello.txt"));
  t.equal(stderr, "");
  t.equal(
    stdout,
    "['user.test.inode', 'user.test.empty']\nb'2' b''\nENODATA\nENODATA\n1 1 b'2'\n-1 ERANGE\n",
  );
});

t.test("a whole file, from the mount and then from the page cache", async (t) => {
  const expected = sha256(pattern(5_000_003));
  t.equal((await sh("sha256sum", at("big"))).stdout.split(" ")[0], expected);
  t.equal(
    (await sh("sha256sum", at("big"))).stdout.split(" ")[0],
    expected,
    "a second read, from the page cache, gives the same content",
  );
});

t.test("many readers at once", async (t) => {
  const expected = sha256(pattern(5_000_003));
  const results = await Promise.all(Array.from({ length: 16 }, () => sh("sha256sum", at("shared"))));
  for (const { stdout } of results) t.equal(stdout.split(" ")[0], expected);
});

t.test("an unreadable file gives an input/output error, and other files are unaffected", async (t) => {
  for (const name of ["unreachable", "buggy", "short"]) {
    const { code, stdout, stderr } = await sh("cat", at(`special/${name}`));
    t.not(code, 0, name);
    t.equal(stdout, "", name);
    t.match(stderr, /Input\/output error/, name);
    t.equal((await sh("cat", at("hello.txt"))).stdout, "hello\n", name);
  }
  t.match(served.stderr(), /TypeError: a bug in the file system/);
  t.equal(served.stderr().match(/TypeError/g)?.length, 1, "a bug is logged once");
  t.notMatch(served.stderr(), /no network/, "an expected error is not logged as a bug");
});

t.test("a file can be read after an earlier read has failed", async (t) => {
  t.match((await sh("cat", at("special/recovering"))).stderr, /Input\/output error/);
  served.process.kill("SIGUSR1");
  const expected = sha256(pattern(300_000));
  await eventually("the file can be read", async () => {
    const { code, stdout } = await sh("sha256sum", at("special/recovering"));
    return code === 0 && stdout.startsWith(expected);
  });
});

t.test("waiting readers do not hold up other readers", async (t) => {
  let waiting = 20;
  const slow = Array.from({ length: 20 }, (_, i) =>
    sh("sha256sum", at(`waiting/${i}`)).then((result) => {
      waiting--;
      return result;
    }),
  );
  t.equal((await sh("stat", "-c", "%s", at("waiting/0"), at("big"))).stdout, "300000\n5000003\n");
  // Also the same file: a TFTP server opens a file that it is just sending to another client.
  t.equal((await sh("python3", "-c", "import os,sys; os.open(sys.argv[1], 0)", at("waiting/0"))).code, 0);
  t.equal((await sh("sha256sum", at("big"))).stdout.split(" ")[0], sha256(pattern(5_000_003)));
  t.equal(waiting, 20, "every slow reader is still waiting");
  served.process.kill("SIGUSR2");
  const expected = sha256(pattern(300_000));
  for (const { stdout } of await Promise.all(slow)) t.equal(stdout.split(" ")[0], expected);
});

t.test("the mount still serves after all these tests", async (t) => {
  t.equal((await sh("cat", at("hello.txt"))).stdout, "hello\n");
  served.process.kill("SIGTERM");
  t.equal(await served.ended, 0);
  t.equal(await mountedAt(mountpoint), undefined);
});
