/** The npm that Debian 12 and 13 have, 9.2: it takes away the link to Node that a package which it skips would have made. */
import { join } from "node:path";
import { run } from "../../demo/process.ts";
import { type Test, temporaryDirectory } from "./icfs.ts";
import { plain } from "./plain.ts";

/** Seconds: npm may have to wait for its registry. */
const LONG = 300;

/** @returns the directory that its command is in */
export async function debianNpm(t: Test): Promise<string> {
  const directory = await temporaryDirectory(t);
  const install = ["install", "--no-audit", "--no-fund", "--prefix", directory, "npm@9.2.0"];
  await run(...plain("npm", install), { seconds: LONG });
  return join(directory, "node_modules/.bin");
}
