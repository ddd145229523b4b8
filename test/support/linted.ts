/** Makes trees in memory for lint. */
import { BootTree, type ReadFile } from "../../lib/lint/boot-tree.ts";
import type { Finding } from "../../lib/lint/finding.ts";
import { lint } from "../../lib/lint/lint.ts";
import { comparePaths } from "../../lib/tree/manifest.ts";
import { parentPath } from "../../lib/tree/rules.ts";
import { Tree, type TreeEntry } from "../../lib/tree/tree.ts";

/** A file's content by its path; an object is a link. */
export type Files = Readonly<Record<string, string | Uint8Array | { readonly link: string }>>;

/** Lint's findings in a tree. */
export async function linted(files: Files): Promise<Finding[]> {
  const { tree, read } = contentOf(files);
  return lint(tree, read);
}

/** A tree as lint reads it. */
export function treeOf(files: Files): BootTree {
  const { tree, read } = contentOf(files);
  return new BootTree(tree, read);
}

function contentOf(files: Files): { tree: Tree; read: ReadFile } {
  const contents = new Map<string, Buffer>();
  const entries = new Map<string, TreeEntry>();
  for (const [path, content] of Object.entries(files)) {
    for (let directory = parentPath(path); directory !== ""; directory = parentPath(directory)) {
      entries.set(directory, { kind: "directory", path: directory, modified: 0n });
    }
    if (typeof content === "object" && "link" in content) {
      entries.set(path, { kind: "symlink", path, modified: 0n, target: content.link });
      continue;
    }
    const bytes = Buffer.from(content as string);
    contents.set(path, bytes);
    entries.set(path, {
      kind: "file",
      path,
      modified: 0n,
      size: bytes.length,
      executable: false,
      sha256: undefined,
      extents: [],
    });
  }
  const sorted = [...entries.values()].sort((a, b) => comparePaths(a.path, b.path));
  // In small pieces, so that no code relies on where the bytes are split.
  const read = async function* ({ path }: { readonly path: string }, from: number) {
    const bytes = contents.get(path)!;
    for (let at = from; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
  };
  return { tree: Tree.of({ chunks: [], entries: sorted }, 0n), read };
}

/** The kind, file and line of each finding, one finding per line. */
export async function places(files: Files): Promise<string[]> {
  const findings = await linted(files);
  return findings.map(({ kind, file, line }) => `${kind} ${file}${line === undefined ? "" : `:${line}`}`);
}

/** The beginning of a bzImage with a consistent length. */
export function kernel(version: string, paragraphs = 64): Buffer {
  const image = Buffer.alloc(2 * 512 + paragraphs * 16);
  image[0x1f1] = 1;
  image.writeUInt32LE(paragraphs, 0x1f4);
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write("HdrS", 0x202, "latin1");
  image.writeUInt16LE(0x20f, 0x206);
  image.writeUInt16LE(0x100, 0x20e);
  image.write(`${version} (builder@host) #1 SMP\0`, 0x300, "latin1");
  return image;
}

/** A cpio archive with empty files of these names. */
export function cpio(names: readonly string[]): Buffer {
  const entries = [...names, "TRAILER!!!"].map((name) => {
    const bytes = Buffer.byteLength(name) + 1;
    const fields = [0, 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, bytes, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
    return padded(Buffer.from(`${header}${name}\0`, "latin1"));
  });
  return Buffer.concat(entries);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

/** An EFI program, signed if `signature` has bytes, with at most one section. */
export function efiProgram(
  machine: number,
  {
    signature = 0,
    sbat = "",
    mods = Buffer.alloc(0),
  }: { signature?: number; sbat?: string; mods?: Buffer } = {},
): Buffer {
  const content = sbat === "" ? mods : Buffer.from(sbat, "latin1");
  const image = Buffer.alloc(1024 + content.length + signature);
  image.write("MZ", 0, "latin1");
  image.writeUInt32LE(0x80, 0x3c);
  image.write("PE\0\0", 0x80, "latin1");
  image.writeUInt16LE(machine, 0x84);
  image.writeUInt16LE(content.length === 0 ? 0 : 1, 0x86);
  image.writeUInt16LE(240, 0x94);
  const optional = 0x98;
  image.writeUInt16LE(0x20b, optional);
  image.writeUInt16LE(10, optional + 68);
  image.writeUInt32LE(16, optional + 108);
  if (signature > 0) {
    image.writeUInt32LE(1024 + content.length, optional + 112 + 32);
    image.writeUInt32LE(signature, optional + 112 + 36);
  }
  if (content.length > 0) {
    const section = optional + 240;
    image.write(sbat === "" ? "mods" : ".sbat", section, "latin1");
    image.writeUInt32LE(content.length, section + 16);
    image.writeUInt32LE(1024, section + 20);
    content.copy(image, 1024);
  }
  return image;
}

/** A GRUB for x64 that looks in `prefix`. @param config its first commands @param memdisk the content of its disk */
export function grubImage(prefix: string, config = "", memdisk = ""): Buffer {
  const kinds = [
    ["ELF", 0],
    [memdisk, 1],
    [config, 2],
    [prefix, 3],
  ] as const;
  const parts = kinds
    .filter(([content]) => content !== "")
    .map(([content, kind]) => {
      const head = Buffer.alloc(8);
      head.writeUInt32LE(kind);
      const body = padded(Buffer.from(`${content}\0`, "latin1"));
      head.writeUInt32LE(8 + body.length, 4);
      return Buffer.concat([head, body]);
    });
  const info = Buffer.alloc(24);
  info.write("mimg", "latin1");
  info.writeUInt32LE(24, 8);
  const mods = Buffer.concat([info, ...parts]);
  mods.writeUInt32LE(mods.length, 16);
  return efiProgram(0x8664, { mods });
}

/** The beginning of an ELF file of 32 or 64 bits that contains these names. */
export function elf(bits: 32 | 64, names: readonly string[] = []): Buffer {
  const head = Buffer.alloc(64);
  head.writeUInt32BE(0x7f454c46, 0);
  head[4] = bits / 32;
  return Buffer.concat([head, Buffer.from(`\0${names.join("\0")}\0`, "latin1")]);
}
