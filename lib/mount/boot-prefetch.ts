/**
 * What a boot configuration says will be read next: whoever opens pxelinux's or GRUB's configuration will soon open the
 * kernel and the initrd that it names. No grammar is needed for that: every word that names a file of the tree counts.
 */
import type { Tree, TreeFile } from "../tree/tree.ts";

/** Configurations are text for people; whatever is larger is something else. */
const MAX_CONFIGURATION_BYTES = 64 * 1024;
/** A menu may name every installer there is. The first ones are those at the top. */
const MOST_FILES = 16;

/** Tells a boot loader's configuration by its path: pxelinux.cfg/default, grub.cfg, menu.ipxe. */
export function isBootConfiguration({ path, size }: TreeFile): boolean {
  if (size > MAX_CONFIGURATION_BYTES) return false;
  return /(^|\/)pxelinux\.cfg\/[^/]+$/.test(path) || /\.(cfg|conf|ipxe)$/i.test(path);
}

/** The files that a configuration names, in its order. @param path of the configuration */
export function filesNamedIn(text: string, path: string, tree: Tree): TreeFile[] {
  const directory = parentOf(path);
  // pxelinux looks from where it was loaded itself, which is above pxelinux.cfg.
  const bases = ["", directory, parentOf(directory)];
  const found = new Set<TreeFile>();
  for (const word of words(text)) {
    for (const base of bases) {
      const entry = tree.find(`${base}/${word}`)?.entry;
      if (entry?.kind !== "file") continue;
      if (entry.path !== path) found.add(entry);
      break;
    }
    if (found.size >= MOST_FILES) break;
  }
  return [...found];
}

/** `linux (tftp)/a/linux`, `append initrd=a.gz,b.gz`, `set prefix="x"`, `kernel tftp://host/a`: all of a, a.gz, b.gz. */
function words(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => !/^\s*#/.test(line))
    .flatMap((line) => line.replace(/\([^)\s]*\)/g, "").split(/[\s=,"']+/))
    .map((word) => word.replace(/^([a-z]+:\/\/[^/]*|\$\{?[a-z_]+\}?)/i, ""))
    .filter((word) => /[^/.]/.test(word));
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
