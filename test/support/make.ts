/** make, as somebody runs it in this checkout: one at a time, since tests run side by side and dist/ is there once. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../demo/process.ts";
import { plain } from "./plain.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Seconds: it may have to wait for another. */
const LONG = 900;

/** The environment to build in: a package for a test need not be small, and takes a minute else. */
export const BUILDING: NodeJS.ProcessEnv = { ...process.env, DPKG_DEB_COMPRESSOR_LEVEL: "0" };

/** The command line that runs a program when no other test builds in this checkout, and keeps others from it. */
export function alone(program: string, args: readonly string[]): [string, string[]] {
  // What it starts, and leaves behind, does not hold the lock.
  return plain("flock", ["--close", join(ROOT, "Makefile"), program, ...args]);
}

/** @returns what it has printed. @throws Error when it fails */
export async function make(...args: string[]): Promise<string> {
  return run(...alone("make", ["--no-print-directory", "-C", ROOT, ...args]), {
    env: BUILDING,
    seconds: LONG,
  });
}

/** Builds the package, and puts it into a directory before another test builds one of its own; a version that is wanted here only goes. */
const BUILD_DEB = `
  file=$(make --no-print-directory -C "$1" deb "\${@:3}" | tail -n 1)
  cp "$1/$file" "$2/"
  (($# == 2)) || rm "$1/$file"
  basename "$file"
`;

/** Builds a Debian package. @returns its path in `directory` @throws Error when make fails */
export async function makeDeb(directory: string, ...parameters: string[]): Promise<string> {
  const args = ["-euo", "pipefail", "-c", BUILD_DEB, "bash", ROOT, directory, ...parameters];
  const name = await run(...alone("bash", args), { env: BUILDING, seconds: LONG });
  return join(directory, name.trim());
}
