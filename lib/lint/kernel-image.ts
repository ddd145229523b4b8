/** Reads a Linux kernel's file: its minimum length, and its version. */
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import { formatAt, readCompressed } from "./compressed.ts";

export interface KernelImage {
  /** The minimum length in bytes according to the header; 0 if the header does not tell. */
  readonly bytes: number;
  /** As `uname -r` prints it; undefined if it cannot be determined. */
  readonly version: string | undefined;
  /** Why it cannot be unpacked, as a clause; undefined if no problem was found. */
  readonly problem?: string | undefined;
}

const BOOT_FLAG = 0x1fe;
const MAGIC = 0x202;
const SECTOR = 512;
const PROTOCOL = 0x206;
/** Before this version of the boot protocol, the length has only 16 bits, too few for most kernels. */
const LONG_LENGTH = 0x204;
/** The header and the version string are in the first sectors. */
const HEAD_BYTES = 64 * 1024;
/**
 * Where arm64, RISC-V and LoongArch have their magic numbers (the kernel's Documentation/arch/arm64/booting.rst,
 * riscv/boot-image-header.rst, loongarch/booting.rst).
 */
const IMAGE_MAGIC = 0x38;
const IMAGE_MAGICS = ["ARM\x64", "RSC\x05", "\xcd\x23\x82\x81"];
/** The kernels of POWER and MIPS are ELF files. */
const ELF = "\x7fELF";
/** The first words that a kernel prints (init/version.c). */
const BANNER = "Linux version ";
/** The length of the banner, including the version. */
const BANNER_BYTES = 128;

/** Undefined if it is not a kernel. */
export async function readKernelImage(tree: BootTree, file: TreeFile): Promise<KernelImage | undefined> {
  const head = await tree.bytes(file, 0, HEAD_BYTES);
  return bzImage(head) ?? (await compressedImage(tree, file, head)) ?? (await plainImage(tree, file, head));
}

/** Documentation/arch/x86/boot.rst. */
function bzImage(head: Buffer): KernelImage | undefined {
  if (head.length < 0x210 || head.readUInt16LE(BOOT_FLAG) !== 0xaa55) return undefined;
  if (head.toString("latin1", MAGIC, MAGIC + 4) !== "HdrS") return undefined;
  const setupSectors = head[0x1f1]! || 4;
  const protocol = head.readUInt16LE(PROTOCOL);
  const paragraphs = head.readUInt32LE(0x1f4);
  const at = head.readUInt16LE(0x20e) + SECTOR;
  const end = head.indexOf(0, at);
  const text = at > SECTOR && end > at ? head.toString("latin1", at, end) : "";
  return {
    // The last paragraph may be incomplete.
    bytes: protocol < LONG_LENGTH ? 0 : (setupSectors + 1) * SECTOR + paragraphs * 16 - 15,
    // Other programs with this header describe themselves in other ways.
    version: /^\d+\.\d+\S*/.exec(text)?.[0],
  };
}

/** Image.gz, as arm64 uses it, or an EFI program that unpacks its kernel (drivers/firmware/efi/libstub/zboot-header.S). */
async function compressedImage(
  tree: BootTree,
  file: TreeFile,
  head: Buffer,
): Promise<KernelImage | undefined> {
  const isZboot =
    head.length >= 0x40 && head.toString("latin1", 0, 2) === "MZ" && head.toString("latin1", 4, 8) === "zimg";
  const at = isZboot ? head.readUInt32LE(8) : 0;
  const bytes = isZboot ? at + head.readUInt32LE(12) : 0;
  const format = await formatAt(tree, file, at);
  if (format === undefined) return isZboot ? { bytes, version: undefined } : undefined;
  const banner = new Banner();
  const { problem } = await readCompressed(tree, { file, at, format }, (part) => banner.write(part));
  // What follows the kernel in the program is not part of it.
  return { bytes, version: banner.version, problem: isZboot ? undefined : problem };
}

async function plainImage(tree: BootTree, file: TreeFile, head: Buffer): Promise<KernelImage | undefined> {
  const isElf = head.toString("latin1", 0, 4) === ELF;
  if (!isElf && !IMAGE_MAGICS.includes(head.toString("latin1", IMAGE_MAGIC, IMAGE_MAGIC + 4)))
    return undefined;
  const banner = new Banner();
  for await (const part of tree.stream(file, 0)) {
    banner.write(part);
    if (banner.version !== undefined) break;
  }
  return { bytes: 0, version: banner.version };
}

/** Finds a kernel's version in its bytes, which arrive in parts. */
class Banner {
  version: string | undefined;
  #before: Buffer = Buffer.alloc(0);

  write(part: Uint8Array): void {
    if (this.version !== undefined) return;
    const bytes = Buffer.concat([this.#before, part]);
    for (let at = bytes.indexOf(BANNER); at >= 0; at = bytes.indexOf(BANNER, at + 1)) {
      const text = bytes.toString("latin1", at + BANNER.length, at + BANNER_BYTES);
      // Matched with the character after it, so that it is complete.
      this.version = /^(\d+\.\d+\S*)\s/.exec(text)?.[1];
      if (this.version !== undefined) return;
    }
    this.#before = bytes.subarray(-BANNER_BYTES);
  }
}
