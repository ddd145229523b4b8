/**
 * Prints the licences of an installed program and of every npm package installed with it, in the form of Debian's
 * /usr/share/doc/PACKAGE/copyright: `node packaging/copyright.ts DIRECTORY`. A text that several packages share is printed once.
 */
import { globSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const APACHE = `On Debian systems the text of the Apache License, Version 2.0, is in /usr/share/common-licenses/Apache-2.0.`;

const root = process.argv[2];
if (root === undefined) throw new Error("usage: copyright.ts DIRECTORY");

interface Bundled {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** The packages that share each text. */
const byText = new Map<string, string[]>();
for (const file of [
  "package.json",
  ...globSync("node_modules/{*,@*/*}/package.json", { cwd: root }).sort(),
]) {
  const { name, version, license } = JSON.parse(readFileSync(join(root, file), "utf8")) as Bundled;
  const text = textOf(join(root, dirname(file)), license);
  byText.set(text, [...(byText.get(text) ?? []), `${name} ${version} (${license})`]);
}
console.log(
  "icfs, and the npm packages that are installed with it in /usr/lib/icfs, under the licences below.",
);
for (const [text, packages] of byText) console.log(`\n${"-".repeat(72)}\n${packages.join("\n")}\n\n${text}`);

/** The licence text in a package's files. @throws Error when there is none */
function textOf(directory: string, license: string): string {
  const files = readdirSync(directory);
  const file = files.find((name) => /^(licen[cs]e|copying)/i.test(name));
  if (file !== undefined) {
    const text = readFileSync(join(directory, file), "utf8").trim();
    const copyright = text.match(/^ *Copyright (?!\[).*\d{4}.*$/m)?.[0].trim();
    if (license !== "Apache-2.0") return text;
    return copyright === undefined ? APACHE : `${copyright}\n\n${APACHE}`;
  }
  const readme = files.find((name) => /^readme/i.test(name));
  const section =
    readme && readFileSync(join(directory, readme), "utf8").match(/^#+ Licen[cs]e\s[\s\S]*/im)?.[0];
  if (section) return section.trim();
  // The package names this licence, but does not include its text, which is known.
  if (license === "Apache-2.0") return APACHE;
  throw new Error(`no licence in ${directory}`);
}
