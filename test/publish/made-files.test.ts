/** Files that are made for machines, among those of a directory: their places, and which parts of them are sent. */
import { createHash } from "node:crypto";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { IcfsCanister } from "../../lib/icfs-canister.ts";
import { readMachines } from "../../lib/machines/machines.ts";
import { type ChunkedTree, chunkTree } from "../../lib/publish/chunker.ts";
import { readLocalFiles } from "../../lib/publish/icboot/local-files.ts";
import { lintDirectory } from "../../lib/publish/lintable-tree.ts";
import { readLocalTree } from "../../lib/publish/local-tree.ts";
import type { MadeFile, Making } from "../../lib/publish/made-files.ts";
import { Problems } from "../../lib/publish/problems.ts";
import { EVERYTHING, type Reading, scan } from "../../lib/publish/scan.ts";
import { uploadChunks } from "../../lib/publish/upload.ts";
import { hexOf } from "../../lib/tree/hash.ts";
import type { FileEntry } from "../../lib/tree/manifest.ts";
import { treeProblems } from "../../lib/tree/manifest-decoder.ts";
import { readersBudget } from "../../lib/tree/rules.ts";
import { exactly } from "../support/exactly.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { bytesOf, PLAINLY, reassembled, writeTree } from "./trees.ts";

/** Files by their paths, each as if made for a machine. */
const making = (files: Readonly<Record<string, string>>): Making => ({
  sources: [],
  files: () =>
    Object.entries(files).map(
      ([path, text], i): MadeFile => ({ path, bytes: Buffer.from(text), machine: `m${i}`, template: "T" }),
    ),
});

async function directoryOf(t: Test, files: Readonly<Record<string, Uint8Array | string>>): Promise<string> {
  const directory = join(await temporaryDirectory(t), "tree");
  await mkdir(directory);
  await writeTree(directory, files);
  return directory;
}

async function scanned(directory: string, reading: Partial<Reading>) {
  const problems = new Problems();
  const { entries } = await scan(directory, { ...EVERYTHING, ...reading }, problems);
  const found = [...treeProblems(entries, readersBudget())].map(({ path, problem }) => `${path}: ${problem}`);
  return { entries, problems: [...problems.found, ...found] };
}

async function chunked(directory: string, of: Making): Promise<ChunkedTree> {
  const { entries, problems } = await scanned(directory, { making: of });
  if (problems.length > 0) throw new Error(problems.join());
  return chunkTree(entries, new Problems(), () => {});
}

t.test("generated files are like others, and come with the directories that they need", async (t) => {
  const directory = await directoryOf(t, { "d/file": "x" });
  const of = making({ "d/made": "1", "a/b/c": "22", top: "" });
  const { entries, problems } = await scanned(directory, { making: of });
  t.same(problems, []);
  t.same(
    entries.map(({ kind, path }) => `${kind} ${path}`),
    ["directory a", "directory a/b", "file a/b/c", "directory d", "file d/file", "file d/made", "file top"],
  );
  const tree = await chunked(directory, of);
  const made = tree.manifest.entries.find(({ path }) => path === "a/b/c") as FileEntry;
  t.same([made.size, made.executable, `${await reassembled(tree, made)}`], [2, false, "22"]);
  for (const read of [readLocalTree, readLocalFiles]) {
    const local = await read(directory, { ...EVERYTHING, making: of }, "", PLAINLY.progress);
    const found = local.entries.find(({ path }) => path === "a/b/c");
    t.match(found, { kind: "file", size: 2, sha256: made.sha256 }, read.name);
    t.same(local.problems, []);
  }
});

t.test(
  "equal generated files always have equal times, and different ones have different times",
  async (t) => {
    const directory = await directoryOf(t, {});
    const timesOf = async (files: Readonly<Record<string, string>>) =>
      (await scanned(directory, { making: making(files) })).entries.map(({ modified }) => modified);
    const times = await timesOf({ "d/a": "one" });
    t.same(await timesOf({ "d/a": "one" }), times);
    const [before, after] = [times[1]!, (await timesOf({ "d/a": "two" }))[1]!];
    // HTTP and rsync compare whole seconds.
    t.not(before / 1_000_000_000n, after / 1_000_000_000n);
    t.ok(after < BigInt(Date.UTC(2021, 0)) * 1_000_000n);
  },
);

