/** Reads the results of Node's own profiler (`--cpu-prof`): where a process spent its time, except when idle. */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";

export interface Share {
  /** A function and its file; names in brackets are not functions. */
  readonly name: string;
  /** The share of time, from 0 to 1. */
  readonly share: number;
}

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
  }[];
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

/** The `most` functions that took the most time, from the largest profile in a directory, which is that of the busiest process. */
export async function profileIn(directory: string, most: number): Promise<Share[]> {
  const files = await Promise.all(
    (await readdir(directory)).map(async (name) => {
      const path = join(directory, name);
      return { path, size: (await stat(path)).size };
    }),
  );
  const [largest] = files.toSorted((a, b) => b.size - a.size);
  const profile: CpuProfile = JSON.parse(await readFile(largest!.path, "utf8"));
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const taken = new Map<string, number>();
  for (const [i, sample] of profile.samples.entries()) {
    const name = names.get(sample)!;
    if (name !== "(idle)") taken.set(name, (taken.get(name) ?? 0) + profile.timeDeltas[i]!);
  }
  const all = [...taken.values()].reduce((sum, one) => sum + one, 0);
  return [...taken]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([name, time]) => ({ name, share: time / all }));
}

function nameOf({ functionName, url }: CpuProfile["nodes"][number]["callFrame"]): string {
  const name = functionName || "(no name)";
  return url === "" ? name : `${name}, ${url.startsWith("node:") ? url : basename(url)}`;
}
