import { gzipSync, zstdCompressSync } from "node:zlib";
import t from "tap";
import { readInitrd } from "../../lib/lint/initrd.ts";
import { placesOf } from "../../lib/lint/references.ts";
import { cpio, efiProgram, elf, kernel, linted, places, treeOf } from "../support/linted.ts";

const X64 = 0x8664;
const config = { "pxelinux.cfg/default": "label a\n kernel linux\n append initrd=initrd" };
/** The output of `xz --check=none`, `bzip2` and `lz4 -l` for "icfs\n". */
const XZ = Buffer.from(
  "fd377a585a000000ff12d9410200210116000000742fe5a3010004696366730a0000000000011505b0a7596706729e7a010000000000595a",
  "hex",
);
const BZIP2 = Buffer.from(
  "425a68393141592653598b11509d000001c180001009200800200030cd00c1a06c71772453850908b11509d0",
  "hex",
);
const LZ4 = Buffer.from("02214c180600000050696366730a", "hex");
/** What `bootconfig -a` appends. */
const BOOT_CONFIG = Buffer.from("kernel.a = b\n\0\0\0\x10\0\0\0\0\0\0\0#BOOTCONFIG\n");
/** An archive with modules for another kernel. */
const OTHER = cpio(["lib/modules/5.10.0/modules.dep"]);
const ARCHIVE = cpio(["init", "usr/lib/modules/6.1.0-50-amd64/modules.dep"]);

/** An xz stream with these bytes as they are in the middle, as xz stores what it cannot compress. */
function xzOf(bytes: Buffer): Buffer {
  return Buffer.concat([XZ.subarray(0, 30), bytes, XZ.subarray(30)]);
}

/** A gzip stream with an extra field in its header (RFC 1952, 2.3.1.1). */
function withExtraField(bytes: Buffer): Buffer {
  const head = Buffer.from(bytes.subarray(0, 10));
  head[3]! |= 4;
  return Buffer.concat([head, Buffer.from([5, 0]), Buffer.from("extra"), bytes.subarray(10)]);
}

t.test("intact kernels and initrds that belong together", async (t) => {
  const linux = kernel("6.1.0-50-amd64");
  const early = Buffer.concat([cpio(["kernel/x86/microcode"]), Buffer.alloc(512)]);
  const initrds = {
    plain: ARCHIVE,
    gzip: gzipSync(ARCHIVE),
    zstd: zstdCompressSync(ARCHIVE),
    "gzip with an extra field": withExtraField(gzipSync(ARCHIVE)),
    "microcode first": Buffer.concat([early, gzipSync(ARCHIVE)]),
    "two gzips": Buffer.concat([gzipSync(cpio(["a"])), gzipSync(ARCHIVE)]),
    "no modules": cpio(["init"]),
    "modules of a small system": cpio(["lib/modules/net/e1000.ko", "lib/modules/extra/x.ko"]),
    "with zeros at its end": Buffer.concat([gzipSync(ARCHIVE), Buffer.alloc(3000)]),
    "zstd, with zeros at its end": Buffer.concat([zstdCompressSync(ARCHIVE), Buffer.alloc(3000)]),
    "zeros between": Buffer.concat([gzipSync(cpio(["a"])), Buffer.alloc(3000), gzipSync(ARCHIVE)]),
    "plain after gzip": Buffer.concat([gzipSync(OTHER), ARCHIVE]),
    "plain after zstd": Buffer.concat([zstdCompressSync(OTHER), ARCHIVE]),
    "xz after modules": Buffer.concat([OTHER, XZ]),
    "xz, in whole blocks": Buffer.concat([XZ, Buffer.alloc(4000)]),
    "bzip2, in whole blocks": Buffer.concat([BZIP2, Buffer.alloc(4000)]),
    "archives after xz": Buffer.concat([XZ, gzipSync(ARCHIVE)]),
    "another format after xz": Buffer.concat([XZ, LZ4]),
    "what looks like an archive inside of xz": Buffer.concat([xzOf(ARCHIVE), LZ4]),
    "arguments after xz": Buffer.concat([XZ, BOOT_CONFIG]),
    "arguments after bzip2": Buffer.concat([BZIP2, BOOT_CONFIG]),
    "arguments after gzip": Buffer.concat([gzipSync(ARCHIVE), BOOT_CONFIG]),
    bzip2: BZIP2,
    "bzip2 of nothing": Buffer.from("425a683917724538509000000000", "hex"),
    "archives after bzip2": Buffer.concat([BZIP2, Buffer.alloc(2000), ARCHIVE]),
    lz4: LZ4,
    "lz4 twice": Buffer.concat([LZ4, LZ4, Buffer.alloc(16)]),
    "plain after lz4": Buffer.concat([LZ4, ARCHIVE]),
    "a disk": Buffer.alloc(4096, "EFI PART"),
    "a disk in gzip": gzipSync(Buffer.alloc(4096, "EFI PART")),
    "a short text in gzip": gzipSync("a"),
    "nothing in gzip": gzipSync(""),
  };
  for (const [name, initrd] of Object.entries(initrds))
    t.same(await places({ ...config, linux, initrd }), [], name);
  // Memtest86+ is not Linux.
  t.same(await places({ ...config, linux: kernel("Memtest86+ v6.10"), initrd: ARCHIVE }), []);
});

