/** A process's use of resources, as the kernel counts it (proc(5)). */
import { readdir, readFile, writeFile } from "node:fs/promises";

/** Clock ticks a second in /proc. */
const TICKS = 100;

/** Memory in MiB. */
export interface Usage {
  /** Resident, including pages of files and libraries that it shares with others. */
  readonly resident: number;
  /** The part of it that belongs to no file: heap, buffers, stacks. */
  readonly anonymous: number;
  /** Resident, where a page that n processes share counts 1/n. */
  readonly proportional: number;
  /** The most that was resident, since it started or since forgetPeak(). */
  readonly peak: number;
  readonly threads: number;
  readonly descriptors: number;
}

/** @throws Error when there is no such process, or it is another user's and we are not root */
export async function usageOf(pid: number): Promise<Usage> {
  const [status, rollup, { length: descriptors }] = await Promise.all([
    readFile(`/proc/${pid}/status`, "utf8"),
    readFile(`/proc/${pid}/smaps_rollup`, "utf8"),
    readdir(`/proc/${pid}/fd`),
  ]);
  const number = (text: string, name: string) =>
    Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(text)![1]);
  return {
    resident: number(status, "VmRSS") / 1024,
    anonymous: number(status, "RssAnon") / 1024,
    proportional: number(rollup, "Pss") / 1024,
    peak: number(status, "VmHWM") / 1024,
    threads: number(status, "Threads"),
    descriptors,
  };
}

/** Resets `peak`. */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
}

/** Milliseconds of processor time of a process's children with all their threads, such as nginx's workers. */
export async function childrensProcessorTime(pid: number): Promise<number> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ").filter(Boolean);
  const tasks = await Promise.all(
    children.map(async (child) =>
      (await readdir(`/proc/${child}/task`)).map((task) => `/proc/${child}/task/${task}`),
    ),
  );
  const times = await Promise.all(tasks.flat().map((task) => readFile(`${task}/schedstat`, "utf8")));
  return times.reduce((sum, text) => sum + Number(text.split(" ")[0]) / 1e6, 0);
}

/** The processor time of a process so far, with all its threads, in seconds. @throws Error when there is no such process */
export async function processorTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  return (Number(user) + Number(system)) / TICKS;
}
