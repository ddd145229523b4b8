/**
 * A clean Debian system from the mirror that this machine's own apt uses. It is made once, kept in build/, and unpacked from
 * there.
 */
import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../demo/process.ts";

const BUILD = fileURLToPath(new URL("../../build/", import.meta.url));
/** The time limit: a mirror may be slow. */
const LONG_SECONDS = 900;

/** Debian 12 and 13. */
export type Release = "bookworm" | "trixie";

/** A repository as apt knows it. */
interface Repository {
  readonly uri: string;
  readonly suite: string;
  readonly component: string;
}

/**
 * Unpacks the smallest Debian system in which apt works, with these packages in addition, into an empty directory.
 *
 * @param options.release default: this machine's own
 * @throws Error when no repository has it, with debootstrap's output
 */
export async function debianRoot(
  directory: string,
  { packages = [], release }: { packages?: readonly string[]; release?: Release } = {},
): Promise<void> {
  const repositories = await debianRepositories(release);
  const wanted = JSON.stringify([repositories, packages.toSorted()]);
  const key = createHash("sha256").update(wanted).digest("hex").slice(0, 12);
  const kept = join(BUILD, `debian-${key}.tar`);
  if (!(await exists(kept))) await make(kept, repositories, packages);
  await mkdir(directory, { recursive: true });
  await run("tar", ["--extract", "--numeric-owner", "--xattrs", "--file", kept, "--directory", directory], {
    seconds: LONG_SECONDS,
  });
}

/** Makes the archive, unless another test does so first. @param kept its path, where it appears only when it is complete */
async function make(
  kept: string,
  repositories: readonly Repository[],
  packages: readonly string[],
): Promise<void> {
  await mkdir(BUILD, { recursive: true });
  const work = await mkdtemp(join(BUILD, "debian-"));
  const root = join(work, "root");
  const [{ uri, suite }] = repositories as [Repository];
  const include = packages.length === 0 ? [] : [`--include=${packages.join(",")}`];
  try {
    const archive = join(work, "root.tar");
    const sources = repositories.map((one) => `deb ${one.uri} ${one.suite} ${one.component}\n`).join("");
    // In memory, since dpkg waits for the disk after each file. The mounts are invisible elsewhere, and disappear however this
    // ends.
    const script = `[ ! -e ${kept} ] || exit 0
      mkdir ${root}
      mount -t tmpfs tmpfs ${root}
      debootstrap --variant=minbase ${include.join(" ")} ${suite} ${root} ${uri}
      printf %s "$1" >${root}/etc/apt/sources.list
      rm -rf ${root}/var/cache/apt/archives
      mkdir -p ${root}/var/cache/apt/archives/partial
      tar --create --one-file-system --numeric-owner --xattrs --file ${archive} --directory ${root} .
      mv ${archive} ${kept}`;
    const unshare = [
      "unshare",
      "--mount",
      "--propagation",
      "private",
      "bash",
      "-euc",
      script,
      "bash",
      sources,
    ];
    // Another test that needs the same archive meanwhile waits for it.
    await run("flock", ["--close", `${kept}.lock`, ...unshare], {
      seconds: LONG_SECONDS,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND: "noninteractive" },
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Debian's own repositories in apt's configuration, the release's first. @throws Error when there are none */
async function debianRepositories(release: Release | undefined): Promise<readonly Repository[]> {
  let found = await knownRepositories();
  if (found.length === 0) {
    // apt knows the origins of its repositories only after an update.
    await run("apt-get", ["update"], { seconds: LONG_SECONDS });
    found = await knownRepositories();
  }
  const [first, ...more] = found;
  if (first === undefined) throw new Error("apt has no repository of Debian's");
  // trixie-security is in the same place as bookworm-security.
  const named = ({ suite }: Repository) => suite.replace(first.suite, release ?? first.suite);
  return [first, ...more].map((one) => ({ ...one, suite: named(one) }));
}

async function knownRepositories(): Promise<Repository[]> {
  const format = "$(ORIGIN) $(COMPONENT) $(REPO_URI) $(RELEASE)";
  const listed = await run("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]);
  return (
    listed
      .split("\n")
      .map((line) => line.split(" "))
      .filter(([origin, component]) => origin === "Debian" && component === "main")
      .map(([, component, uri, suite]) => ({ component: component!, uri: uri!, suite: suite! }))
      // bookworm rather than bookworm-updates.
      .sort((a, b) => Number(a.suite.includes("-")) - Number(b.suite.includes("-")))
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
