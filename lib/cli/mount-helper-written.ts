/**
 * Whether somebody wants to write. mount(8) tells its helper `rw` when that was asked for, and when nothing was said at all; only
 * its own command line and fstab(5) tell which.
 */
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { parseArgs } from "node:util";
import { unescapeOctal } from "../fs/mounting/mountinfo.ts";
import { splitOptions } from "./mount-helper.ts";

/**
 * Whether the `rw` that the helper got was written by anybody. When that cannot be found out it was not: then the mount is made,
 * and is read-only.
 *
 * @param caller the process id of who has started the helper
 * @param mount what is to be mounted, and where
 */
export async function wroteRw(
  caller: number,
  mount: { readonly spec: string; readonly directory: string },
): Promise<boolean> {
  const text = await readFile(`/proc/${caller}/cmdline`, "utf8").catch(() => undefined);
  if (text === undefined) return false;
  const [program, ...args] = text.split("\0").slice(0, -1);
  // Who starts the helper by hand has written it.
  if (basename(program ?? "") !== "mount") return true;
  const { values } = parseArgs({
    args,
    // The others of mount(8) mean nothing here.
    strict: false,
    options: {
      options: { type: "string", short: "o", multiple: true },
      rw: { type: "boolean", short: "w" },
      "read-write": { type: "boolean" },
      fstab: { type: "string", short: "T" },
    },
  });
  if (values.rw || values["read-write"] || [values.options ?? []].flat().some(hasRw)) return true;
  const fstab = await readFile(String(values.fstab ?? "/etc/fstab"), "utf8").catch(() => "");
  return fstab.split("\n").some((line) => isOf(line, mount));
}

function hasRw(list: string | boolean): boolean {
  return splitOptions(String(list)).includes("rw");
}

/** Whether a line of fstab(5) is about this mount, and has `rw`. */
function isOf(line: string, mount: { readonly spec: string; readonly directory: string }): boolean {
  const [spec, directory, , options] = line.trim().split(/\s+/).map(unescapeOctal);
  return (
    spec === mount.spec &&
    directory !== undefined &&
    resolve(directory) === resolve(mount.directory) &&
    hasRw(options ?? "")
  );
}
