/**
 * The npm of Debian 12 and 13, version 9.2: when it skips a package, it removes the link to Node that the package would have
 * made.
 */
import { join } from "node:path";
import { run } from "../../demo/process.ts";
import { type Test, temporaryDirectory } from "./icfs.ts";
import { plain } from "./plain.ts";

/** The time limit: npm may have to wait for its registry. */
const LONG_SECONDS = 300;

/** @returns the directory of its command */
export async function debianNpm(t: Test): Promise<string> {
  const directory = await temporaryDirectory(t);
  const install = ["install", "--no-audit", "--no-fund", "--prefix", directory, "npm@9.2.0"];
  await run(...plain("npm", install), { seconds: LONG_SECONDS });
  return join(directory, "node_modules/.bin");
}