t.test("a kernel from before its header told the length", async (t) => {
  const linux = kernel("2.4.37");
  linux.writeUInt16LE(0x203, 0x206);
  linux.writeUInt32LE(0xffff_0010, 0x1f4);
  t.same(await places({ ...config, linux, initrd: cpio(["init"]) }), []);
});

t.test("files that are something else", async (t) => {
  const page = "\n<!DOCTYPE html>\n<html><title>404</title></html>\n";
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
  for (const instead of [page, "<html>", pointer]) {
    const names = ["bootx64.efi", "initrd", "linux", "pxelinux.0"];
    const files = Object.fromEntries(names.map((name) => [name, instead]));
    t.same(
      await places({ ...config, ...files }),
      names.map((name) => `broken-image ${name}`),
    );
  }
  t.same(await places({ "a.efi": "text", "b.efi": "MZ", "c.efi": "VZ", "index.html": page }), [
    "broken-image a.efi",
  ]);
});

t.test("archives of formats that Linux does not read", async (t) => {
  const linux = kernel("6.1.0");
  const old = { octal: "070707000000", binary: "\xc7\x71\0\0", "of the other order": "\x71\xc7\0\0" };
  for (const [name, magic] of Object.entries(old)) {
    const archive = Buffer.concat([Buffer.from(magic, "latin1"), Buffer.alloc(1000)]);
    for (const initrd of [archive, gzipSync(archive), zstdCompressSync(archive)]) {
      const [finding, ...more] = await linted({ ...config, linux, initrd });
      t.match(finding, { kind: "broken-image", problem: /make it with cpio --format=newc/ }, name);
      t.same(more, []);
    }
  }
});

/** The beginning of a file, with numbers at their places. */
function header(numbers: readonly (readonly [at: number, value: number, order: "LE" | "BE"])[]): Buffer {
  const bytes = Buffer.alloc(200);
  for (const [at, value, order] of numbers) bytes[`writeUInt32${order}`](value, at);
  return bytes;
}

t.test("headers that tell the length", async (t) => {
  const elfFile = (wide: boolean, order: "LE" | "BE") => {
    const half = (value: number) => (order === "BE" ? value << 16 : value);
    const low = order === "BE" && wide ? 4 : 0;
    const bytes = header([
      [0, 0x7f454c46, "BE"],
      [(wide ? 0x20 : 0x1c) + low, 64, order],
      [wide ? 0x36 : 0x2a, half(wide ? 56 : 32), order],
      [wide ? 0x38 : 0x2c, half(1), order],
      [64 + (wide ? 8 : 4) + low, 150, order],
      [64 + (wide ? 0x20 : 0x10) + low, 50, order],
    ]);
    bytes[4] = wide ? 2 : 1;
    bytes[5] = order === "BE" ? 2 : 1;
    return bytes;
  };
  const images = {
    "U-Boot's": header([
      [0, 0x27051956, "BE"],
      [12, 136, "BE"],
    ]),
    "a FIT image": header([
      [0, 0xd00dfeed, "BE"],
      [4, 200, "BE"],
    ]),
    zImage: header([
      [0x24, 0x016f2818, "LE"],
      [0x28, 1000, "LE"],
      [0x2c, 1200, "LE"],
    ]),
    "ELF, 32": elfFile(false, "LE"),
    "ELF, 64": elfFile(true, "LE"),
    "ELF, 64, big": elfFile(true, "BE"),
    "ELF, 32, big": elfFile(false, "BE"),
  };
  for (const [name, linux] of Object.entries(images)) {
    const tree = { ...config, initrd: cpio(["init"]) };
    t.same(await places({ ...tree, linux }), [], name);
    t.same(await places({ ...tree, linux: linux.subarray(0, -1) }), ["broken-image linux"], `${name}, cut`);
    t.same(await places({ ...tree, linux: Buffer.concat([linux, linux]) }), [], `${name}, with more`);
  }
  t.same(await places({ uInitrd: images["U-Boot's"].subarray(0, -1) }), ["broken-image uInitrd"]);
});

/** A copy with one byte changed. */
function changed(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[copy.length + at]! ^= 1;
  return copy;
}

