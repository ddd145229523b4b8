/** CHANGELOG.md has the form that it says it has, and the Debian package has it in Debian's form. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { debianChangelog, sectionsOf } from "../../packaging/changelog.ts";
import { exactly } from "../support/exactly.ts";

const ROOT = new URL("../../", import.meta.url);
const BY = { version: "2.0.1", maintainer: "Some Body <some@body.example>", seconds: 1_000_000_000 };
/** The types of changes in Keep a Changelog 1.1.0. */
const TYPES = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

const EXAMPLE = `# Changelog

A word before.

## [Unreleased]

## [2.0.0] - 2026-02-03

A word on it.

### Added

- One thing, which is long enough to be broken in two lines here, and in
  two others there, since they are not as long.
- Another.

### Fixed

- A third.

## [1.0.0] - 2025-01-01

### Added

- All.
`;

t.test("CHANGELOG.md has the documented form and contains this version", async (t) => {
  const sections = sectionsOf(await readFile(new URL("CHANGELOG.md", ROOT), "utf8"));
  t.equal(sections[0]?.version, undefined, "the first section is for unreleased changes");
  const { version } = JSON.parse(await readFile(new URL("package.json", ROOT), "utf8"));
  t.match(sections[1], { version, date: /^\d{4}-\d\d-\d\d$/ });
  for (const { text } of sections) {
    for (const [, type] of text.matchAll(/^#+ (.*)$/gm)) t.ok(TYPES.includes(type!), type!);
  }
});

t.test("sections", (t) => {
  t.match(
    sectionsOf(EXAMPLE),
    exactly(
      { version: undefined, date: undefined, text: "" },
      { version: "2.0.0", date: "2026-02-03", text: /^A word on it\.\n\n### Added\n[\s\S]*- A third\.$/ },
      { version: "1.0.0", date: "2025-01-01", text: "### Added\n\n- All." },
    ),
  );
  for (const heading of ["Unreleased", "[1.0]", "[1.0.0] - yesterday", "[1.0.0] 2025-01-01"]) {
    t.throws(() => sectionsOf(`# Changelog\n\n## ${heading}\n`), {
      message: /is neither "## \[Unreleased\]"/,
    });
  }
  t.end();
});

t.test("the changelog in Debian's format", (t) => {
  t.equal(
    debianChangelog(sectionsOf(EXAMPLE), BY),
    `icfs (2.0.1) stable; urgency=medium

  [ Added ]
  * One thing, which is long enough to be broken in two lines here, and in two
    others there, since they are not as long.
  * Another.
  [ Fixed ]
  * A third.

 -- Some Body <some@body.example>  Sun, 09 Sep 2001 01:46:40 +0000

icfs (1.0.0) stable; urgency=medium

  [ Added ]
  * All.

 -- Some Body <some@body.example>  Wed, 01 Jan 2025 00:00:00 +0000
`,
  );
  t.end();
});
