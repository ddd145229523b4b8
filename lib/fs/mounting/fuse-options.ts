/** The options of a mount: those that the user can choose, and those for libfuse. */

import { UsageError, UserError } from "../../errors.ts";
import { isUnsafe } from "../../log.ts";
import type { Attributes } from "../view/filesystem.ts";

export interface MountOptions {
  /** The canister as the user named it; /proc/mounts shows it as the source, which must equal the one in fstab. */
  readonly source: string;
  /** Lets users other than the one who mounts read: a TFTP server runs as nobody. */
  readonly allowOther: boolean;
  /** The owner of every file and directory. */
  readonly uid: number;
  readonly gid: number;
  /** Permission bits of files; executable ones get an x for each r. */
  readonly fileMode: number;
  /** Permission bits of directories. */
  readonly dirMode: number;
  /** The SELinux label of all files; default: the policy's for FUSE. Only over the kernel transport. */
  readonly context?: string;
}

/**
 * All files are readable by everybody, and owned by the mounting user. Only root lets other users read: anybody else would need
 * user_allow_other in /etc/fuse.conf.
 */
export function defaultMountOptions(source: string): MountOptions {
  const uid = process.getuid!();
  return { source, allowOther: uid === 0, uid, gid: process.getgid!(), fileMode: 0o444, dirMode: 0o555 };
}

const PERMISSION_BITS = 0o777;
const TYPE_BITS = { file: 0o100000, directory: 0o040000, symlink: 0o120000 };

// Longer than any canister's name; fuse-native's buffer has no room for more besides the other options.
const MAX_SOURCE_BYTES = 500;

/** @throws UserError when the source could not be shown as it is in /proc/mounts */
export function checkSource({ source }: MountOptions): void {
  if (isUnsafe(source)) throw new UserError("the canister's name has a control character in it");
  if (Buffer.byteLength(source) > MAX_SOURCE_BYTES) {
    throw new UserError("the canister's name is too long to mount it");
  }
}

/** The st_mode of an inode under these options. */
export function modeOf(
  { kind, executable }: Pick<Attributes, "kind" | "executable">,
  options: MountOptions,
): number {
  // Nobody looks at a symlink's own permissions.
  if (kind === "symlink") return TYPE_BITS.symlink | PERMISSION_BITS;
  if (kind === "directory") return TYPE_BITS.directory | (options.dirMode & PERMISSION_BITS);
  const mode = options.fileMode & PERMISSION_BITS;
  return TYPE_BITS.file | mode | (executable ? (mode & 0o444) >> 2 : 0);
}

// fuse-native copies the option string into a buffer of 1024 bytes and cuts off what does not fit.
const MAX_OPTIONS_BYTES = 1023;

/**
 * The argument for libfuse 2. It has only options that are known to work: if libfuse refuses one, it leaves a dead mount
 * behind.
 *
 * @param hideFiles allows a mountpoint with files in it
 * @throws UserError when the source cannot be passed on
 */
export function fuseArgument(options: MountOptions, hideFiles: boolean): string {
  checkSource(options);
  if (options.context !== undefined) throw new UsageError("--context needs --transport kernel");
  const list = [
    "ro",
    "nosuid",
    "nodev",
    "noexec",
    // The kernel checks the modes, so that there is no `access` operation.
    "default_permissions",
    // Inode numbers are the file system's: dnsmasq distinguishes files by them.
    "use_ino",
    "readdir_ino",
    // Names and attributes are never cached: the answers come from memory, and nothing is ever outdated.
    "attr_timeout=0",
    "entry_timeout=0",
    "negative_timeout=0",
    // Page cache: libfuse 2 knows a file by its path. With auto_cache a path's pages survive from one open to the next
    // unless its time or size has changed, so that reading again costs nothing; lib/fs/libfuse/open-paths.ts makes sure that this is
    // enough. With kernel_cache, the pages of two versions of a path would mix when releases are switched. With neither,
    // every open discards the file's pages, and waits for a pending read of the same file to do so: one cold file
    // would stall a TFTP server that opens it a second time.
    "auto_cache",
    // More reads than this wait in the kernel. Its default of 12 is fewer than the machines that boot at once, and
    // a dozen slow reads would delay those that the cache could answer.
    "max_background=64",
    `fsname=${escapeOption(options.source)}`,
    "subtype=icfs",
  ];
  if (options.allowOther) list.push("allow_other");
  if (hideFiles) list.push("nonempty");
  const argument = `-o${list.join(",")}`;
  if (Buffer.byteLength(argument) > MAX_OPTIONS_BYTES)
    throw new UserError("the canister's name is too long to mount it");
  return argument;
}

// libfuse takes an unescaped comma for the next option: a source must not be able to add any.
function escapeOption(value: string): string {
  return value.replace(/[\\,]/g, "\\$&");
}
