/** A minimal initrd that shows that a machine has booted with it: its only program writes a line to the console, and waits. */
import { randomBytes } from "node:crypto";

/** The mode of a file that may be executed. */
const EXECUTABLE = 0o100755;
const PLAIN = 0o100644;

/** @param padding bytes of a file that nobody reads, so that it has a size worth fetching */
export function markerInitrd(marker: string, padding: number): Buffer {
  const entries = [
    entry("init", EXECUTABLE, writer(`\n${marker}\n`)),
    entry("padding", PLAIN, randomBytes(padding)),
    entry("TRAILER!!!", 0, Buffer.alloc(0)),
  ];
  return Buffer.concat(entries);
}

/** An entry of a cpio archive, format "newc" (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst). */
function entry(name: string, mode: number, content: Buffer): Buffer {
  const fields = [0, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`;
  return Buffer.concat([padded(Buffer.from(header)), padded(content)]);
}

/** Pads with zeros to a multiple of four bytes. */
function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}

/** Where the program lies in memory. */
const BASE = 0x400000;
const HEADERS = 64 + 56;

/** A program for Linux on x86-64 (an ELF file without sections) that writes a text to its standard output, and waits for ever. */
function writer(text: string): Buffer {
  const message = Buffer.from(text);
  const code = Buffer.from(
    [
      "b801000000", // mov eax, 1: write
      "bf01000000", // mov edi, 1
      "be00000000", // mov esi, the message: below
      "ba00000000", // mov edx, its length: below
      "0f05", // syscall
      "b822000000", // mov eax, 34: pause
      "0f05", // syscall
      "ebf7", // again
    ].join(""),
    "hex",
  );
  code.writeUInt32LE(BASE + HEADERS + code.length, 11);
  code.writeUInt32LE(message.length, 16);
  const size = HEADERS + code.length + message.length;
  const header = Buffer.alloc(HEADERS);
  header.write("7f454c46020101", 0, "hex");
  header.writeUInt16LE(2, 16); // an executable
  header.writeUInt16LE(62, 18); // x86-64
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(BASE + HEADERS), 24); // where it starts
  header.writeBigUInt64LE(64n, 32); // the program header is behind this one
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  header.writeUInt32LE(1, 64); // load ...
  header.writeUInt32LE(5, 68); // ... to read and execute ...
  header.writeBigUInt64LE(BigInt(BASE), 80); // ... there
  header.writeBigUInt64LE(BigInt(BASE), 88);
  header.writeBigUInt64LE(BigInt(size), 96);
  header.writeBigUInt64LE(BigInt(size), 104);
  header.writeBigUInt64LE(4096n, 112);
  return Buffer.concat([header, code, message]);
}
