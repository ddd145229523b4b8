/**
 * Refuses options that contradict what a mount is, if somebody wrote them. mount(8) passes `rw` to its helper when it was
 * requested and also when nothing was given; it never passes `exec`, `suid` and `dev`. Only its own command line and fstab(5)
 * tell what was written.
 */
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { parseArgs } from "node:util";
import { UsageError } from "../errors.ts";
import { unescapeOctal } from "../fs/mounting/mountinfo.ts";
import { type HelperRequest, splitOptions } from "./mount-helper.ts";

/** What to mount, and where. */
type Place = Pick<HelperRequest, "spec" | "directory">;

interface Refused {
  readonly word: string;
  /** Its opposite, which is true of every icfs mount and can be written. */
  readonly instead: string;
  readonly why: string;
}

const REFUSED: readonly Refused[] = [
  { word: "rw", instead: "ro", why: "be written to: releases are made by `icfs publish`" },
  {
    word: "exec",
    instead: "noexec",
    why: "run programs from: any publisher could then run code on this host",
  },
  {
    word: "suid",
    instead: "nosuid",
    why: "have set-user-ID programs: a release has none, and nothing in a mount is executed",
  },
  { word: "dev", instead: "nodev", why: "have devices: a release has none" },
];

/** Why an option is refused, and what to write instead; undefined for other options. @param subject what to mount */
export function refusalOf(word: string, subject: string): string | undefined {
  const refused = REFUSED.find((one) => one.word === word);
  return (
    refused && `${subject} cannot be mounted to ${refused.why}; say ${refused.instead} instead of ${word}`
  );
}

/**
 * @param caller the process id of the helper's caller
 * @throws UsageError when such an option was written
 */
export async function checkWritten(caller: number, request: HelperRequest): Promise<void> {
  const { isMount, options } = await writtenFor(caller, request);
  for (const { word, instead } of REFUSED) {
    // The last one counts, as in mount(8).
    const last = request.words.findLast((one) => one === word || one === instead);
    if (last === instead) continue;
    const isTold = last === word && (word !== "rw" || isMount === false);
    if (isTold || options.includes(word)) {
      throw new UsageError(refusalOf(word, request.spec)!);
    }
  }
}

/**
 * The options that mount(8) was given for this mount, or found in fstab(5).
 *
 * @returns `isMount` undefined: the caller is unknown, and the mount is made without this check
 */
async function writtenFor(
  caller: number,
  place: Place,
): Promise<{ isMount: boolean | undefined; options: readonly string[] }> {
  const text = await readFile(`/proc/${caller}/cmdline`, "utf8").catch(() => undefined);
  if (text === undefined) return { isMount: undefined, options: [] };
  const [program, ...args] = text.split("\0").slice(0, -1);
  // A user who starts the helper by hand has written all of its options.
  if (basename(program ?? "") !== "mount") return { isMount: false, options: [] };
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    // The other options of mount(8) do not matter here.
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
  // Given both a source and a directory, mount(8) does not read fstab.
  if (positionals.length > 1) return { isMount: true, options };
  const fstab = await readFile(String(values.fstab ?? "/etc/fstab"), "utf8").catch(() => "");
  return {
    isMount: true,
    options: [...options, ...fstab.split("\n").flatMap((line) => optionsOf(line, place))],
  };
}

/** The options of a line of fstab(5), if it describes this mount. */
function optionsOf(line: string, place: Place): string[] {
  const [spec, directory, , options] = line.trim().split(/\s+/).map(unescapeOctal);
  const isIt =
    spec === place.spec && directory !== undefined && resolve(directory) === resolve(place.directory);
  return isIt ? splitOptions(options ?? "") : [];
}
