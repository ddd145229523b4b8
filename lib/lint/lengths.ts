/** Lengths that the headers of images tell: of U-Boot's, of kernels for ARM, of device trees, and of ELF files. */

const UIMAGE = 0x27051956;
const UIMAGE_HEADER_BYTES = 64;
/** A device tree, or a FIT image, which has its form (Devicetree Specification, 5.2). */
const DEVICE_TREE = 0xd00dfeed;
const ELF = 0x7f454c46;
/** The kernel's arch/arm/boot/compressed/head.S. */
const ZIMAGE = 0x016f2818;
const ZIMAGE_AT = 0x24;

/** The bytes that the file has at least; 0 if its header does not tell. @param head the first kilobytes */
export function leastBytes(head: Buffer): number {
  if (head.length < 0x40) return 0;
  const magic = head.readUInt32BE(0);
  if (magic === UIMAGE) return UIMAGE_HEADER_BYTES + head.readUInt32BE(12);
  if (magic === DEVICE_TREE) return head.readUInt32BE(4);
  if (magic === ELF) return elfBytes(head);
  if (head.readUInt32LE(ZIMAGE_AT) !== ZIMAGE) return 0;
  return head.readUInt32LE(ZIMAGE_AT + 8) - head.readUInt32LE(ZIMAGE_AT + 4);
}

/** The end of what is loaded of the file (elf(5)). */
function elfBytes(head: Buffer): number {
  const isWide = head[4] === 2;
  const isBig = head[5] === 2;
  const half = (at: number) => (isBig ? head.readUInt16BE(at) : head.readUInt16LE(at));
  const word = (at: number) => (isBig ? head.readUInt32BE(at) : head.readUInt32LE(at));
  // No file has 4 GiB, so the lower half of a long number is enough.
  const long = (at: number) => word(isWide && isBig ? at + 4 : at);
  const table = long(isWide ? 0x20 : 0x1c);
  const size = half(isWide ? 0x36 : 0x2a);
  let bytes = 0;
  for (let index = 0; index < half(isWide ? 0x38 : 0x2c); index++) {
    const at = table + index * size;
    if (at + 0x28 > head.length) break;
    bytes = Math.max(bytes, long(at + (isWide ? 8 : 4)) + long(at + (isWide ? 0x20 : 0x10)));
  }
  return bytes;
}
