/** make, as somebody runs it in this checkout: without what tap has its children load. */
import { fileURLToPath } from "node:url";
import { run } from "../../demo/process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Seconds. */
const LONG = 300;

/** @returns what it has printed. @throws Error when it fails */
export async function make(...args: string[]): Promise<string> {
  const { NODE_OPTIONS: _, ...own } = process.env;
  // A package for a test need not be small, and takes a minute else.
  const env = { ...own, DPKG_DEB_COMPRESSOR_LEVEL: "1" };
  return run("make", ["--no-print-directory", "-C", ROOT, ...args], { env, seconds: LONG });
}
