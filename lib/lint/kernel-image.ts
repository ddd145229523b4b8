/** A Linux kernel's file: how long it must be, and which version it says it is (the kernel's Documentation/arch/x86/boot.rst). */
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";

export interface KernelImage {
  /** Bytes that it has at least, as its header says. */
  readonly bytes: number;
  /** As `uname -r` has it; undefined where the header does not say. */
  readonly version: string | undefined;
}

const BOOT_FLAG = 0x1fe;
const MAGIC = 0x202;
const SECTOR = 512;
/** The header, and the version string, lie in the first sectors. */
const HEAD_BYTES = 64 * 1024;

/** Undefined where it is no bzImage. */
export async function readKernelImage(tree: BootTree, file: TreeFile): Promise<KernelImage | undefined> {
  const head = await tree.bytes(file, 0, HEAD_BYTES);
  if (head.length < MAGIC + 4 || head.readUInt16LE(BOOT_FLAG) !== 0xaa55) return undefined;
  if (head.toString("latin1", MAGIC, MAGIC + 4) !== "HdrS") return undefined;
  const setupSectors = head[0x1f1]! || 4;
  const paragraphs = head.readUInt32LE(0x1f4);
  const at = head.readUInt16LE(0x20e) + SECTOR;
  const end = head.indexOf(0, at);
  const text = at > SECTOR && end > at ? head.toString("latin1", at, end) : "";
  return {
    // The last paragraph need not be full.
    bytes: (setupSectors + 1) * SECTOR + paragraphs * 16 - 15,
    // Others than Linux use this header, and say what they are in their own way.
    version: /^\d+\.\d+\S*/.exec(text)?.[0],
  };
}
