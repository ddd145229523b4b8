/**
 * What mount(8) asks of its helper: `mount.icfs SPEC DIR [-sfnv] [-t TYPE] [-o OPTIONS]`, as the arguments of `icfs mount`. The
 * options have the names of that command's, so that its parser is the one that knows their values.
 */
import { parseArgs } from "node:util";
import type { Option } from "commander";
import { messageOf, UsageError } from "../errors.ts";

export interface HelperRequest {
  /** The canister as fstab names it, or a release of it. */
  readonly spec: string;
  readonly directory: string;
  /** -f: say what is wrong with the request, and mount nothing. */
  readonly fake: boolean;
  /** -v */
  readonly verbose: boolean;
  /** The mount is there already, and is to get other options. */
  readonly remount: boolean;
  /** All options, as they were written or as mount(8) says them: `rw` also where nobody has. */
  readonly words: readonly string[];
  /** What `icfs mount` is to parse. */
  readonly argv: readonly string[];
}

/** About how fstab is read, and by whom; mount(8) passes some of them on. What begins with x- is an application's own. */
const ELSEWHERE = /^(_netdev|(no)?fail|(no)?auto|(no)?users?|owner|group|defaults|comment=.*|[xX]-.*)$/;
/** What a mount of ours is in any case, and what means nothing where there are no writes and no times of access. */
const ANYWAY =
  /^(ro|nosuid|nodev|noexec|async|sync|dirsync|(no|rel|strict|norel|nostrict)?atime|(no)?diratime|(no)?lazytime|(no)?iversion|(no)?mand|silent|loud)$/;
/** What a mount never is: mount-helper-refused.ts refuses them. */
const NEVER = /^(rw|exec|suid|dev)$/;
/** Of the command itself, not of the mount: mount(8) waits until it is live, and reads no output. */
const NOT_FOR_FSTAB = new Set(["foreground", "json"]);

/** Whether an option of `icfs mount` is one of mount(8)'s as well. @param name without dashes, as Option.name() has it */
export function isForFstab(name: string): boolean {
  return !NOT_FOR_FSTAB.has(name);
}

/**
 * @param args what stands behind the helper's name
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
  // Then mount(8) passes on what /proc/mounts says as well: options of FUSE, which nobody has written.
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
        // Tolerate options that are not known.
        s: { type: "boolean", short: "s" },
        f: { type: "boolean", short: "f" },
        // Write no /etc/mtab: there is none to write.
        n: { type: "boolean", short: "n" },
        v: { type: "boolean", short: "v" },
        // `icfs` or `fuse.icfs`, which is the same.
        t: { type: "string", short: "t" },
        o: { type: "string", short: "o", multiple: true },
      },
    });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** The options in a list with commas, of which those within double quotes belong to a value. The quotes go. */
export function splitOptions(list: string): string[] {
  return [...list.matchAll(/(?:"[^"]*"|[^,])+/g)].map(([one]) => one.replaceAll('"', ""));
}

/** `max-stale=7d` as `--max-stale=7d`; undefined when there is no such option. @throws UsageError */
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
