/** make, as somebody runs it in this checkout: without what tap has its children load. */
import { fileURLToPath } from "node:url";
import { run } from "../../demo/process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Seconds. */
const LONG = 300;

/** @returns what it has printed. @throws Error when it fails */
export async function make(...args: string[]): Promise<string> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return run("make", ["--no-print-directory", "-C", ROOT, ...args], { env, seconds: LONG });
}
