/**
 * Reads EFI programs: PE files, whose headers contain the machine, the length and the signature (Microsoft's PE format, "Optional
 * header").
 */
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";

export interface EfiProgram {
  /** As firmware calls it, such as x64 or aa64 (MACHINES); otherwise the number in hexadecimal. */
  readonly machine: string;
  /** The end of its sections and its signature, in bytes. */
  readonly bytes: number;
  readonly isSigned: boolean;
  /** Whether it has the section that identifies shim. */
  readonly isShim: boolean;
  /** GRUB's embedded modules; undefined if it is not GRUB. */
  readonly grubModules: { readonly offset: number; readonly size: number } | undefined;
}

const MACHINES = new Map([
  [0x8664, "x64"],
  [0x14c, "ia32"],
  [0xaa64, "aa64"],
  [0x1c2, "arm"],
  [0x1c0, "arm"],
  [0x5064, "riscv64"],
  [0x6264, "loongarch64"],
]);
const EFI_SUBSYSTEMS = new Set([10, 11, 12]);
const HEAD_BYTES = 4096;
const MAX_SECTIONS = 96;
const MAX_SBAT_BYTES = 64 * 1024;

/** Undefined if it is not an EFI program. */
export async function readEfiProgram(tree: BootTree, file: TreeFile): Promise<EfiProgram | undefined> {
  const head = await tree.bytes(file, 0, HEAD_BYTES);
  if (head.length < 0x40 || head.toString("latin1", 0, 2) !== "MZ") return undefined;
  const pe = head.readUInt32LE(0x3c);
  if (pe + 24 + 112 > head.length || head.toString("latin1", pe, pe + 4) !== "PE\0\0") return undefined;
  const optional = pe + 24;
  const isWide = head.readUInt16LE(optional) === 0x20b;
  if (!EFI_SUBSYSTEMS.has(head.readUInt16LE(optional + 68))) return undefined;
  const directories = optional + (isWide ? 112 : 96);
  const count = directories <= head.length ? head.readUInt32LE(directories - 4) : 0;
  const security = directories + 4 * 8;
  const hasSecurity = count > 4 && security + 8 <= head.length;
  const [signature, signatureBytes] = hasSecurity
    ? [head.readUInt32LE(security), head.readUInt32LE(security + 4)]
    : [0, 0];
  let bytes = signatureBytes > 0 ? signature + signatureBytes : 0;
  let isShim = false;
  let grubModules: EfiProgram["grubModules"];
  const sections = Math.min(head.readUInt16LE(pe + 6), MAX_SECTIONS);
  for (let index = 0; index < sections; index++) {
    const section = optional + head.readUInt16LE(pe + 20) + index * 40;
    if (section + 40 > head.length) break;
    const size = head.readUInt32LE(section + 16);
    const offset = head.readUInt32LE(section + 20);
    if (size > 0 && offset > 0) bytes = Math.max(bytes, offset + size);
    const name = head.toString("latin1", section, section + 8).replace(/\0.*$/s, "");
    if (name === "mods") grubModules = { offset, size };
    if (name === ".sbat") {
      const sbat = await tree.bytes(file, offset, Math.min(size, MAX_SBAT_BYTES));
      isShim = /^shim,/m.test(sbat.toString("latin1"));
    }
  }
  const machine = head.readUInt16LE(pe + 4);
  return {
    machine: MACHINES.get(machine) ?? `0x${machine.toString(16)}`,
    bytes,
    isSigned: signatureBytes > 0,
    isShim,
    grubModules,
  };
}
