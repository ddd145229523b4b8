/** Checks kernels, initrds and EFI programs: whether they are complete, match each other, and are accepted by machines. */
import { baseName, parentPath } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import { type EfiProgram, readEfiProgram } from "./efi-program.ts";
import type { Finding } from "./finding.ts";
import { isGrubConfig } from "./grub.ts";
import { lintGrubImages } from "./grub-image.ts";
import { type Initrd, readInitrd } from "./initrd.ts";
import { type KernelImage, readKernelImage } from "./kernel-image.ts";
import { leastBytes } from "./lengths.ts";
import { type Configured, placesOf } from "./references.ts";

const INITRD_NAME = /^(initrd|initramfs|initrd\.img|uInitrd)([-.].*)?$/i;
const KERNEL_NAME = /^(vmlinu[xz]|(bz|z|u)?Image|linux)([-.].*)?$/;
const LOADER_NAME = /\.(efi|c32|k{0,2}pxe|lkrn)$|(linux|boot|grub|pxe|core)[^./]*\.0$/i;
/** Files that describe a kernel or an initrd rather than being one. */
const TEXT_NAME = /\.(cfg|conf|txt|md|html?|json|ya?ml|list|ipxe|md5|sha\d+|\w*sums?|sig|asc)$/i;
/** Enough to see what a file is. */
const HEAD_BYTES = 4096;
/** What servers and Git LFS leave in place of a file. */
const INSTEAD: readonly (readonly [RegExp, string])[] = [
  [/^\s*<(!doctype html|html|head)\b/i, "a web page, not an image"],
  [/^version https:\/\/git-lfs\.github\.com\/spec\//, "a pointer of Git LFS, not an image"],
];
/** EFI programs, and those of Apple's firmware and of UEFI's own volumes. */
const EFI_BEGINNING = /^(MZ|VZ|\xb9\xfa)/;
/** The machine that a name promises to firmware (UEFI specification, 3.5.1.1). */
const EFI_NAME = /(?:(x64|ia32|aa64|riscv64|loongarch64)|(?<=boot|grub|shim|mm|fb|net)(arm))\.efi$/i;

export async function lintImages(tree: BootTree, configured: Configured): Promise<Finding[]> {
  const findings: Finding[] = [];
  const kernels = new Map<string, KernelImage>();
  const initrds = new Map<string, Initrd>();
  const programs = new Map<string, EfiProgram>();
  const add = (file: TreeFile, finding: Omit<Finding, "file" | "line">) => {
    findings.push({ file: file.path, line: undefined, ...finding });
  };
  for (const file of tree.files()) {
    const name = baseName(file.path);
    const isText = TEXT_NAME.test(name);
    const isKernel = configured.kernels.has(file.path) || (KERNEL_NAME.test(name) && !isText);
    const isInitrd = configured.initrds.has(file.path) || (INITRD_NAME.test(name) && !isText);
    const isLoader = LOADER_NAME.test(name);
    if (!isKernel && !isInitrd && !isLoader) continue;
    if (file.size === 0) {
      add(file, {
        kind: "empty-file",
        problem: "is empty",
        outcome: "The machine has nothing to start",
        advice: "Publish the file again, whole",
      });
      continue;
    }
    const head = await tree.bytes(file, 0, HEAD_BYTES);
    const instead = insteadOf(file, head);
    if (instead !== undefined) {
      add(file, {
        kind: "broken-image",
        problem: `is ${instead}`,
        outcome: "The machine refuses it, or stops while it starts",
        advice: "Fetch the file itself, and publish it again",
      });
      continue;
    }
    if (isInitrd) {
      const initrd = await readInitrd(tree, file);
      initrds.set(file.path, initrd);
      const promised = leastBytes(head);
      if (promised > file.size) add(file, tooShort(file, promised));
      if (initrd.problem !== undefined) {
        add(file, {
          kind: "broken-image",
          problem: `cannot be unpacked: ${initrd.problem}`,
          outcome: 'The kernel says "Initramfs unpacking failed", and panics when it finds no root',
          advice: "Publish the file again, whole",
        });
      }
      continue;
    }
    const kernel = await readKernelImage(tree, file);
    const program = await readEfiProgram(tree, file);
    if (kernel !== undefined) kernels.set(file.path, kernel);
    if (program !== undefined) programs.set(file.path, program);
    if (kernel?.problem !== undefined) {
      add(file, {
        kind: "broken-image",
        problem: `cannot be unpacked: ${kernel.problem}`,
        outcome: "The boot loader cannot start it",
        advice: "Publish the file again, whole",
      });
    }
    const promised = Math.max(kernel?.bytes ?? 0, program?.bytes ?? 0, leastBytes(head));
    if (promised > file.size) add(file, tooShort(file, promised));
    const [, wide, arm] = EFI_NAME.exec(name) ?? [];
    const expected = (wide ?? arm)?.toLowerCase();
    if (program !== undefined && expected !== undefined && program.machine !== expected) {
      add(file, {
        kind: "wrong-architecture",
        problem: `is a program for ${program.machine}; its name says ${expected}`,
        outcome: `Firmware for ${expected} refuses it`,
        advice: `Publish the program for ${expected} under this name`,
      });
    }
  }
  return [
    ...findings,
    ...foreignModules(configured, kernels, initrds),
    ...unsigned(tree, programs),
    ...(await withoutGrub(tree, programs)),
    ...(await lintGrubImages(tree, programs)),
  ];
}

function tooShort({ size }: TreeFile, promised: number): Omit<Finding, "file" | "line"> {
  return {
    kind: "broken-image",
    problem: `has ${size} bytes; its header says that it has ${promised}`,
    outcome: "The machine refuses it, or stops while it starts",
    advice: "Publish the file again, whole",
  };
}

/** What the file is instead of an image; undefined if it may be one. */
function insteadOf({ path }: TreeFile, head: Buffer): string | undefined {
  const text = head.toString("latin1");
  const [, found] = INSTEAD.find(([form]) => form.test(text)) ?? [];
  const isNoProgram = /\.efi$/i.test(path) && !EFI_BEGINNING.test(text);
  return found ?? (isNoProgram ? "not an EFI program" : undefined);
}

function foreignModules(
  { pairs }: Configured,
  kernels: ReadonlyMap<string, KernelImage>,
  initrds: ReadonlyMap<string, Initrd>,
): Finding[] {
  const findings = new Map<string, Finding>();
  for (const { config, line, kernel, initrds: together } of pairs) {
    const version = kernels.get(kernel.path)?.version;
    const versions = together.map(({ path }) => initrds.get(path)?.moduleVersions);
    if (version === undefined || versions.includes(undefined)) continue;
    const modules = new Set(versions.flatMap((found) => [...(found ?? [])]));
    if (modules.size === 0 || modules.has(version)) continue;
    const files = together.map(({ path }) => path).join(", ");
    // Many menu entries use the same kernel and initrds.
    const key = `${kernel.path}\n${files}`;
    if (findings.has(key)) continue;
    findings.set(key, {
      kind: "kernel-modules",
      file: config,
      line,
      problem: `${kernel.path} is Linux ${version}; ${files} has modules for ${listed([...modules])}`,
      outcome: "The kernel starts without drivers: network and disks are often missing",
      advice: "Publish the kernel and the initrd of the same build",
    });
  }
  return [...findings.values()];
}

function listed(names: readonly string[]): string {
  const first = names.slice(0, 3).join(", ");
  return names.length > 3 ? `${first} and ${names.length - 3} more` : first;
}

/** The name of what shim starts, as it is in shim (its DEFAULT_LOADER), between bytes that are zero. */
const NEXT = /\\\0((?:g\0r\0u\0b\0)(?:[\w-]\0){0,20}\.\0e\0f\0i\0)/i;
const MAX_SHIM_BYTES = 8 * 1024 * 1024;

/** Finds shims without the GRUB that they start, in trees in which a GRUB is configured. */
async function withoutGrub(tree: BootTree, programs: ReadonlyMap<string, EfiProgram>): Promise<Finding[]> {
  const shims = [...programs].filter(([, { isShim }]) => isShim);
  if (shims.length === 0 || !tree.files().some(({ path }) => isGrubConfig(path))) return [];
  const findings: Finding[] = [];
  const places = placesOf(tree);
  for (const [path] of shims) {
    const bytes = await tree.bytes(tree.file(path)!, 0, MAX_SHIM_BYTES);
    const next = NEXT.exec(bytes.toString("latin1"))?.[1]?.replaceAll("\0", "");
    const directories = places.get(path) ?? [];
    if (next === undefined || directories.some((one) => tree.file(`${one}/${next}`) !== undefined)) continue;
    const near = directories.map((one) => tree.near(`${one}/${next}`)).find((one) => one !== undefined);
    findings.push({
      kind: "missing-module",
      file: path,
      line: undefined,
      problem: `is shim, which starts ${next} beside it, which is not there`,
      outcome: 'shim says "Unable to fetch TFTP image", and the firmware goes on to the next device',
      advice:
        near === undefined
          ? `Publish ${next} of the same distribution beside it`
          : `There is ${near}: TFTP servers tell upper case from lower case`,
    });
  }
  return findings;
}

/** shim starts the program beside it, and only if its signature is known. */
function unsigned(tree: BootTree, programs: ReadonlyMap<string, EfiProgram>): Finding[] {
  const findings: Finding[] = [];
  for (const [path, shim] of programs) {
    if (!shim.isShim) continue;
    const name = `${parentPath(path)}/grub${shim.machine}.efi`;
    const next = tree.file(name);
    const program = next && programs.get(next.path);
    if (next === undefined || program === undefined || program.isSigned) continue;
    findings.push({
      kind: "unsigned",
      file: next.path,
      line: undefined,
      problem: `has no signature, and ${path} is shim, which starts it`,
      outcome: 'With Secure Boot on, shim says "Verification failed: (0x1A) Security Violation"',
      advice: "Publish the signed program of the distribution",
    });
  }
  return findings;
}
