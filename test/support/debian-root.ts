/**
 * A clean Debian, of the release and from the mirror that this machine's own apt takes its packages from. It is made once and
 * kept in build/; from then on it is unpacked.
 */
import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../demo/process.ts";

const BUILD = fileURLToPath(new URL("../../build/", import.meta.url));
/** Seconds: a slow mirror. */
const LONG = 900;

/** A repository as apt knows it. */
interface Repository {
  readonly uri: string;
  readonly suite: string;
  readonly component: string;
}

/**
 * Unpacks the smallest Debian that apt can work with, and these packages, into an empty directory.
 *
 * @throws Error when it can be had from nowhere; with what debootstrap has said
 */
export async function debianRoot(
  directory: string,
  { packages = [] }: { packages?: readonly string[] } = {},
): Promise<void> {
  const repositories = await debianRepositories();
  const wanted = JSON.stringify([repositories, packages.toSorted()]);
  const key = createHash("sha256").update(wanted).digest("hex").slice(0, 12);
  const kept = join(BUILD, `debian-${key}.tar`);
  if (!(await exists(kept))) await make(kept, repositories, packages);
  await mkdir(directory, { recursive: true });
  await run("tar", ["--extract", "--numeric-owner", "--xattrs", "--file", kept, "--directory", directory], {
    seconds: LONG,
  });
}

/** @param kept is there as a whole, or not at all */
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
    // What debootstrap mounts, and may leave when it is interrupted, is seen by nobody else.
    await run(
      "unshare",
      [
        "--mount",
        "--propagation",
        "private",
        "debootstrap",
        "--variant=minbase",
        ...include,
        suite,
        root,
        uri,
      ],
      { seconds: LONG, env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND: "noninteractive" } },
    );
    await writeFile(
      join(root, "etc/apt/sources.list"),
      repositories.map((one) => `deb ${one.uri} ${one.suite} ${one.component}\n`).join(""),
    );
    await rm(join(root, "var/cache/apt/archives"), { recursive: true, force: true });
    await mkdir(join(root, "var/cache/apt/archives/partial"), { recursive: true });
    const archive = join(work, "root.tar");
    await run(
      "tar",
      ["--create", "--numeric-owner", "--xattrs", "--file", archive, "--directory", root, "."],
      {
        seconds: LONG,
      },
    );
    await rename(archive, kept);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Debian's own repositories in apt's configuration, the release's first. @throws Error when there are none */
async function debianRepositories(): Promise<readonly [Repository, ...Repository[]]> {
  const format = "$(ORIGIN) $(COMPONENT) $(REPO_URI) $(RELEASE)";
  const listed = await run("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]);
  const found = listed
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([origin, component]) => origin === "Debian" && component === "main")
    .map(([, component, uri, suite]) => ({ component: component!, uri: uri!, suite: suite! }))
    // bookworm, and not bookworm-updates.
    .sort((a, b) => Number(a.suite.includes("-")) - Number(b.suite.includes("-")));
  const [first, ...more] = found;
  if (first === undefined) throw new Error("apt knows no Debian: run `apt-get update` first");
  return [first, ...more];
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
