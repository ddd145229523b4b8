/** scripts/release.ts tags only what was tested and can be built again. The repository has a few lines, and a Makefile of its own. */
import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { run } from "../../demo/process.ts";
import { NoReleaseError, release } from "../../scripts/release.ts";
import { temporaryDirectory } from "../support/icfs.ts";

const VERSION = "1.2.3";
const TAG = `v${VERSION}`;
/** The artifact has the content of a file, and of anything that an earlier make left in build/. */
const MAKEFILE = `check:
	@true
fail:
	@false
move:
	@git commit --quiet --allow-empty --message more
dirty:
	@echo more >>source
note:
	@touch a-note
tested:
	@date >build/tested
artifacts:
	@mkdir -p build/release
	@cat source $(wildcard build/left) >build/release/artifact
	@cd build/release && sha256sum artifact >SHA256SUMS
`;
const CHANGELOG = `# Changelog\n\n## [Unreleased]\n\n## [${VERSION}] - 2026-01-01\n\n### Added\n\n- All.\n`;

interface Repository {
  readonly directory: string;
  git(...args: string[]): Promise<string>;
  /** Writes files, and commits them. */
  commit(files: Record<string, string>): Promise<void>;
  /** The tags of the repository. */
  tags(): Promise<string>;
}

async function repository(t: Test, files: Record<string, string> = {}): Promise<Repository> {
  const directory = await temporaryDirectory(t);
  const git = (...args: string[]) => run("git", ["-C", directory, ...args]);
  const commit = async (changed: Record<string, string>) => {
    for (const [name, text] of Object.entries(changed)) await writeFile(join(directory, name), text);
    await git("add", "--all");
    await git("commit", "--quiet", "--message", "a commit");
  };
  await git("init", "--quiet");
  await git("config", "user.name", "Some Body");
  await git("config", "user.email", "some@body.example");
  await mkdir(join(directory, "build"));
  await commit({
    Makefile: MAKEFILE,
    "CHANGELOG.md": CHANGELOG,
    "package.json": JSON.stringify({ version: VERSION }),
    "package-lock.json": JSON.stringify({ version: VERSION, packages: { "": { version: VERSION } } }),
    ".gitignore": "/build/\n",
    source: "a line\n",
    ...files,
  });
  return { directory, git, commit, tags: () => git("tag", "--list") };
}

t.test("a version that can be released is tested, built and tagged", async (t) => {
  const { directory, git } = await repository(t);
  const said: string[] = [];
  t.equal(await release(directory, ["check", "tested"], (line) => said.push(line)), TAG);
  t.same(said, [
    "v1.2.3: make check",
    "v1.2.3: make tested",
    "v1.2.3: make artifacts",
    "v1.2.3: make artifacts, in a clone",
  ]);
  t.equal((await git("cat-file", "-t", TAG)).trim(), "tag", "the tag is annotated");
  t.equal(await git("rev-parse", `${TAG}^{commit}`), await git("rev-parse", "HEAD"));
  const sums = await run("cat", [join(directory, "build/release/SHA256SUMS")]);
  t.match(await git("tag", "--list", "--format=%(contents)", TAG), `icfs ${VERSION}\n\n${sums}`);
});

const CANNOT: [what: string, files: Record<string, string>, why: RegExp][] = [
  [
    "a version without a section",
    { "CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n" },
    /needs entries below/,
  ],
  [
    "a section without a date",
    { "CHANGELOG.md": CHANGELOG.replace(" - 2026-01-01", "") },
    /needs entries below "## \[1\.2\.3\] - YYYY/,
  ],
  [
    "entries that are of no version",
    { "CHANGELOG.md": CHANGELOG.replace("ed]\n", "ed]\n\n- More.\n") },
    /has entries below "## \[Unreleased\]"/,
  ],
  [
    "a version that is not the newest",
    { "CHANGELOG.md": CHANGELOG.replace("ed]\n", "ed]\n\n## [2.0.0] - 2026-02-02\n\n- More.\n") },
    /has a newer version/,
  ],
  [
    "another version in the lock file",
    { "package-lock.json": JSON.stringify({ version: "1.2.2", packages: { "": { version: "1.2.2" } } }) },
    /package-lock\.json has version 1\.2\.2/,
  ],
];
for (const [what, files, why] of CANNOT) {
  t.test(`${what}: nothing is tested`, async (t) => {
    const { directory, tags } = await repository(t, files);
    const said: string[] = [];
    await t.rejects(
      release(directory, ["check"], (line) => said.push(line)),
      { message: why },
    );
    t.same([said, await tags()], [[], ""]);
  });
}

t.test("a checkout that differs from its commit is refused, and so is a tag that exists", async (t) => {
  const { directory, git, tags } = await repository(t);
  await appendFile(join(directory, "source"), "another\n");
  await writeFile(join(directory, "new"), "");
  await git("tag", TAG);
  await t.rejects(
    release(directory, ["check"], () => {}),
    {
      message: /commit or remove this:\n M source\n\?\? new\nv1\.2\.3 already exists/,
    },
  );
  t.equal(await tags(), `${TAG}\n`);
});

const WRONG: [check: string, why: RegExp][] = [
  ["fail", /^make fail failed$/],
  ["move", /^the checkout has moved from [0-9a-f]{40}, which was tested, to [0-9a-f]{40}$/],
  ["note", /^files have changed while they were tested:\n\?\? a-note$/],
  ["dirty", /^built in a clone of [0-9a-f]{40}, these differ from what was tested here: artifact$/],
];
for (const [check, why] of WRONG) {
  t.test(`make ${check} among the checks: nothing is tagged`, async (t) => {
    const { directory, tags } = await repository(t);
    await t.rejects(
      release(directory, [check], () => {}),
      why,
    );
    t.equal(await tags(), "");
  });
}

t.test("an uncommitted file that git ignores gets into no release", async (t) => {
  const { directory, tags } = await repository(t);
  await writeFile(join(directory, "build/left"), "from another time\n");
  const error = await release(directory, [], () => {}).catch((thrown) => thrown);
  t.ok(error instanceof NoReleaseError);
  t.match(error.message, /differ from what was tested here: artifact$/);
  t.equal(await tags(), "");
});
