/** Finds what a run has left behind on this machine, by the directory that was its TMPDIR. */
import { readdir } from "node:fs/promises";
import { mountsBelow, processesWith, run } from "../../demo/process.ts";

/** Processes, mounts and files of the run, and network namespaces with `pid` in their name. It should be empty. */
export async function leftovers(directory: string, pid: number): Promise<string[]> {
  const namespaces = (await run("ip", ["netns", "list"])).split("\n");
  return [
    ...processesWith(directory).map(({ command }) => `process ${command}`),
    ...mountsBelow(directory).map((point) => `mount ${point}`),
    ...(await readdir(directory)).map((name) => `file ${name}`),
    ...namespaces.filter((name) => name.includes(`-${pid} `) || name.endsWith(`-${pid}`)),
  ];
}
