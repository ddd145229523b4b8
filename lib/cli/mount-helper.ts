/**
 * Translates the arguments of mount(8)'s helper, `mount.icfs SPEC DIR [-sfnv] [-t TYPE] [-o OPTIONS]`, to those of `icfs mount`.
 * The options keep the names they have there, so that the command's own parser checks their values.
 */
import { parseArgs } from "node:util";
import type { Option } from "commander";
import { messageOf, UsageError } from "../errors.ts";

export interface HelperRequest {
  /** The canister or release, as fstab names it. */
  readonly spec: string;
  readonly directory: string;
  /** -f: check the request without mounting. */
  readonly fake: boolean;
  /** -v */
  readonly verbose: boolean;
  /** Whether to change the options of an existing mount. */
  readonly remount: boolean;
  /** All options, as written or as mount(8) adds them: `rw` appears even if nobody wrote it. */
  readonly words: readonly string[];
  /** The arguments for `icfs mount`. */
  readonly argv: readonly string[];
}

/**
 * Options about how and by whom fstab is read; mount(8) passes some of them on. Those that start with x- belong to other
 * programs.
 */
const ELSEWHERE = /^(_netdev|(no)?fail|(no)?auto|(no)?users?|owner|group|defaults|comment=.*|[xX]-.*)$/;
/** Options that every icfs mount has anyway, and options that mean nothing without writes and access times. */
const ANYWAY =
  /^(ro|nosuid|nodev|noexec|async|sync|dirsync|(no|rel|strict|norel|nostrict)?atime|(no)?diratime|(no)?lazytime|(no)?iversion|(no)?mand|silent|loud)$/;
/** Options that contradict what an icfs mount is: mount-helper-refused.ts refuses them. */
const NEVER = /^(rw|exec|suid|dev)$/;
/** Options of the command rather than the mount: mount(8) waits until the mount is live, and reads no output. */
const NOT_FOR_FSTAB = new Set(["foreground", "json"]);

/** Whether an option of `icfs mount` can be used with mount(8). @param name without dashes, as in Option.name() */
export function isForFstab(name: string): boolean {
  return !NOT_FOR_FSTAB.has(name);
}

/**
 * @param args the arguments after the helper's name
 * @param known the options of `icfs mount`
 * @throws UsageError
 */
export function parseHelperArguments(args: readonly string[], known: readonly Option[]): HelperRequest {
  const { values, positionals } = parseCommandLine(args);
  const [spec, directory, ...more] = positionals;
  if (spec === undefined || directory === undefined || more.length > 0) {
    throw new UsageError("usage: mount.icfs CANISTER DIR [-sfnv] [-t TYPE] [-o OPTIONS]");
  }
  const words = (values.o ?? []).flatMap(splitOptions);
  // For a remount, mount(8) also passes on options of FUSE from /proc/mounts, which nobody wrote.
  const remount = words.includes("remount");
  const argv: string[] = [];
  for (const one of words) {
    if (remount || ELSEWHERE.test(one) || ANYWAY.test(one) || NEVER.test(one)) continue;
    const argument = argumentFor(one, known);
    if (argument !== undefined) argv.push(argument);
    else if (!values.s) throw new UsageError(`unknown option "${nameIn(one)}"`);
  }
  return {
    spec,
    directory,
    fake: values.f === true,
    verbose: values.v === true,
    remount,
    words,
    argv: [...argv, "--", spec, directory],
  };
}

function parseCommandLine(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        // Sloppy: tolerate unknown options.
        s: { type: "boolean", short: "s" },
        f: { type: "boolean", short: "f" },
        // Do not write /etc/mtab: today it is a link to /proc/self/mounts.
        n: { type: "boolean", short: "n" },
        v: { type: "boolean", short: "v" },
        // `icfs` or `fuse.icfs`, which are the same.
        t: { type: "string", short: "t" },
        o: { type: "string", short: "o", multiple: true },
      },
    });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** Splits a list of options at its commas, except within double quotes. The quotes are removed. */
export function splitOptions(list: string): string[] {
  return [...list.matchAll(/(?:"[^"]*"|[^,])+/g)].map(([one]) => one.replaceAll('"', ""));
}

/** `max-stale=7d` becomes `--max-stale=7d`; undefined when there is no such option. @throws UsageError */
function argumentFor(written: string, known: readonly Option[]): string | undefined {
  const name = nameIn(written);
  const option = known.find(({ long }) => long === `--${name}`);
  if (option === undefined || !isForFstab(name)) return undefined;
  const hasValue = written.length > name.length;
  if (hasValue && !option.required) throw new UsageError(`option "${name}" takes no value`);
  if (!hasValue && option.required) throw new UsageError(`option "${name}" needs a value: ${name}=...`);
  return `--${written}`;
}

function nameIn(written: string): string {
  return written.split("=", 1)[0]!;
}
