/** Links in documents lead to a file of the repository, and to an existing heading where they name one. */
import { glob, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import t from "tap";
import { ROOT } from "../support/imports.ts";

/** The anchor that GitHub gives a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
}

function headings(text: string): Set<string> {
  const prose = text.replace(/^```[\s\S]*?^```$/gm, "");
  return new Set(Array.from(prose.matchAll(/^#+ (.+)$/gm), ([, heading]) => anchor(heading!)));
}

async function brokenLinks(path: string, text: string): Promise<string[]> {
  const broken: string[] = [];
  for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target!)) continue;
    const [file, heading] = target!.split("#") as [string, string?];
    const named = file === "" ? path : join(dirname(path), file);
    const linked = await readFile(join(ROOT, named), "utf8").catch(() => undefined);
    if (linked === undefined || (heading !== undefined && !headings(linked).has(heading)))
      broken.push(target!);
  }
  return broken;
}

/** The sections that a text names, as docs/MOUNT.md ("At boot") or docs/MOUNT.md, "At boot", and that do not exist. */
async function unknownSections(text: string): Promise<string[]> {
  const unknown: string[] = [];
  for (const [named, path, heading] of text.matchAll(/\b(?:docs\/)?([A-Z-]+\.md),? \(?"([^"\n]+)"/g)) {
    const linked = await readFile(join(ROOT, "docs", path!), "utf8").catch(() => undefined);
    if (linked !== undefined && !headings(linked).has(anchor(heading!))) unknown.push(named);
  }
  return unknown;
}

t.test("the sections that texts name exist", async (t) => {
  for await (const path of glob(
    "{*.md,{docs,examples}/*,{lib,packaging,test,canister}/**/*.{ts,mo,sh,service}}",
    {
      cwd: ROOT,
    },
  )) {
    if (path === "test/docs/links.test.ts" || /\.(png|svg)$/.test(path)) continue;
    const unknown = await unknownSections(await readFile(join(ROOT, path), "utf8"));
    if (unknown.length > 0) t.fail(`${path}: ${unknown.join("; ")}`);
  }
  t.same(await unknownSections('see docs/MOUNT.md ("At boot") and MOUNT.md, "At noon"'), [
    'MOUNT.md, "At noon"',
  ]);
});

t.test("links lead to existing files and headings", async (t) => {
  for await (const path of glob("{*.md,docs/*.md,bench/*.md}", { cwd: ROOT })) {
    t.same(await brokenLinks(path, await readFile(join(ROOT, path), "utf8")), [], path);
  }
});

t.test("a broken link is found", async (t) => {
  const text = "[a](README.md) [b](gone.md) [c](#here) [d](#there) [e](https://example.org/)\n## Here\n";
  t.same(await brokenLinks("README.md", text), ["gone.md", "#here", "#there"]);
});