t.test("generated files go where symlinks in their paths lead", async (t) => {
  const directory = await directoryOf(t, { "d-i/pxelinux.cfg/default": "x", file: "x" });
  await symlink("d-i/pxelinux.cfg", join(directory, "pxelinux.cfg"));
  await symlink("pxelinux.cfg", join(directory, "other"));
  await symlink(".", join(directory, "here"));
  const { entries, problems } = await scanned(directory, {
    making: making({ "pxelinux.cfg/1": "1", "other/new/2": "2", "here/here/3": "3" }),
  });
  t.same(problems, []);
  const files = entries.filter(({ kind }) => kind === "file").map(({ path }) => path);
  t.same(files, ["3", "d-i/pxelinux.cfg/1", "d-i/pxelinux.cfg/default", "d-i/pxelinux.cfg/new/2", "file"]);
});

t.test("conflicts of generated files are named, with machine and template", async (t) => {
  const directory = await directoryOf(t, { "d/default": "x", file: "x" });
  await symlink("d", join(directory, "link"));
  await symlink("file", join(directory, "to-file"));
  const cases: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [{ file: "1" }, "file: it is made of the template T for m0, and is in the directory as well"],
    [{ d: "1" }, "d: it is made of the template T for m0, and is in the directory as well"],
    [
      { "link/default": "1" },
      "d/default: it is made of the template T for m0, and is in the directory as well",
    ],
    [{ "file/x": "1" }, "file/x: it is made of the template T for m0, and file is a file"],
    [
      { "to-file/x": "1" },
      "to-file/x: it is made of the template T for m0, and the symlink to-file leads to file, which is a file",
    ],
    [{ "d/a": "1", "link/a": "2" }, "d/a: it is made of the template T for m1, and of T for m0 as well"],
    [{ a: "1", "a/b": "2" }, "a/b: it is made of the template T for m1, and a is a file"],
    [{ "a/b": "1", a: "2" }, "a: it is made of the template T for m1, and is in the directory as well"],
  ];
  for (const [files, problem] of cases)
    t.same((await scanned(directory, { making: making(files) })).problems, [problem]);
  await symlink("..", join(directory, "out"));
  t.match(
    (await scanned(directory, { making: making({ "out/x": "1" }) })).problems,
    exactly("out/x: it is made of the template T for m0, and at out the symlink leaves the tree", /^out: /),
  );
});

t.test("exclude patterns apply only to the directory's own files", async (t) => {
  const directory = await directoryOf(t, { a: "own" });
  const { entries, problems } = await scanned(directory, { making: making({ a: "made" }), exclude: ["a"] });
  t.same(problems, []);
  t.match(entries, exactly({ path: "a", size: 4 }));
});

t.test("sources of generated files are not published by mistake", async (t) => {
  const directory = await directoryOf(t, { "conf/hosts.csv": "mac,name\n", "conf/t/a": "x" });
  const of = await readMachines({
    file: join(directory, "conf/hosts.csv"),
    templates: join(directory, "conf/t"),
    allowSecrets: false,
  });
  const why = "machines' files are made of it, and it would be published as well";
  const { problems } = await scanned(directory, { making: of });
  t.same([...problems].sort(), [`conf/hosts.csv: ${why}`, `conf/t/a: ${why}`]);
  t.same((await scanned(directory, { making: of, exclude: ["/conf/"] })).problems, []);
});

t.test("the built-in templates go to GRUB's directory, if there is only one", async (t) => {
  const directory = await directoryOf(t, { "efi/boot/grub.cfg": "", "efi/boot/x86_64-efi/grub.cfg": "" });
  const file = join(directory, "../hosts.csv");
  await writeFile(file, "mac,name,kernel\n52:54:00:69:63:66,web-1,linux\n");
  const of = await readMachines({ file, templates: undefined, allowSecrets: false });
  const paths = async () =>
    (await scanned(directory, { making: of })).entries
      .filter(({ kind }) => kind === "file")
      .map(({ path }) => path);
  t.ok((await paths()).includes("efi/boot/grub.cfg-01-52-54-00-69-63-66"));
  await writeTree(directory, { "arm64/grub.cfg": "" });
  await t.rejects(paths(), {
    name: "UserError",
    message: /there is no variable grub_directory, since the tree has a grub\.cfg in arm64, efi\/boot: /,
  });
});