t.test("truncated, empty and damaged files", async (t) => {
  const linux = kernel("6.1.0-50-amd64");
  const initrd = gzipSync(ARCHIVE);
  t.same(await places({ ...config, linux: linux.subarray(0, -100), initrd }), ["broken-image linux"]);
  t.same(await places({ ...config, linux: "", initrd }), ["empty-file linux"]);
  t.same(
    await places({ vmlinuz: linux.subarray(0, -100) }),
    ["broken-image vmlinuz"],
    "a damaged kernel is found even if nothing boots it yet",
  );
  t.same(
    await places({ "initrd.txt": "", "vmlinuz.sha256": "" }),
    [],
    "files that describe a kernel or an initrd are not checked",
  );
  const broken = {
    "gzip cut": initrd.subarray(0, -10),
    "gzip damaged": Buffer.concat([initrd.subarray(0, 30), Buffer.from([0xff, 0xff]), initrd.subarray(32)]),
    "zstd cut": zstdCompressSync(ARCHIVE).subarray(0, -3),
    "cpio cut": ARCHIVE.subarray(0, -130),
    "cpio in gzip cut": gzipSync(ARCHIVE.subarray(0, -130)),
    "cpio damaged": Buffer.concat([cpio(["a"]).subarray(0, 116), Buffer.alloc(6, "x"), ARCHIVE]),
    "xz cut": XZ.subarray(0, -1),
    "bzip2 cut": BZIP2.subarray(0, -1),
    "bzip2's beginning": BZIP2.subarray(0, 10),
    "lz4 cut": LZ4.subarray(0, -1),
    "lz4 in a length": LZ4.subarray(0, 6),
    "lz4 in frames": Buffer.from("04224d186440a7", "hex"),
    "gzip with another checksum": changed(initrd, -8),
    "gzip with another length": changed(initrd, -4),
    "the second one cut": Buffer.concat([XZ, gzipSync(ARCHIVE).subarray(0, -1)]),
  };
  for (const [name, bytes] of Object.entries(broken)) {
    t.same(await places({ ...config, linux, initrd: bytes }), ["broken-image initrd"], name);
  }
});

