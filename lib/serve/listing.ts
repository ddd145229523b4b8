/** A directory as a page of links, plain enough for any browser and for `wget --recursive`. */
import type { TreeNode } from "../tree/tree.ts";

/** A page of more is of no use to anybody, and megabytes. */
const MOST_ENTRIES = 5000;

/** @param path of the directory, from the root, "" for that; as it was asked for */
export function listingOf(path: string, { children }: TreeNode): string {
  const lines = path === "" ? [] : ['<li><a href="../">../</a></li>'];
  for (const [name, { entry }] of children) {
    if (lines.length >= MOST_ENTRIES) {
      lines.push(`<li>and others: there are ${children.size} in all</li>`);
      break;
    }
    const shown = entry.kind === "directory" ? `${name}/` : name;
    // "./", as else a name with a colon would be another scheme.
    lines.push(
      `<li><a href="./${encodeURIComponent(name)}${shown.slice(name.length)}">${escaped(shown)}</a></li>`,
    );
  }
  const title = escaped(`/${path === "" ? "" : `${path}/`}`);
  return `<!doctype html>\n<meta charset="utf-8">\n<title>${title}</title>\n<h1>${title}</h1>\n<ul>\n${lines.join("\n")}\n</ul>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character]!);
}