t.test("findings name machine and template, once for all machines that have them", async (t) => {
  const directory = await directoryOf(t, { linux: bytesOf(1, 2000) });
  const file = join(directory, "../hosts.csv");
  await writeFile(
    file,
    "mac,name,kernel\n525400000000,a,Linux\n525400000002,b,Linux\n525400000004,c,other\n",
  );
  const of = await readMachines({ file, templates: undefined, allowSecrets: false });
  const findings = (await lintDirectory(directory, { ...EVERYTHING, making: of })).filter(
    ({ template }) => template === "pxelinux",
  );
  t.match(
    findings,
    exactly(
      {
        kind: "missing-file",
        file: "pxelinux.cfg/01-52-54-00-00-00-00",
        line: 4,
        problem: "names Linux, which is not there (and so for 1 more machine)",
        machine: "a",
        template: "pxelinux",
      },
      { problem: "names other, which is not there", machine: "c" },
    ),
  );
  t.equal(findings.length, 2);
});

t.test(
  "files of 1,000 machines need at most two more puts, and one changed machine at most two",
  async (t) => {
    // Small files before and after them, so that packs are full.
    const files: Record<string, Uint8Array> = {};
    for (let i = 0; i < 100; i++)
      files[`${"abcdefghijklmnopqrstuvwxyz"[i % 26]}/file-${i}`] = bytesOf(i, 30_000);
    const directory = await directoryOf(t, files);
    const file = join(directory, "../hosts.csv");
    const hosts = Array.from({ length: 1000 }, (_, i) => {
      const mac = `525400${i.toString(16).padStart(6, "0")}`;
      return `${mac},web-${i},a/file-0,b/file-1,console=ttyS0 machine=${i} auto=true url=http://boot.example/preseed.cfg ---`;
    });
    const machines = async (lines: readonly string[]) => {
      await writeFile(file, `mac,name,kernel,initrd,args\n${lines.join("\n")}\n`);
      return chunked(directory, await readMachines({ file, templates: undefined, allowSecrets: false }));
    };
    const puts = async (before: ChunkedTree | undefined, { chunks }: ChunkedTree) => {
      const there = new Set(before?.chunks.map(({ sha256 }) => hexOf(sha256)));
      const missing = chunks.filter(({ sha256 }) => !there.has(hexOf(sha256)));
      let count = 0;
      const put: IcfsCanister["put"] = async (parts) => {
        count += 1;
        return parts.map((part) => createHash("sha256").update(part).digest());
      };
      await uploadChunks({ put }, missing, () => {}).done;
      return count;
    };
    const plain = await chunked(directory, making({}));
    const all = await machines(hosts);
    t.equal(all.manifest.entries.filter(({ kind }) => kind === "file").length, 100 + 3000);
    t.ok((await puts(undefined, all)) <= (await puts(undefined, plain)) + 2);
    t.ok((await puts(plain, all)) <= 2);
    /** The packs, and the chunks of large files, that `after` has and `before` has not. */
    const newPacks = (before: ChunkedTree, after: ChunkedTree) => {
      const there = new Set(before.manifest.chunks.map(({ sha256 }) => hexOf(sha256)));
      return after.manifest.chunks.filter(({ sha256 }) => !there.has(hexOf(sha256))).length;
    };
    t.equal(newPacks(all, plain), 0, "the packs of the directory's own files are unchanged");
    t.ok(newPacks(plain, all) < 10, "the machines' files are packed");
    const other = await machines(hosts.with(499, hosts[499]!.replace("ttyS0", "ttyS1")));
    t.ok(newPacks(all, other) <= 2, "a changed machine changes at most two packs");
    const changed = await puts(all, other);
    t.ok(changed >= 1 && changed <= 2, `${changed} puts`);
    const gone = await machines(hosts.toSpliced(7, 1));
    t.equal(gone.manifest.entries.length, all.manifest.entries.length - 3);
    t.ok((await puts(all, gone)) <= 2);
  },
);
