/** Names that machines cannot request from a TFTP server. */
import type { BootTree } from "./boot-tree.ts";
import type { Finding } from "./finding.ts";

/** The length of DHCP's boot file field (RFC 2131, section 2), including the final zero. */
const BOOT_FILE_BYTES = 128;
const LOADER = /\.(efi|0|k{0,2}pxe)$/i;

export function lintNames(tree: BootTree): Finding[] {
  const findings: Finding[] = [];
  for (const { path } of tree.files()) {
    const add = (problem: string, outcome: string, advice: string) =>
      findings.push({ kind: "name", file: path, line: undefined, problem, outcome, advice });
    if (path.includes("\\")) {
      add(
        "has a backslash in its name",
        "TFTP servers take it for a slash, and find nothing",
        "Rename the file",
      );
    }
    if (LOADER.test(path) && Buffer.byteLength(path) >= BOOT_FILE_BYTES) {
      add(
        `has a path of ${Buffer.byteLength(path)} bytes`,
        `DHCP names a boot file in ${BOOT_FILE_BYTES - 1} bytes at most, so no machine can be sent to it`,
        "Give it a shorter path",
      );
    }
    if (/^\s|\s$|\/\s|\s\//.test(path)) {
      add(
        "has a blank at the beginning or end of a name",
        "Boot loaders drop the blank, and find nothing",
        "Rename the file",
      );
    }
  }
  return findings;
}
