/**
 * The memory of a mount, measured on trees that are far larger: 1 GiB read from end to end, and 100,000 entries,
 * the most a tree may have, listed. The network generates them in a process of its own (test/support/generated-network.ts).
 * The memory stops growing after a few hundred MiB: `middle` and `last` show that.
 */
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { SEED } from "../support/generated-network.ts";
import { type GeneratedProcess, startGeneratedProcess } from "../support/generated-process.ts";
import { GeneratedTree, largeFiles, smallFiles, type TreeShape } from "../support/generated-tree.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";
import { mountpointFor } from "./mounts.ts";

const MIB = 1024 * 1024;
/** The most that a mount with --memory 64 may take, whatever it reads. */
const MOST_RSS_MIB = 250;
/** The most that it may take with the names, hashes and inodes of 100,000 entries. */
const MOST_RSS_FULL_TREE_MIB = 400;
const LARGE = { files: 8, mebibytes: 128 };
/** 100,000 entries, as many as a tree may have. */
const SMALL = { directories: 100, filesEach: 999 };
const SAMPLE_MS = 100;
/** In milliseconds. A program that takes longer hangs: reading the whole tree takes some ten seconds. */
const LONGEST_MS = 900_000;

const MODES: Readonly<Record<string, readonly string[]>> = {
  "in memory alone": ["--max-cache-size", "0", "--prefetch", "none"],
  "in memory alone, over libfuse": [
    ...["--max-cache-size", "0", "--prefetch", "none"],
    ...["--transport", "fuse-native"],
  ],
  "kept on disk, while all of it is fetched": ["--max-cache-size", "2GiB", "--prefetch", "all"],
};

interface Mounted {
  readonly mountpoint: string;
  readonly pid: number;
  /** Runs a program on the mount, which must not fail. Returns what it printed. */
  sh(program: string, ...args: string[]): Promise<string>;
}

async function mount(t: Test, network: GeneratedProcess, options: readonly string[]): Promise<Mounted> {
  const directory = await temporaryDirectory(t);
  const mountpoint = await mountpointFor(t);
  const env = cleanEnvironment(directory);
  await mkdir(join(directory, "chunks"));
  const started = await run(
    BIN,
    [
      ...["mount", network.canister, mountpoint, "--network", network.url, "--json", "--memory", "64"],
      ...["--log-file", join(directory, "log"), "--cache-dir", join(directory, "chunks"), ...options],
    ],
    { env },
  );
  t.equal(started.code, 0, started.stderr);
  return {
    mountpoint,
    pid: JSON.parse(started.stdout).pid,
    async sh(program, ...args) {
      const { code, stdout, stderr } = await run(program, args, { env, limit: LONGEST_MS });
      t.equal(code, 0, `${program}: ${stderr}`);
      return stdout;
    },
  };
}

/** A field of /proc/PID/status, in MiB. VmHWM is the peak since the process began. */
function memoryOf(pid: number, what: "VmRSS" | "VmHWM"): number {
  const [, kilobytes] = new RegExp(`^${what}:\\s+(\\d+) kB$`, "m").exec(
    readFileSync(`/proc/${pid}/status`, "utf8"),
  )!;
  return Number(kilobytes) / 1024;
}

/** Does some work and returns, in MiB, the daemon's memory at its start, in the middle and at its end, and the peak. */
async function watched(pid: number, work: () => Promise<unknown>) {
  const samples = [memoryOf(pid, "VmRSS")];
  const done = new AbortController();
  const sampling = (async () => {
    while (!done.signal.aborted) {
      samples.push(memoryOf(pid, "VmRSS"));
      await sleep(SAMPLE_MS);
    }
  })();
  try {
    await work();
  } finally {
    done.abort();
    await sampling;
  }
  const [first, middle, last] = [samples[0], samples[samples.length >> 1], samples.at(-1)].map((sample) =>
    Math.round(sample!),
  );
  return { first, middle, last, peak: Math.round(memoryOf(pid, "VmHWM")) };
}

t.test("a tree of 1 GiB is read from end to end", { timeout: 2 * LONGEST_MS }, async (t) => {
  const network = await startGeneratedProcess(t, { large: LARGE });
  const hashes = hashesOf(largeFiles(LARGE.files, LARGE.mebibytes));
  for (const [name, options] of Object.entries(MODES)) {
    await t.test(name, { timeout: LONGEST_MS }, async (t) => {
      const mounted = await mount(t, network, options);
      const { mountpoint, pid, sh } = mounted;
      const files = [...hashes.keys()].map((path) => join(mountpoint, path));
      const memory = await watched(pid, async () => {
        // cat reads the files; wc alone would only ask for their sizes.
        const bytes = await sh("sh", "-c", 'cat -- "$@" | wc -c', "sh", ...files);
        t.equal(Number(bytes), LARGE.files * LARGE.mebibytes * MIB);
      });
      t.comment(`MiB: ${JSON.stringify(memory)}`);
      t.ok(memory.peak < MOST_RSS_MIB, `a peak of ${memory.peak} MiB is less than ${MOST_RSS_MIB}`);
      await checkHashes(t, mounted, hashes, [0, LARGE.files - 1]);
    });
  }
});

t.test("a tree of 100,000 entries is listed, and some files are read", { timeout: LONGEST_MS }, async (t) => {
  const network = await startGeneratedProcess(t, { small: SMALL });
  const mounted = await mount(t, network, ["--max-cache-size", "0", "--prefetch", "none"]);
  const { mountpoint, pid, sh } = mounted;
  const shape = smallFiles(SMALL.directories, SMALL.filesEach);
  const memory = await watched(pid, async () => {
    const found = await sh("find", mountpoint, "-mindepth", "1", "-printf", "%y %s %P\\n");
    const expected = [
      ...shape.directories.map((path) => `d 4096 ${path}`),
      ...shape.units.flat().map(({ path, size }) => `f ${size} ${path}`),
    ];
    // t.equal would print a difference of megabytes.
    t.ok(
      sorted(found.trimEnd().split("\n")) === sorted(expected),
      "every entry is listed with its kind and size, and nothing else",
    );
    const listed = await sh("ls", "-lU", join(mountpoint, shape.directories[7]!));
    t.equal(listed.trimEnd().split("\n").length, 1 + SMALL.filesEach);
    await checkHashes(t, mounted, hashesOf(shape), [0, 20_017, SMALL.directories * SMALL.filesEach - 1]);
  });
  t.comment(`MiB: ${JSON.stringify(memory)}`);
  t.ok(memory.peak < MOST_RSS_FULL_TREE_MIB, `a peak of ${memory.peak} MiB`);
});

function sorted(lines: readonly string[]): string {
  return lines.toSorted().join("\n");
}

/** The SHA-256 of each file of the network's first release, by path, in path order. */
function hashesOf(shape: TreeShape): Map<string, string> {
  const { entries } = new GeneratedTree(shape, SEED).manifest(1);
  const files = entries.filter((entry) => entry.kind === "file");
  return new Map(files.map(({ path, sha256 }) => [path, Buffer.from(sha256).toString("hex")]));
}

async function checkHashes(
  t: Test,
  { mountpoint, sh }: Mounted,
  hashes: ReadonlyMap<string, string>,
  indexes: readonly number[],
): Promise<void> {
  const all = [...hashes];
  for (const [path, hash] of indexes.map((index) => all[index]!)) {
    t.equal((await sh("sha256sum", join(mountpoint, path))).slice(0, 64), hash, path);
  }
}
