/** A directory as a page of links, plain enough for any browser and for `wget --recursive`. */
import type { TreeNode } from "../tree/tree.ts";

/** A longer page would be useless, and megabytes large. */
const MOST_ENTRIES = 5000;

/** @param path of the directory from the root, as it was requested; "" for the root */
export function listingOf(path: string, { children }: TreeNode): string {
  const lines = path === "" ? [] : ['<li><a href="../">../</a></li>'];
  for (const [name, { entry }] of children) {
    if (lines.length >= MOST_ENTRIES) {
      lines.push(`<li>and others: there are ${children.size} in all</li>`);
      break;
    }
    const shown = entry.kind === "directory" ? `${name}/` : name;
    // "./", because a colon in the name would otherwise end a URL scheme.
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
