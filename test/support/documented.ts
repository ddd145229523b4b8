/**
 * Reads the commands of docs/ as a user would copy them: the shell blocks of a section, and code spans. Tests run them, and
 * test/docs/commands.test.ts makes sure that none is left out.
 */
import { readFile } from "node:fs/promises";

/** Commands of docs/TROUBLESHOOTING.md that need a whole machine; test/boot/host.boot.ts runs them in one. */
export const ON_A_MACHINE = ["modprobe fuse", "timedatectl set-ntp true"];

/** A fenced block of a document. */
export interface Block {
  /** The heading of its section. */
  readonly heading: string;
  /** The language after the fence: sh for commands. */
  readonly language: string;
  readonly text: string;
}

function read(document: string): Promise<string> {
  return readFile(new URL(`../../docs/${document}`, import.meta.url), "utf8");
}

/** The indented commands of README.md's section under `heading`: one list per block, without comments. */
export async function readmeCommands(heading: string): Promise<string[][]> {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const section = readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`README.md has no "${heading}"`);
  const blocks = [...section.matchAll(/(?:^ {4}.+\n)+/gm)].map(([block]) => block.trimEnd().split("\n"));
  return blocks.map((lines) => lines.map((line) => line.replace(/ +# .*/, "").trim()));
}

/** The fenced blocks of docs/DOCUMENT, in order. */
export async function blocksOf(document: string): Promise<Block[]> {
  const blocks: Block[] = [];
  let heading = "";
  const pattern = /^#+ (.+)$|^```(\w*)\n([\s\S]*?)^```$/gm;
  for (const [, title, language, text] of (await read(document)).matchAll(pattern)) {
    if (title !== undefined) heading = title;
    else blocks.push({ heading, language: language!, text: text! });
  }
  return blocks;
}

/** The blocks in `language` of the section under `heading`, joined. @throws Error when there are none */
export async function documented(document: string, heading: string, language = "sh"): Promise<string> {
  const found = (await blocksOf(document)).filter(
    (block) => block.heading === heading && block.language === language,
  );
  if (found.length === 0) throw new Error(`docs/${document} has no ${language} under "${heading}"`);
  return found.map(({ text }) => text).join("");
}

/**
 * The code spans of docs/DOCUMENT, outside of its blocks, that begin with a program's name, each once. Spans in the first cells
 * of tables are left out: they are messages and names.
 *
 * @param isProgram whether a word is a program's name
 */
export async function commandsIn(
  document: string,
  isProgram: (word: string) => boolean,
): Promise<readonly string[]> {
  const text = (await read(document)).replace(/^```[\s\S]*?^```$/gm, "").replace(/^\| [^|]* \|/gm, "");
  const spans = [...text.matchAll(/`([^`\n]+)`/g)].map(([, span]) => span!);
  return [...new Set(spans)].filter((span) => isProgram(span.split(" ")[0]!));
}
