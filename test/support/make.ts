/** Runs make in this checkout, one at a time: tests run in parallel, but there is only one dist/. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../demo/process.ts";
import { plain } from "./plain.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** The time limit: a build may have to wait for another one. */
const LONG_SECONDS = 900;

/** The environment for builds: a package for a test need not be small, and compressing it would take a minute. */
export const BUILDING: NodeJS.ProcessEnv = { ...process.env, DPKG_DEB_COMPRESSOR_LEVEL: "0" };

/** The command line that runs a program while no other test builds in this checkout. */
export function alone(program: string, args: readonly string[]): [string, string[]] {
  // Its background children must not hold the lock.
  return plain("flock", ["--close", join(ROOT, "Makefile"), program, ...args]);
}

/** Runs make. @param args targets and variables @returns the output @throws Error when it fails */
export async function make(...args: string[]): Promise<string> {
  return run(...alone("make", ["--no-print-directory", "-C", ROOT, ...args]), {
    env: BUILDING,
    seconds: LONG_SECONDS,
  });
}

/**
 * Builds the package, and moves it to a directory before another test builds its own. A package that was built only for this is
 * removed.
 */
const BUILD_DEB = `
  file=$(make --no-print-directory -C "$1" deb "\${@:3}" | tail -n 1)
  cp "$1/$file" "$2/"
  (($# == 2)) || rm "$1/$file"
  basename "$file"
`;

/** Builds a Debian package. @returns its path in `directory` @throws Error when make fails */
export async function makeDeb(directory: string, ...parameters: string[]): Promise<string> {
  const args = ["-euo", "pipefail", "-c", BUILD_DEB, "bash", ROOT, directory, ...parameters];
  const name = await run(...alone("bash", args), { env: BUILDING, seconds: LONG_SECONDS });
  return join(directory, name.trim());
}
