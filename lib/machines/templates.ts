/** Reads templates: a directory of files that are rendered for each machine. Their names are templates as well. */
import { isUtf8 } from "node:buffer";
import { opendir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, UserError } from "../errors.ts";

export interface Template {
  readonly name: string;
  /** The path of its files in the release, with `/`, itself a template. */
  readonly path: string;
  readonly text: string;
}

/** No boot loader asks for so many files per machine. */
const MOST_TEMPLATES = 1000;
/** The limit of one template. */
const MOST_BYTES = 1024 * 1024;
const MOST_DEPTH = 32;
/** Files left by editors and version control, which are not templates. */
const PASSED_OVER = /^\.|~$/;

/** All templates in a directory and below it, by their names. @throws UserError */
export async function readTemplates(directory: string): Promise<Template[]> {
  const found: Template[] = [];
  await addTemplates(directory, "", found, 0);
  if (found.length === 0) throw new UserError(`${directory} has no templates: put files in it`);
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function addTemplates(
  directory: string,
  below: string,
  found: Template[],
  depth: number,
): Promise<void> {
  if (depth > MOST_DEPTH) throw new UserError(`${directory} has directories more than ${MOST_DEPTH} deep`);
  const names: string[] = [];
  try {
    for await (const { name } of await opendir(join(directory, below))) names.push(name);
  } catch (error) {
    throw new UserError(`cannot read the templates in ${join(directory, below)}: ${messageOf(error)}`);
  }
  for (const name of names.filter((one) => !PASSED_OVER.test(one))) {
    const path = below === "" ? name : `${below}/${name}`;
    const source = join(directory, path);
    try {
      const stats = await stat(source);
      if (stats.isDirectory()) {
        await addTemplates(directory, path, found, depth + 1);
        continue;
      }
      if (!stats.isFile()) throw new Error("it is not a file");
      if (stats.size > MOST_BYTES) throw new Error(`it has more than ${MOST_BYTES} bytes`);
      const bytes = await readFile(source);
      if (!isUtf8(bytes))
        throw new Error("it is not text in UTF-8: save it as such, or publish it in the directory");
      found.push({ name: path, path, text: bytes.toString("utf8") });
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(`cannot read the template ${source}: ${messageOf(error)}`);
    }
    if (found.length > MOST_TEMPLATES) {
      throw new UserError(`${directory} has more than ${MOST_TEMPLATES} templates`);
    }
  }
}

/** The path of a file or directory, without symlinks. @throws UserError */
export async function placeOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${messageOf(error)}`);
  }
}
