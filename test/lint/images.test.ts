import { gzipSync, zstdCompressSync } from "node:zlib";
import t from "tap";
import { cpio, efiProgram, kernel, linted, places } from "../support/linted.ts";

const X64 = 0x8664;
const config = { "pxelinux.cfg/default": "label a\n kernel linux\n append initrd=initrd" };
const ARCHIVE = cpio(["init", "usr/lib/modules/6.1.0-50-amd64/modules.dep"]);

t.test("kernels and initrds that are whole and belong together", async (t) => {
  const linux = kernel("6.1.0-50-amd64");
  const early = Buffer.concat([cpio(["kernel/x86/microcode"]), Buffer.alloc(512)]);
  const initrds = {
    plain: ARCHIVE,
    gzip: gzipSync(ARCHIVE),
    zstd: zstdCompressSync(ARCHIVE),
    "microcode first": Buffer.concat([early, gzipSync(ARCHIVE)]),
    "two gzips": Buffer.concat([gzipSync(cpio(["a"])), gzipSync(ARCHIVE)]),
    "another format": Buffer.from("BZh91AY&SY"),
    "no modules": cpio(["init"]),
  };
  for (const [name, initrd] of Object.entries(initrds))
    t.same(await places({ ...config, linux, initrd }), [], name);
  // Memtest86+ is no Linux.
  t.same(await places({ ...config, linux: kernel("Memtest86+ v6.10"), initrd: ARCHIVE }), []);
});

t.test("files that break off", async (t) => {
  const linux = kernel("6.1.0-50-amd64");
  const initrd = gzipSync(ARCHIVE);
  t.same(await places({ ...config, linux: linux.subarray(0, -100), initrd }), ["broken-image linux"]);
  t.same(await places({ ...config, linux: "", initrd }), ["empty-file linux"]);
  const broken = {
    "gzip cut": initrd.subarray(0, -10),
    "gzip damaged": Buffer.concat([initrd.subarray(0, 30), Buffer.from([0xff, 0xff]), initrd.subarray(32)]),
    "zstd cut": zstdCompressSync(ARCHIVE).subarray(0, -3),
    "cpio cut": ARCHIVE.subarray(0, -130),
    "cpio in gzip cut": gzipSync(ARCHIVE.subarray(0, -130)),
    "cpio damaged": Buffer.concat([cpio(["a"]).subarray(0, 116), Buffer.alloc(6, "x"), ARCHIVE]),
    "xz cut": Buffer.concat([Buffer.from("fd377a585a00", "hex"), Buffer.alloc(100, 1)]),
  };
  for (const [name, bytes] of Object.entries(broken)) {
    t.same(await places({ ...config, linux, initrd: bytes }), ["broken-image initrd"], name);
  }
});

t.test("an initrd with another kernel's modules", async (t) => {
  const findings = await linted({ ...config, linux: kernel("6.1.0-49-amd64"), initrd: gzipSync(ARCHIVE) });
  t.same(
    findings.map(({ kind, file, line, problem }) => [kind, file, line, problem]),
    [
      [
        "kernel-modules",
        "pxelinux.cfg/default",
        2,
        "linux is Linux 6.1.0-49-amd64; initrd has modules for 6.1.0-50-amd64",
      ],
    ],
  );
});

t.test("EFI programs", async (t) => {
  const sbat = "sbat,1,SBAT\nshim,4,UEFI shim\n";
  const shim = efiProgram(X64, { signature: 64, sbat });
  t.same(await places({ "bootx64.efi": efiProgram(X64) }), []);
  t.same(await places({ "BOOTAA64.EFI": efiProgram(X64) }), ["wrong-architecture BOOTAA64.EFI"]);
  t.same(await places({ "grubx64.efi": efiProgram(X64, { signature: 64 }).subarray(0, -1) }), [
    "broken-image grubx64.efi",
  ]);
  t.same(await places({ "bootx64.efi": shim, "grubx64.efi": efiProgram(X64) }), ["unsigned grubx64.efi"]);
  t.same(await places({ "bootx64.efi": shim, "grubx64.efi": efiProgram(X64, { signature: 64 }) }), []);
});
