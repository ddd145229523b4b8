/** Checks a tree from the perspective of the machines that boot from it. */
import type { Tree } from "../tree/tree.ts";
import { BootTree, type ReadFile } from "./boot-tree.ts";
import type { Finding } from "./finding.ts";
import { lintGrub } from "./grub.ts";
import { lintImages } from "./images.ts";
import { lintIpxe } from "./ipxe.ts";
import { lintNames } from "./names.ts";
import type { Configured } from "./references.ts";
import { withoutRepeats } from "./repeats.ts";
import { lintSyslinux } from "./syslinux.ts";

/**
 * Finds what keeps machines from booting, as far as the tree shows it, by file and line. It does not report problems that boot
 * loaders handle.
 *
 * @param read how to read the tree's files
 */
export async function lint(tree: Tree, read: ReadFile): Promise<Finding[]> {
  const files = new BootTree(tree, read);
  const configured: Configured = { pairs: [], kernels: new Map(), initrds: new Map() };
  const findings = [
    ...lintNames(files),
    ...(await lintSyslinux(files, configured)),
    ...(await lintGrub(files, configured)),
    ...(await lintIpxe(files, configured)),
    ...(await lintImages(files, configured)),
  ];
  findings.push(...wronglyEncoded(files));
  return withoutRepeats(findings.sort(byPlace));
}

/** As editors of Windows save text. */
function wronglyEncoded({ encodings }: BootTree): Finding[] {
  return [...encodings].map(([file, encoding]) => ({
    kind: "broken-image",
    file,
    line: 1,
    problem: encoding === "UTF-16" ? "is text in UTF-16" : "begins with a byte order mark",
    outcome:
      encoding === "UTF-16"
        ? "Boot loaders understand nothing in it"
        : "Boot loaders do not understand its first line",
    advice: "Save it in UTF-8 without a byte order mark",
  }));
}

function byPlace(a: Finding, b: Finding): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return (a.line ?? 0) - (b.line ?? 0);
}
