/** Symlinks that are replaced by their targets, as with rsync's options of these names. */
import { execFileSync } from "node:child_process";
import { chmod, mkdir, readFile, realpath, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { chunkTree } from "../../lib/publish/chunker.ts";
import { plainFiles } from "../../lib/publish/icboot/plain-files.ts";
import { Problems } from "../../lib/publish/problems.ts";
import { arrow, EVERYTHING, type Reading, type Scan, scan } from "../../lib/publish/scan.ts";
import { treeProblems } from "../../lib/tree/manifest-decoder.ts";
import { readersBudget } from "../../lib/tree/rules.ts";
import { exactly } from "../support/exactly.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { reassembled, writeTree } from "./trees.ts";

/** Makes a directory `tree`, and files beside it; a file's content is its path. @param links by path; {} is the directory of all */
async function above(
  t: Test,
  files: readonly string[],
  links: Readonly<Record<string, string>>,
): Promise<string> {
  const directory = await realpath(await temporaryDirectory(t));
  await mkdir(join(directory, "tree"));
  await writeTree(directory, Object.fromEntries(files.map((name) => [name, name])));
  for (const [path, target] of Object.entries(links)) {
    await symlink(target.replace("{}", directory), join(directory, path));
  }
  return directory;
}

interface Found extends Scan {
  readonly problems: readonly string[];
}

async function scanned(
  directory: string,
  links: Reading["links"],
  exclude: readonly string[] = [],
): Promise<Found> {
  const problems = new Problems();
  const found = await scan(join(directory, "tree"), { ...EVERYTHING, links, exclude }, problems);
  await problems.addAll(treeProblems(found.entries, readersBudget()), join(directory, "tree"));
  return { ...found, problems: problems.found.map((problem) => problem.replaceAll(directory, "{}")) };
}

/** A line for each entry: files with their contents, links with their targets. */
async function lines({ entries }: Scan, directory: string): Promise<string[]> {
  const problems = new Problems();
  const tree = await chunkTree(entries, problems, () => {});
  problems.throwIfAny(directory);
  return Promise.all(
    tree.manifest.entries.map(async (entry) => {
      if (entry.kind === "directory") return `${entry.path}/`;
      if (entry.kind === "symlink") return `${entry.path} -> ${entry.target.replace(directory, "{}")}`;
      return `${entry.path} = ${await reassembled(tree, entry)}`;
    }),
  );
}

/** Like Debian's /usr/lib/ipxe, with links to /boot; and other cases that people have. */
const FILES = [
  "tree/ipxe/undionly.kpxe",
  "tree/sub/file",
  "boot/ipxe.efi",
  "boot/grub/x86/core",
  "boot/grub/themes/t",
  "boot/grub/font",
  "boot/menu",
  "tree/menu",
];
const LINKS = {
  "tree/ipxe.efi": "{}/boot/ipxe.efi",
  "tree/default": "ipxe.efi",
  "tree/grub": "../boot/grub",
  "tree/sub/inside": "../ipxe/undionly.kpxe",
  "tree/sub/absolute-inside": "{}/tree/sub/file",
  "tree/sub/through": "../grub/x86/core",
  "tree/sub/back": "../../tree/sub/file",
  "tree/here": ".",
  "boot/grub/font-link": "font",
  "boot/grub/up": "../ipxe.efi",
  "boot/grub/themes/near": "../font",
  // The published tree has another file at this place.
  "boot/grub/menu": "../menu",
  "boot/grub/x86/sub": "../../../tree/sub",
};

t.test("--copy-unsafe-links replaces absolute links and links that leave the directory", async (t) => {
  const directory = await above(t, FILES, LINKS);
  const found = await scanned(directory, "copy-unsafe");
  t.same(found.problems, []);
  const expected = [
    "default -> ipxe.efi",
    "grub/",
    "grub/font = boot/grub/font",
    "grub/font-link -> font",
    "grub/menu = boot/menu",
    "grub/themes/",
    "grub/themes/near -> ../font",
    "grub/themes/t = boot/grub/themes/t",
    // This leads to the published file above it, which has the same content as the one in /boot.
    "grub/up -> ../ipxe.efi",
    "grub/x86/",
    "grub/x86/core = boot/grub/x86/core",
    "grub/x86/sub/",
    // In its old place the link leads to the directory's own file. From here it would lead elsewhere.
    "grub/x86/sub/absolute-inside = tree/sub/file",
    "grub/x86/sub/back = tree/sub/file",
    "grub/x86/sub/file = tree/sub/file",
    "grub/x86/sub/inside = tree/ipxe/undionly.kpxe",
    "grub/x86/sub/through = boot/grub/x86/core",
    "here -> .",
    "ipxe/",
    "ipxe/undionly.kpxe = tree/ipxe/undionly.kpxe",
    "ipxe.efi = boot/ipxe.efi",
    "menu = tree/menu",
    "sub/",
    "sub/absolute-inside = tree/sub/file",
    "sub/back = tree/sub/file",
    "sub/file = tree/sub/file",
    "sub/inside -> ../ipxe/undionly.kpxe",
    "sub/through -> ../grub/x86/core",
  ];
  t.same((await lines(found, directory)).sort(), expected.sort());
  for (const link of found.copied) t.same(Object.keys(link), ["path", "target"]);
  t.same(
    found.copied
      .map((link) => arrow(link).replace(directory, "{}"))
      .filter((link) => !link.startsWith("grub/")),
    [
      "grub -> ../boot/grub",
      "ipxe.efi -> {}/boot/ipxe.efi",
      "sub/absolute-inside -> {}/tree/sub/file",
      "sub/back -> ../../tree/sub/file",
    ],
  );
});

t.test("--copy-links replaces all links, and finds the same files as find -L", async (t) => {
  const { "tree/here": _, ...links } = LINKS;
  const directory = await above(t, FILES, links);
  const found = await scanned(directory, "copy");
  t.same(found.problems, []);
  // find -L gives the right answer.
  const tree = join(directory, "tree");
  const names = execFileSync("find", ["-L", tree, "-mindepth", "1", "-printf", "%y %P\\n"], {
    encoding: "utf8",
  });
  t.same(found.entries.map(({ kind, path }) => `${kind[0]} ${path}`).sort(), names.trim().split("\n").sort());
  for (const line of await lines(found, directory)) {
    const [path, content] = line.split(" = ");
    if (content !== undefined) t.equal(await readFile(join(tree, path!), "utf8"), content, line);
  }
});

t.test(
  "dangling and looping links, and links to a parent directory, are problems unless excluded",
  async (t) => {
    const links = {
      "tree/d/dangling": "nothing",
      "tree/d/outside": "../../nowhere/out",
      "tree/d/absent": "/nowhere/at/all",
      "tree/round": "round",
      "tree/d/up": "..",
      "tree/out": "../outer",
      "outer/back": "{}/tree",
      "tree/null": "/dev/null",
      "tree/good": "d/file",
    };
    const directory = await above(t, ["tree/d/file", "outer/file"], links);
    const endless = "the symlink leads to a directory that it is in, so that there would be no end";
    const all = await scanned(directory, "copy");
    t.match(
      all.problems.toSorted(),
      exactly(
        /^d\/absent -> \/nowhere\/at\/all: what the symlink points to cannot be read: ENOENT/,
        /^d\/dangling -> nothing: what the symlink points to cannot be read: ENOENT/,
        /^d\/outside -> ..\/..\/nowhere\/out: what the symlink points to cannot be read: ENOENT/,
        `d/up -> ..: ${endless}`,
        "null: it is a character device, and only files, directories and symlinks can be published",
        `out/back -> {}/tree: ${endless}`,
        /^round -> round: what the symlink points to cannot be read: ELOOP/,
      ),
    );
    const some = await scanned(directory, "copy-unsafe");
    t.match(
      some.problems.toSorted(),
      exactly(
        /^d\/absent -> \/nowhere\/at\/all: what the symlink points to cannot be read: ENOENT/,
        "d/dangling -> nothing: the symlink leads to d/nothing, which is not in the tree",
        /^d\/outside -> ..\/..\/nowhere\/out: what the symlink points to cannot be read: ENOENT/,
        "null: it is a character device, and only files, directories and symlinks can be published",
        `out/back -> {}/tree: ${endless}`,
        "round -> round: the symlink takes more than 40 hops",
      ),
    );
    const exclude = ["dangling", "/d/absent", "round", "back", "null", "d/up", "outside"];
    for (const links of ["copy", "copy-unsafe"] as const) {
      t.same((await scanned(directory, links, exclude)).problems, [], "excluded links are no problem");
    }
  },
);

t.test("the --copy options are suggested only where they help", async (t) => {
  const directory = await above(t, ["tree/d/file", "tree/out/file", "beside"], {
    "tree/d/nothing": "nothing",
    "tree/d/absent": "/nowhere/at/all",
    "tree/d/above": "../../nothing",
    "tree/round": "round",
    "tree/everything": "../..",
    "tree/itself": "{}/tree",
    "tree/null": "/dev/null",
    "tree/left-out": "out/file",
    "tree/beside": "../beside",
  });
  const bad = ["/d/nothing", "/d/absent", "/d/above", "/round", "/everything", "/itself", "/null"];
  const advice = async (...exclude: string[]) => {
    const problems = new Problems();
    const tree = join(directory, "tree");
    const { entries } = await scan(tree, { ...EVERYTHING, exclude }, problems);
    await problems.addAll(treeProblems(entries, readersBudget()), tree);
    const said = await (async () => problems.throwIfAny(tree))().then(
      () => "",
      (error: Error) => error.message,
    );
    return {
      found: problems.found.length,
      copies: said.includes("--copy-"),
      excludes: said.includes("--exclude"),
    };
  };
  t.same(await advice("/beside"), { found: bad.length, copies: false, excludes: true });
  t.same(
    await advice(...bad),
    { found: 1, copies: true, excludes: true },
    "copying is suggested for a link to a file beside the directory",
  );
  t.same(
    await advice(...bad, "/beside", "/out"),
    { found: 1, copies: true, excludes: true },
    "copying is suggested for a link to an excluded file",
  );
  for (const one of bad) {
    const others = bad.filter((other) => other !== one);
    t.same(await advice("/beside", ...others), { found: 1, copies: false, excludes: true }, one);
  }
});

t.test("a directory that many links lead to is read only once", async (t) => {
  const directory = await realpath(await temporaryDirectory(t));
  const deep = 30;
  await mkdir(join(directory, "tree"));
  await writeTree(directory, { [`out/${deep}/file`]: "content" });
  for (let i = 0; i < deep; i++) {
    await mkdir(join(directory, `out/${i}`));
    for (const name of ["a", "b"]) await symlink(`../${i + 1}`, join(directory, `out/${i}`, name));
  }
  const top = join(directory, "tree/top");
  await symlink(`../out/${deep - 8}`, top);
  for (const links of ["copy", "copy-unsafe"] as const) {
    const found = await scanned(directory, links);
    t.match(found, { problems: exactly(), leftOut: 0 });
    const files = found.entries.filter(({ kind }) => kind === "file");
    t.equal(files.length, 2 ** 8);
    const problems = new Problems();
    let bytes = 0;
    const tree = await chunkTree(found.entries, problems, (more) => {
      bytes += more;
    });
    t.equal(bytes, 2 ** 8 * "content".length, "of progress");
    t.equal(tree.chunks.length, 1 + tree.manifestPieces.length);
    const last = tree.manifest.entries.findLast((entry) => entry.kind === "file")!;
    t.equal((await reassembled(tree, last)).toString(), "content");
    t.same(await found.seen.changes(), []);
  }
  // This would take minutes if each were looked at again.
  await rm(top);
  await symlink("../out/0", top);
  await t.rejects(scanned(directory, "copy-unsafe"), {
    name: "UserError",
    message: `${join(directory, "tree")} has more than 100000 entries, the limit of a release`,
  });
});

t.test("an excluded file is not published through a link to it", async (t) => {
  const directory = await above(t, ["tree/secret/key", "tree/d/file"], {
    "tree/d/link": "../secret/key",
    "tree/d/top": "../secret",
  });
  const { problems, entries } = await scanned(directory, "copy-unsafe", ["secret"]);
  t.same(problems, [
    "d/link -> ../secret/key: the symlink leads to secret, which is not in the tree",
    "d/top -> ../secret: the symlink leads to secret, which is not in the tree",
  ]);
  t.same(
    entries.map(({ path }) => path),
    ["d", "d/file", "d/link", "d/top"],
  );
});

t.test("changes of a copied link or of its target are noticed", async (t) => {
  const changes: Readonly<Record<string, [work: (directory: string) => Promise<void>, said: string]>> = {
    "the link": [
      async (directory) => {
        await symlink(join(directory, "other"), join(directory, "new"));
        await rename(join(directory, "new"), join(directory, "tree/link"));
      },
      "link: it was replaced",
    ],
    "another that it leads through": [
      async (directory) => {
        await rm(join(directory, "current"));
        await symlink("other", join(directory, "current"));
      },
      "link: it leads to something else",
    ],
    "the file that it leads to": [
      (directory) => writeFile(join(directory, "kernel"), "KERNEL"),
      "link: it was written to, or its owner, mode or links changed",
    ],
  };
  for (const [name, [work, said]] of Object.entries(changes)) {
    for (const links of ["copy", "copy-unsafe"] as const) {
      for (const link of ["{}/current", "../current"]) {
        const directory = await above(t, ["kernel", "other"], { current: "kernel", "tree/link": link });
        const found = await scanned(directory, links);
        t.same(await lines(found, directory), ["link = kernel"]);
        await work(directory);
        t.ok((await found.seen.changes()).includes(said), `${name}: ${said} (${links}, ${link})`);
      }
    }
  }
});

t.test("a change of an excluded link is ignored", async (t) => {
  const directory = await above(t, ["kernel", "tree/file"], { current: "kernel", "tree/link": "{}/current" });
  const { seen } = await scanned(directory, "copy", ["link"]);
  await rm(join(directory, "current"));
  t.same(await seen.changes(), []);
});

t.test("for an icboot canister, links become files, and loops are listed", async (t) => {
  const directory = await above(t, FILES, LINKS);
  const tree = join(directory, "tree");
  for (const links of ["copy", "copy-unsafe"] as const) {
    const problems = new Problems();
    const { files, loops } = await plainFiles(tree, { ...EVERYTHING, links, exclude: ["sub"] }, problems);
    t.same(problems.found, []);
    t.same(loops, ["here"]);
    t.same(files.map(({ path }) => path).toSorted(), [
      "default",
      "grub/font",
      "grub/font-link",
      "grub/menu",
      "grub/themes/near",
      "grub/themes/t",
      "grub/up",
      "grub/x86/core",
      "ipxe.efi",
      "ipxe/undionly.kpxe",
      "menu",
    ]);
  }
});

t.test("files that other users of this host cannot read are listed", async (t) => {
  const directory = await above(
    t,
    [
      "tree/open",
      "tree/mine",
      "tree/mine.group",
      "tree/d/a",
      "tree/d/e/b",
      "tree/list/c",
      "locked/key",
      "key",
    ],
    { "tree/to-locked": "{}/locked/key", "tree/all-locked": "../locked", "tree/to-key": "../key" },
  );
  const modes = {
    "tree/mine": 0o600,
    "tree/mine.group": 0o640,
    "tree/d": 0o700,
    "tree/list": 0o711,
    locked: 0o750,
  };
  for (const [path, mode] of Object.entries(modes)) await chmod(join(directory, path), mode);
  await chmod(directory, 0o700);
  await chmod(join(directory, "tree"), 0o700);
  const { privateFiles } = await scanned(directory, "copy-unsafe");
  t.same(privateFiles, [
    { path: "all-locked/key", behind: "all-locked" },
    { path: "d/a", behind: "d" },
    { path: "d/e/b", behind: "d" },
    { path: "mine", behind: undefined },
    { path: "mine.group", behind: undefined },
    { path: "to-locked", behind: "to-locked" },
  ]);
});
