/**
 * Options that ask for what a mount never is, and whether anybody has written them. mount(8) tells its helper `rw` when that was asked
 * for, and when nothing was said at all; of `exec`, `suid` and `dev` it tells nothing. Only its own command line and fstab(5) do.
 */
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { parseArgs } from "node:util";
import { UsageError } from "../errors.ts";
import { unescapeOctal } from "../fs/mounting/mountinfo.ts";
import { type HelperRequest, splitOptions } from "./mount-helper.ts";

/** What is to be mounted, and where. */
type Place = Pick<HelperRequest, "spec" | "directory">;

interface Refused {
  readonly word: string;
  /** What holds, and may be said. */
  readonly instead: string;
  readonly why: string;
}

const REFUSED: readonly Refused[] = [
  { word: "rw", instead: "ro", why: "be written to: releases are made by `icfs publish`" },
  {
    word: "exec",
    instead: "noexec",
    why: "run programs from: whoever may publish would run them on this host",
  },
  {
    word: "suid",
    instead: "nosuid",
    why: "have set-user-ID programs: a release has none, and nothing in a mount is executed",
  },
  { word: "dev", instead: "nodev", why: "have devices: a release has none" },
];

/** Why nothing is mounted with such an option, and what may be said; undefined for others. @param subject what is to be mounted */
export function refusalOf(word: string, subject: string): string | undefined {
  const refused = REFUSED.find((one) => one.word === word);
  return (
    refused && `${subject} cannot be mounted to ${refused.why}; say ${refused.instead} instead of ${word}`
  );
}

/**
 * @param caller the process id of who has started the helper
 * @throws UsageError when somebody has written what a mount never is
 */
export async function checkWritten(caller: number, request: HelperRequest): Promise<void> {
  const { isMount, options } = await writtenFor(caller, request);
  for (const { word, instead } of REFUSED) {
    // The last one counts, as with mount(8).
    const last = request.words.findLast((one) => one === word || one === instead);
    if (last === instead) continue;
    const isTold = last === word && (word !== "rw" || isMount === false);
    if (isTold || options.includes(word)) {
      throw new UsageError(refusalOf(word, request.spec)!);
    }
  }
}

/**
 * The options that mount(8) was given for this mount, or found in fstab(5). @returns `isMount` undefined: nobody knows who the caller
 * is, and the mount is made, as it always is
 */
async function writtenFor(
  caller: number,
  place: Place,
): Promise<{ isMount: boolean | undefined; options: readonly string[] }> {
  const text = await readFile(`/proc/${caller}/cmdline`, "utf8").catch(() => undefined);
  if (text === undefined) return { isMount: undefined, options: [] };
  const [program, ...args] = text.split("\0").slice(0, -1);
  // Who starts the helper by hand has written what it is told.
  if (basename(program ?? "") !== "mount") return { isMount: false, options: [] };
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    // The others of mount(8) mean nothing here.
    strict: false,
    options: {
      options: { type: "string", short: "o", multiple: true },
      types: { type: "string", short: "t" },
      rw: { type: "boolean", short: "w" },
      "read-write": { type: "boolean" },
      fstab: { type: "string", short: "T" },
    },
  });
  const options = [values.options ?? []].flat().flatMap((list) => splitOptions(String(list)));
  if (values.rw || values["read-write"]) options.push("rw");
  // Told both what and where, mount(8) does not look there.
  if (positionals.length > 1) return { isMount: true, options };
  const fstab = await readFile(String(values.fstab ?? "/etc/fstab"), "utf8").catch(() => "");
  return {
    isMount: true,
    options: [...options, ...fstab.split("\n").flatMap((line) => optionsOf(line, place))],
  };
}

/** The options of a line of fstab(5), when it is about this mount. */
function optionsOf(line: string, place: Place): string[] {
  const [spec, directory, , options] = line.trim().split(/\s+/).map(unescapeOctal);
  const isIt =
    spec === place.spec && directory !== undefined && resolve(directory) === resolve(place.directory);
  return isIt ? splitOptions(options ?? "") : [];
}
