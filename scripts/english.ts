/** Finds the phrases of english.yml in files: `node scripts/english.ts [FILE ...]`, by default in all files that git knows. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fromYAMLFilePath } from "prh";

/** Files that people write and read. bench/RESULTS.md is generated; english.yml and its test contain the phrases themselves. */
const WRITTEN =
  /\.(?:md|ts|mo|sh|ya?ml|service|conf|toml|ipxe|logrotate|taprc|[18])$|(?:^|\/)(?:Makefile|control|dnsmasq-ledger|icfs)$/;
const LEFT_OUT = /(?:^|\/)(?:RESULTS\.md|english\.yml|english\.test\.ts)$/;
/** A line break, with the marker that continues a comment, or the quotes that end one string and begin the next. */
const BREAK = /[ \t]*["'`]?(?: \+)?\n[ \t]*(?:\/\/+|\/?\*+|#+|["'`])? ?/g;

const rules = fromYAMLFilePath(new URL("english.yml", import.meta.url).pathname);

/** The text with each line break as a blank, and a function that maps an offset in it to the line number. */
function joined(text: string): { text: string; line: (offset: number) => number } {
  const starts = [0];
  let shorter = 0;
  const joined = text.replace(BREAK, (found, offset: number) => {
    starts.push(offset - shorter + 1);
    shorter += found.length - 1;
    return " ";
  });
  // prh splits a text of one paragraph in quadratic time, unless it ends in a blank line.
  return { text: `${joined}\n\n`, line: (offset) => starts.findLastIndex((start) => start <= offset) + 1 };
}

const [, , ...named] = process.argv;
const files =
  named.length > 0 ? named : execFileSync("git", ["ls-files"], { encoding: "utf8" }).trim().split("\n");
let found = 0;
for (const file of files) {
  if (!WRITTEN.test(file) || LEFT_OUT.test(file)) continue;
  const { text, line } = joined(readFileSync(file, "utf8"));
  for (const diff of rules.makeChangeSet(file, text).diffs) {
    found++;
    console.error(
      `${file}:${line(diff.index)}: not "${text.slice(diff.index, diff.tailIndex)}", but "${diff.newText}"`,
    );
  }
}
if (found > 0) {
  console.error(`${found} phrases that scripts/english.yml has a better one for`);
  process.exitCode = 1;
}
