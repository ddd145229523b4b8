/**
 * Makes a release of the checked-out commit: `make release`. It checks that a release is possible, runs all tests, builds the
 * artifacts in this checkout and again in a clone, and tags the commit if both builds are equal. It pushes nothing.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sectionsOf } from "../packaging/changelog.ts";

/** Targets of make, the quickest first. Mutants and measurements are not included. */
const CHECKS = ["check", "test", "test-long", "test-boot", "test-clean"];
/** Where `make artifacts` puts the artifacts and their hashes. */
const ARTIFACTS = "build/release";
const SUMS = `${ARTIFACTS}/SHA256SUMS`;

/** Why no release can be made, one reason per line. */
export class NoReleaseError extends Error {}

/**
 * Makes a release of a checkout's commit.
 *
 * @param checkout a clone of the repository
 * @param checks targets of make that must succeed in it
 * @param say called with a line for each step
 * @returns the tag's name
 * @throws NoReleaseError; Error when git fails
 */
export async function release(
  checkout: string,
  checks: readonly string[],
  say: (line: string) => void,
): Promise<string> {
  const { version } = JSON.parse(await readFile(join(checkout, "package.json"), "utf8"));
  const tag = `v${version}`;
  const problems = await problemsOf(checkout, version, tag);
  if (problems.length > 0) throw new NoReleaseError(problems.join("\n"));
  const commit = await git(checkout, "rev-parse", "HEAD");
  for (const check of checks) {
    say(`${tag}: make ${check}`);
    await make(checkout, check);
  }
  say(`${tag}: make artifacts`);
  await make(checkout, "artifacts");
  const here = await readFile(join(checkout, SUMS), "utf8");
  say(`${tag}: make artifacts, in a clone`);
  const differing = differences(here, await sumsOfClone(checkout, commit));
  if (differing.length > 0) {
    throw new NoReleaseError(
      `built in a clone of ${commit}, these differ from what was tested here: ${differing.join(", ")}`,
    );
  }
  const [now, dirty] = await Promise.all([git(checkout, "rev-parse", "HEAD"), changesIn(checkout)]);
  if (now !== commit) {
    throw new NoReleaseError(`the checkout has moved from ${commit}, which was tested, to ${now}`);
  }
  if (dirty !== "") throw new NoReleaseError(`files have changed while they were tested:\n${dirty}`);
  await git(checkout, "tag", "--annotate", "--message", `icfs ${version}\n\n${here}`, tag, commit);
  return tag;
}

/** The reasons why the checkout cannot be released. */
async function problemsOf(checkout: string, version: string, tag: string): Promise<string[]> {
  const problems: string[] = [];
  const dirty = await changesIn(checkout);
  if (dirty !== "") problems.push(`the checkout differs from its commit; commit or remove this:\n${dirty}`);
  if ((await git(checkout, "tag", "--list", tag)) !== "") {
    problems.push(`${tag} already exists: raise the version (npm version --no-git-tag-version VERSION)`);
  }
  // Checked now rather than after the long tests.
  await git(checkout, "var", "GIT_COMMITTER_IDENT").catch((error: Error) => problems.push(error.message));
  const locked = JSON.parse(await readFile(join(checkout, "package-lock.json"), "utf8"));
  if (locked.version !== version || locked.packages[""].version !== version) {
    problems.push(
      `package-lock.json has version ${locked.version}, not ${version}: npm install --package-lock-only`,
    );
  }
  return [...problems, ...changelogProblems(await readFile(join(checkout, "CHANGELOG.md"), "utf8"), version)];
}

function changelogProblems(changelog: string, version: string): string[] {
  const sections = sectionsOf(changelog);
  const problems: string[] = [];
  const section = sections.find((one) => one.version === version);
  if (section === undefined || section.date === undefined || section.text === "") {
    problems.push(`CHANGELOG.md needs entries below "## [${version}] - YYYY-MM-DD"`);
  } else if (sections.find((one) => one.version !== undefined) !== section) {
    problems.push(`CHANGELOG.md has a newer version than ${version}`);
  }
  if (sections.some((one) => one.version === undefined && one.text !== "")) {
    problems.push(`CHANGELOG.md has entries below "## [Unreleased]": move them to the version's`);
  }
  return problems;
}

/** Changes in a checkout since its commit, one per line. */
const changesIn = (checkout: string): Promise<string> => git(checkout, "status", "--porcelain");

/** Builds a commit in a clean clone. @returns the hashes of the artifacts */
async function sumsOfClone(checkout: string, commit: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "icfs-release-"));
  try {
    await git(directory, "clone", "--quiet", "--no-checkout", checkout, "clone");
    const clone = join(directory, "clone");
    await git(clone, "checkout", "--quiet", commit);
    await make(clone, "artifacts");
    return await readFile(join(clone, SUMS), "utf8");
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The names whose hashes differ, or that only one of the two has. */
function differences(some: string, others: string): string[] {
  const [a, b] = [some, others].map((sums) => sums.trim().split("\n")) as [string[], string[]];
  const alone = [...a.filter((line) => !b.includes(line)), ...b.filter((line) => !a.includes(line))];
  const nameOf = (line: string) => line.slice(line.lastIndexOf(" ") + 1);
  return [...new Set(alone.map(nameOf))].sort();
}

/** Runs make, and shows its output. @throws NoReleaseError when it fails */
async function make(directory: string, target: string): Promise<void> {
  // The options of the surrounding make are not meant for this one.
  const { MAKEFLAGS: _, MFLAGS: __, MAKELEVEL: ___, ...env } = process.env;
  const code = await new Promise((resolve, reject) => {
    spawn("make", ["--no-print-directory", target], { cwd: directory, env, stdio: "inherit" })
      .once("error", reject)
      .once("exit", resolve);
  });
  if (code !== 0) throw new NoReleaseError(`make ${target} failed`);
}

/** @returns the output. @throws Error with the error output when it fails */
async function git(directory: string, ...args: string[]): Promise<string> {
  const child = spawn("git", args, { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr] = await Promise.all([child.stdout, child.stderr].map(textOf));
  const code = child.exitCode ?? (await new Promise((resolve) => child.once("exit", resolve)));
  if (code !== 0) throw new Error(`git ${args[0]}: ${stderr}`);
  return stdout!.trimEnd();
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const part of stream.setEncoding("utf8")) text += part;
  return text;
}

if (import.meta.main) {
  const checkout = fileURLToPath(new URL("..", import.meta.url));
  try {
    const tag = await release(checkout, CHECKS, (line) => console.log(`release: ${line}`));
    console.log(`release: ${tag} is tagged, and in ${ARTIFACTS}. To publish it: git push origin ${tag}`);
  } catch (error) {
    if (!(error instanceof NoReleaseError)) throw error;
    console.error(error.message.replaceAll(/^/gm, "release: "));
    process.exit(1);
  }
}
