/** Describes where a measurement was made: the machine, the versions of the software involved, and the commit. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { arch, cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** Debian's packages that are measured, or used to measure. */
const DEBIAN = ["bindfs", "curl", "dnsmasq-base", "httpdirfs", "qemu-system-x86", "rclone"];
const NPM = ["@icp-sdk/core", "fuse-native", "motoko"];
/** The sources that measurements depend on. */
const MEASURED = [
  ...["bench/*.ts", "bench/**/*.ts", "bin", "canister", "demo", "examples", "lib", "localnet"],
  ...["package-lock.json", "packaging/dnsmasq-ledger", "test/support"],
];

export interface Machine {
  readonly processors: string;
  readonly memory: string;
  readonly kernel: string;
  /** Names and versions. */
  readonly versions: readonly string[];
}

const output = async (command: string, args: readonly string[]) =>
  (await promisify(execFile)(command, args, { cwd: ROOT })).stdout.trim();

/** The versions of those that are installed; no measurement needs all of them. */
async function debianVersions(): Promise<string[]> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own
  const args = ["--show", "--showformat=${Package} ${Version}\n", ...DEBIAN];
  // dpkg-query fails if a package is missing, but still lists the others.
  const { stdout } = await promisify(execFile)("dpkg-query", args).catch(
    (error: { stdout: string }) => error,
  );
  return stdout.trim().split("\n");
}

/** This machine now. */
export async function describeMachine(): Promise<Machine> {
  const npm = NPM.map(async (name) => {
    const text = await readFile(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8");
    return `${name} ${JSON.parse(text).version}`;
  });
  return {
    processors: `${cpus().length} × ${cpus()[0]!.model.trim()}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: `Linux ${release()}, ${arch()}`,
    versions: [`Node ${process.versions.node}`, ...(await Promise.all(npm)), ...(await debianVersions())],
  };
}

/** The commit's short name, with a note if the measured sources have been changed since. */
export async function commitOf(): Promise<string> {
  const name = await output("git", ["rev-parse", "--short", "HEAD"]);
  const changed = await output("git", ["status", "--porcelain", "--", ...MEASURED]);
  return changed === "" ? name : `${name}, and changes`;
}
