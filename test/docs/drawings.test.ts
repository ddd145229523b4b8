/** docs/overview.svg is what docs/overview.dot draws. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { drawing } from "../../scripts/drawings.ts";
import { ROOT } from "../support/imports.ts";

const [dot, svg] = await Promise.all(
  ["docs/overview.dot", "docs/overview.svg"].map((path) => readFile(join(ROOT, path), "utf8")),
);
t.equal(await drawing(dot!), svg, "overview.svg is up to date; otherwise run node scripts/drawings.ts");
