/**
 * Reads a cpio archive of the format "newc" as a stream (cpio(5)): finds the kernels for which an initrd has modules, and whether
 * the archive is complete.
 */

const HEADER_BYTES = 110;
const MAGIC_BYTES = 6;
const MAX_NAME_BYTES = 4096;
const NOTHING = Buffer.alloc(0);
const MODULES = /^(?:\.?\/)?(?:usr\/)?lib\/modules\/(\d[\w.+~-]{0,99})\//;
/** No initrd has modules for more kernels. */
const MAX_VERSIONS = 100;

export class CpioReader {
  readonly moduleVersions: Set<string>;
  /** Why the archive cannot be unpacked. */
  problem: string | undefined;
  /** Whether it does not begin like an archive. */
  isNone = false;
  /** Whether the archive's last entry was read. */
  ended = false;
  /** Bytes so far, including the padding to a multiple of four. */
  length = 0;
  #pending: Buffer = NOTHING;
  /** Bytes of a file's content still to be skipped. */
  #skip = 0;

  constructor(moduleVersions = new Set<string>()) {
    this.moduleVersions = moduleVersions;
  }

  /** Returns the bytes that follow the archive's end. */
  write(part: Uint8Array): Buffer {
    let bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    while (!this.ended && this.problem === undefined) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length);
        this.#skip -= skipped;
        this.length += skipped;
        bytes = bytes.subarray(skipped);
        if (this.#skip > 0) return NOTHING;
      }
      this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
      const used = this.#entry();
      if (used === undefined) {
        this.#pending = Buffer.from(this.#pending);
        return NOTHING;
      }
      bytes = this.#pending.subarray(used);
      this.#pending = NOTHING;
      this.length += used;
    }
    return bytes;
  }

  /** Call this at the end of the input. */
  end(): void {
    if (this.length === 0 && this.#pending.length < MAGIC_BYTES) this.isNone = true;
    if (!this.ended) this.problem ??= "its archive breaks off";
  }

  /** The length of the next entry's header and name; undefined if they are not complete yet. */
  #entry(): number | undefined {
    const bytes = this.#pending;
    if (bytes.length < MAGIC_BYTES) return undefined;
    if (!/^07070[12]$/.test(bytes.toString("latin1", 0, MAGIC_BYTES))) {
      this.isNone = this.length === 0;
      this.problem = "its archive is damaged";
      return undefined;
    }
    if (bytes.length < HEADER_BYTES) return undefined;
    const size = Number.parseInt(bytes.toString("latin1", 54, 62), 16);
    const nameBytes = Number.parseInt(bytes.toString("latin1", 94, 102), 16);
    if (!Number.isInteger(size) || !(nameBytes > 0 && nameBytes <= MAX_NAME_BYTES)) {
      this.problem = "its archive is damaged";
      return undefined;
    }
    const used = fourfold(HEADER_BYTES + nameBytes);
    if (bytes.length < used) return undefined;
    const name = bytes.toString("utf8", HEADER_BYTES, HEADER_BYTES + nameBytes - 1);
    if (name === "TRAILER!!!") {
      this.ended = true;
      return used;
    }
    const version = MODULES.exec(name)?.[1];
    if (version !== undefined && this.moduleVersions.size < MAX_VERSIONS) this.moduleVersions.add(version);
    this.#skip = fourfold(size);
    return used;
  }
}

function fourfold(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}
