/**
 * Prints CHANGELOG.md, in the form of Keep a Changelog 1.1.0, as a Debian package's changelog (deb-changelog(5)):
 *
 *     node packaging/changelog.ts VERSION "NAME <EMAIL>" SECONDS      VERSION was made by NAME at that time, since 1970
 */
import { readFileSync } from "node:fs";

/** The changes of one version. */
export interface Section {
  /** undefined: not released yet. */
  readonly version: string | undefined;
  /** YYYY-MM-DD; undefined if not released. */
  readonly date: string | undefined;
  /** Its Markdown, without the heading. */
  readonly text: string;
}

const HEADING = /^## \[(Unreleased|\d+\.\d+\.\d+)\](?: - (\d{4}-\d\d-\d\d))?$/;
/** Characters per line. */
const WIDTH = 78;

/** @returns the sections, newest first. @throws Error for a heading in another form */
export function sectionsOf(changelog: string): Section[] {
  const [, ...parts] = changelog.split(/^(?=## )/m);
  return parts.map((part) => {
    const [heading, ...lines] = part.split("\n");
    const [, name, date] = HEADING.exec(heading!) ?? [];
    if (name === undefined)
      throw new Error(
        `CHANGELOG.md: "${heading}" is neither "## [Unreleased]" nor "## [VERSION] - YYYY-MM-DD"`,
      );
    return { version: name === "Unreleased" ? undefined : name, date, text: lines.join("\n").trim() };
  });
}

/** The sections in Debian's format. @param made the maintainer of the first version, and when it was made */
export function debianChangelog(
  sections: readonly Section[],
  made: { readonly version: string; readonly maintainer: string; readonly seconds: number },
): string {
  return sections
    .filter(({ text }) => text !== "")
    .map(({ version, date, text }, i) => {
      const time = new Date(i === 0 || date === undefined ? 1000 * made.seconds : date);
      return [
        `icfs (${i === 0 ? made.version : version}) stable; urgency=medium`,
        "",
        ...entriesOf(text),
        "",
        ` -- ${made.maintainer}  ${time.toUTCString().replace("GMT", "+0000")}`,
        "",
      ].join("\n");
    })
    .join("\n");
}

/** The lists of a section, with their headings. */
function entriesOf(text: string): string[] {
  const entries = text.split(/\n(?=- |### )|\n\n+/).map((entry) => entry.replace(/\s+/g, " "));
  return entries.flatMap((entry) => {
    if (entry.startsWith("### ")) return [`  [ ${entry.slice(4)} ]`];
    return entry.startsWith("- ") ? wrapped(entry.slice(2), "  * ") : [];
  });
}

function wrapped(text: string, first: string): string[] {
  const lines: string[] = [];
  let line = first.trimEnd();
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = " ".repeat(first.length - 1);
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

if (import.meta.main) {
  const [version, maintainer, seconds] = process.argv.slice(2);
  if (version === undefined || maintainer === undefined || !/^\d+$/.test(seconds ?? ""))
    throw new Error('usage: changelog.ts VERSION "NAME <EMAIL>" SECONDS');
  const text = readFileSync(new URL("../CHANGELOG.md", import.meta.url), "utf8");
  process.stdout.write(debianChangelog(sectionsOf(text), { version, maintainer, seconds: Number(seconds) }));
}
