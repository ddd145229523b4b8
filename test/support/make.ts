/** make, as somebody runs it in this checkout. */
import { fileURLToPath } from "node:url";
import { run } from "../../demo/process.ts";
import { plain } from "./plain.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Seconds. */
const LONG = 300;

/** @returns what it has printed. @throws Error when it fails */
export async function make(...args: string[]): Promise<string> {
  // A package for a test need not be small, and takes a minute else.
  const env = { ...process.env, DPKG_DEB_COMPRESSOR_LEVEL: "1" };
  return run(...plain("make", ["--no-print-directory", "-C", ROOT, ...args]), { env, seconds: LONG });
}
