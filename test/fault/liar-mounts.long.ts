/** Mounts of a canister that lies: a broken release is not mounted, and data that cannot be verified is not served. */
import { join } from "node:path";
import t from "tap";
import type { Entry, Manifest } from "../../lib/tree/manifest.ts";
import { eventually, mountpointFor, sh } from "../mount/mounts.ts";
import { sha256 } from "../support/icfs-canister.ts";
import { readerOf, startLiar } from "../support/liar.ts";
import { file, manifestOf } from "../support/manifests.ts";

const BYTES = Buffer.from("hello");
const HASH = sha256(BYTES);
const whole = { chunk: 0, offset: 0, length: BYTES.length };

t.test("manifests that break a rule are refused by ls, mount, cat and verify", async (t) => {
  const liar = await startLiar(t);
  const mountpoint = await mountpointFor(t);
  const symlink = (path: string, target: string): Entry => ({
    kind: "symlink",
    path,
    modified: 0n,
    target,
  });
  const directories = ["p", "p/q", "p/q/r"].map((path): Entry => ({ kind: "directory", path, modified: 0n }));
  // Normalized as text, this path stays inside. Walked component by component, it leads to the host's /etc/shadow.
  const escaping = [
    file("a", [whole], 5),
    ...directories,
    symlink("p/q/l", "r/up/../etc/shadow"),
    symlink("p/q/r/up", "../../.."),
  ].sort((x, y) => (x.path < y.path ? -1 : 1));
  const cases: [Manifest, string][] = [
    [manifestOf(escaping, HASH), "p/q/l: the symlink leaves the tree"],
    [manifestOf([file("../a", [whole], 5)], HASH), "../a: the path has a component . or .."],
    [manifestOf([file("/etc/shadow", [whole], 5)], HASH), "/etc/shadow: the path is absolute"],
    [manifestOf([file("a\x1b[2Jb", [whole], 5)], HASH), "the path has a control character"],
  ];
  for (const [manifest, message] of cases) {
    await liar.release(manifest);
    // Each release is read by a new host, which has accepted nothing yet.
    const { icfs, id } = await readerOf(t, liar);
    for (const command of [
      ["ls", "-R", id],
      ["mount", id, mountpoint],
      ["cat", id, "a"],
      ["verify", id],
    ]) {
      const { code, stdout, stderr } = await icfs(...command);
      t.match({ code, stdout }, { code: 1, stdout: "" }, command.join(" "));
      t.ok(stderr.includes(message), `${command[0]}: ${stderr}`);
      t.notMatch(stderr, "\x1b", "no escape character reaches the terminal");
    }
  }
  t.equal((await sh("grep", mountpoint, "/proc/mounts")).stdout, "", "nothing is mounted");
});

t.test(
  "files whose chunks are missing, wrong or of another size fail with EIO and return no byte",
  async (t) => {
    const liar = await startLiar(t);
    const { icfs, id } = await readerOf(t, liar);
    const chunks = ["good", "missing", "other", "short", "long"].map((name) =>
      Buffer.from(`bytes of ${name}`),
    );
    const [good, , other, short, long] = chunks as [Buffer, Buffer, Buffer, Buffer, Buffer];
    const sizes = [0, 0, 0, 1, -1];
    const names = ["a-good", "b-missing", "c-other", "d-short", "e-long"];
    const manifest: Manifest = {
      // The manifest lists `short` with one byte too many, and `long` with one too few.
      chunks: chunks.map((bytes, i) => ({ sha256: sha256(bytes), size: bytes.length + sizes[i]! })),
      entries: [
        ...names.map((name, i) => {
          const length = chunks[i]!.length + sizes[i]!;
          return file(name, [{ chunk: i, offset: 0, length }], length);
        }),
        // Two files may use the same bytes of a chunk, in any order.
        file(
          "f-overlap",
          [
            { chunk: 0, offset: 9, length: 4 },
            { chunk: 0, offset: 0, length: 13 },
          ],
          17,
        ),
      ],
    };
    await liar.release(manifest);
    await liar.serve(sha256(good), good);
    await liar.serve(sha256(other), good);
    await liar.serve(sha256(short), short);
    await liar.serve(sha256(long), long);
    const mountpoint = await mountpointFor(t);
    const mounted = await icfs("mount", id, mountpoint, "--read-timeout", "1", "--retry", "30s");
    t.equal(mounted.code, 0, mounted.stderr);
    await eventually(
      "what it has is read",
      async () => (await sh("cat", join(mountpoint, "a-good"))).code === 0,
    );
    t.match(await sh("cat", join(mountpoint, "a-good")), { code: 0, stdout: "bytes of good" });
    t.match(await sh("cat", join(mountpoint, "f-overlap")), { code: 0, stdout: "goodbytes of good" });
    for (const name of names.slice(1)) {
      const read = await sh("cat", join(mountpoint, name));
      t.match(read, { code: 1, stdout: "", stderr: /Input\/output error/ }, name);
    }
    t.equal((await icfs("umount", mountpoint)).code, 0);
  },
);

t.test("a tree of 2000 levels is mounted and read, and a deeper one is refused", async (t) => {
  const liar = await startLiar(t);
  const { icfs, id } = await readerOf(t, liar);
  const directories = Array.from({ length: 2000 }, (_, i): Entry => {
    return {
      kind: "directory",
      path: Array(i + 1)
        .fill("d")
        .join("/"),
      modified: 0n,
    };
  });
  const bottom = `${directories.at(-1)!.path}/a`;
  await liar.release(manifestOf([...directories, { ...file(bottom, [whole], 5), sha256: HASH }], HASH));
  await liar.serve(HASH, BYTES);
  t.match(await icfs("cat", id, bottom), { code: 0, stdout: "hello" });
  const mountpoint = await mountpointFor(t);
  t.equal((await icfs("mount", id, mountpoint)).code, 0);
  // A path from the root would be too long for the kernel, so find walks there step by step.
  const found = await sh("find", mountpoint, "-name", "a", "-execdir", "cat", "{}", ";");
  t.match(found, { code: 0, stdout: "hello" });
  t.equal((await icfs("umount", mountpoint)).code, 0);

  const deeper = [
    ...directories,
    ...Array.from({ length: 50 }, (_, i): Entry => {
      return {
        kind: "directory",
        path: Array(i + 2001)
          .fill("d")
          .join("/"),
        modified: 0n,
      };
    }),
  ];
  await liar.release(manifestOf([...deeper, file("e", [whole], 5)], HASH));
  await t.rejects(liar.source.manifest((await liar.source.head())!.header), /longer than 4096 bytes/);
});
