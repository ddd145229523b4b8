/**
 * Makes docs/overview.svg from docs/overview.dot: `node scripts/drawings.ts`. The drawing has a light and a dark style, and the
 * reader's browser chooses.
 */
import { readFile, writeFile } from "node:fs/promises";
import { Graphviz } from "@hpcc-js/wasm-graphviz";

const here = (path: string) => new URL(`../docs/${path}`, import.meta.url);

/** Graphviz draws in black; here `currentColor` follows the style below. */
const LOOK = `<style>
svg { color: #1f2328; }
@media (prefers-color-scheme: dark) { svg { color: #e6edf3; } }
</style>`;

/** An SVG drawing of a graph. @param dot in the language of Graphviz */
export async function drawing(dot: string): Promise<string> {
  const graphviz = await Graphviz.load();
  const svg = graphviz.layout(dot, "svg", "dot");
  return svg
    .replace(/^[\s\S]*?(?=<svg)/, "")
    .replace(/(<svg[^>]*>)/, `$1\n<title>How icfs works</title>\n${LOOK}`)
    .replaceAll(/(stroke|fill)="black"/g, '$1="currentColor"')
    .replaceAll(/font-family="Courier[^"]*"/g, 'font-family="monospace" fill="currentColor"');
}

if (import.meta.main)
  await writeFile(here("overview.svg"), await drawing(await readFile(here("overview.dot"), "utf8")));