t.test("hostile archives", async (t) => {
  const header = (size: string, name: string) => {
    const archive = cpio(["a"]);
    archive.write(size, 54, "latin1");
    archive.write(name, 94, "latin1");
    return archive;
  };
  const broken = {
    "4 GiB": header("ffffffff", "00000002"),
    "a name of 4 GiB": header("00000000", "ffffffff"),
    "no name": header("00000000", "00000000"),
    "no numbers": header("zzzzzzzz", "zzzzzzzz"),
    "packed, too": gzipSync(header("ffffffff", "00000002")),
    "a gzip header without an end": Buffer.concat([Buffer.from("1f8b081c", "hex"), Buffer.alloc(70_000, 1)]),
  };
  for (const [name, bytes] of Object.entries(broken)) {
    t.same(await places({ initrd: bytes }), ["broken-image initrd"], name);
  }
  const versions = Array.from({ length: 500 }, (_, n) => `lib/modules/5.${n}/a`);
  const [finding] = await linted({ ...config, linux: kernel("6.1.0"), initrd: cpio(versions) });
  t.match(finding?.problem, /has modules for 5\.0, 5\.1, 5\.2 and 97 more$/);
  const block = Buffer.from("0100000000", "hex");
  const blocks = Buffer.concat([LZ4.subarray(0, 4), Buffer.alloc(40_000, block), Buffer.alloc(1, 9)]);
  t.same(await places({ initrd: blocks }), [], "lz4 in blocks of one byte");

  const bomb = gzipSync(Buffer.concat([ARCHIVE, Buffer.alloc(10_000_000)]));
  const tree = treeOf({ initrd: bomb });
  tree.unpackable = 1_000_000;
  t.same(await readInitrd(tree, tree.file("initrd")!), {}, "unpacking stops at the limit");
  t.ok(tree.unpackable < 0 && tree.unpackable > -1_000_000);
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

t.test("initrds that cannot be read completely, and entries that boot the same files", async (t) => {
  const linux = kernel("6.1.0-49-amd64");
  const two = { "pxelinux.cfg/default": "label a\n kernel linux\n append initrd=initrd,more" };
  t.same(
    await places({ ...two, linux, initrd: OTHER, more: XZ }),
    [],
    "the modules may be in an initrd that cannot be read",
  );
  const entry = (name: string) => `label ${name}\n kernel linux\n append initrd=initrd\n`;
  const [finding, ...others] = await linted({
    "pxelinux.cfg/default": entry("a") + entry("b"),
    "pxelinux.cfg/0A": entry("a"),
    ...{ linux, initrd: ARCHIVE },
  });
  t.match(finding, { file: "pxelinux.cfg/0A", line: 2, problem: /has modules for 6\.1\.0-50-amd64$/ });
  t.same(others, [], "the same kernel and initrd are reported once");
});

t.test("compressed kernels, and kernels that give their version only in their banner", async (t) => {
  const banner = Buffer.from(
    "Linux version %s\0Linux version 6.1.0-49-arm64 (debian-kernel@lists.debian.org) (gcc-12\n",
  );
  const later = Buffer.from("Linux version 9.9.9 (somebody)\n");
  const plain = (magic: string) => {
    const image = Buffer.concat([Buffer.alloc(5975, 1), banner, Buffer.alloc(300_000, 2), later]);
    image.write(magic, 0x38, "latin1");
    return image;
  };
  const zboot = (payload: Buffer) => {
    const head = Buffer.alloc(512);
    head.write("MZ\0\0zimg", "latin1");
    head.writeUInt32LE(512, 8);
    head.writeUInt32LE(payload.length, 12);
    return Buffer.concat([head, payload, Buffer.from("the signature")]);
  };
  const kernels = {
    "arm64's Image": plain("ARM\x64"),
    "RISC-V's Image": plain("RSC\x05"),
    "LoongArch's Image": plain("\xcd\x23\x82\x81"),
    "an ELF file": Buffer.concat([elf(64), plain("")]),
    "Image.gz": gzipSync(plain("ARM\x64")),
    "a program with a kernel in gzip": zboot(gzipSync(plain("ARM\x64"))),
    "a program with a kernel in zstd": zboot(zstdCompressSync(plain("ARM\x64"))),
  };
  for (const [name, linux] of Object.entries(kernels)) {
    const [finding, ...more] = await linted({ ...config, linux, initrd: ARCHIVE });
    t.match(
      finding?.problem,
      /^linux is Linux 6\.1\.0-49-arm64; initrd has modules for 6\.1\.0-50-amd64$/,
      name,
    );
    t.same(more, [], name);
  }
  const unknown = {
    "a text": gzipSync("Linux version "),
    "in xz": XZ,
    "a program in xz": zboot(XZ),
    "a program in lzma": zboot(Buffer.from("5d0000", "hex")),
  };
  for (const [name, linux] of Object.entries(unknown))
    t.same(await places({ ...config, linux, initrd: ARCHIVE }), [], name);
  const broken = {
    "Image.gz cut": gzipSync(plain("ARM\x64")).subarray(0, -5),
    "a program cut": zboot(gzipSync(plain("ARM\x64"))).subarray(0, -40),
  };
  for (const [name, linux] of Object.entries(broken))
    t.ok((await places({ ...config, linux, initrd: cpio(["init"]) })).includes("broken-image linux"), name);
});

t.test("a deep tree is not walked from the top for each file", async (t) => {
  const directory = Array.from({ length: 200 }, () => "d").join("/");
  const files = Array.from({ length: 500 }, (_, i) => [`${directory}/${i}`, ""] as const);
  const boot = treeOf(Object.fromEntries([...files, ["link", { link: `${directory}/7` }]]));
  const { tree } = boot;
  let walks = 0;
  const find = tree.find.bind(tree);
  tree.find = (path) => {
    walks += 1;
    return find(path);
  };
  t.equal(placesOf(boot).size, 500);
  t.equal(walks, 1, "the link's");
  t.same(placesOf(boot).get(`${directory}/7`), [directory, ""]);
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
  const start = Buffer.from("\\\\grubx64.efi\0", "utf16le").toString("latin1");
  const whole = efiProgram(X64, { signature: 64, sbat: `${sbat}\0${start}` });
  const grub = efiProgram(X64, { signature: 64 });
  const configured = { "efi/shimx64.efi": whole, "grub/grub.cfg": "# nothing" };
  t.same(await places(configured), ["missing-module efi/shimx64.efi"]);
  t.same(await places({ ...configured, "efi/grubx64.efi": grub }), []);
  t.same(
    await places({ ...configured, "grubx64.efi": grub, "bootx64.efi": { link: "efi/shimx64.efi" } }),
    [],
  );
  t.same(await places({ "efi/shimx64.efi": whole, "pxelinux.cfg/default": "" }), [], "nobody uses GRUB");
  const [finding] = await linted({ ...configured, "efi/GRUBX64.EFI": grub });
  t.match(finding, { problem: /starts grubx64\.efi beside it/, advice: /^There is efi\/GRUBX64\.EFI/ });
  const other = efiProgram(X64, { signature: 64, sbat: "sbat,1,SBAT\nother,4,no shim,\n" });
  t.same(await places({ "bootx64.efi": other, "grubx64.efi": efiProgram(X64) }), [], "no shim");
  const windows = Buffer.from(efiProgram(X64));
  windows.writeUInt16LE(3, 0x98 + 68);
  t.same(await places({ "bootaa64.efi": windows }), [], "a program that is not for EFI is not checked");
  t.same(await places({ "bootx64.efi": shim, "grubx64.efi": efiProgram(X64, { signature: 64 }) }), []);
});
