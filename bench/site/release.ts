/**
 * A release as its canister would serve it, and a proof of it for any time, signed by a key made here. So that a thousand hosts
 * fit on one machine, a byte of a file may represent several (`scale`): the release then has as many chunks, each of them smaller
 * by this factor.
 */
import { createCipheriv, hash } from "node:crypto";
import type { Principal } from "@icp-sdk/core/principal";
import { decodeHashTree, rootHash } from "../../lib/ic/certificate/hash-tree.ts";
import { cutManifest, PACK_TARGET_BYTES } from "../../lib/publish/packing.ts";
import { hexOf } from "../../lib/tree/hash.ts";
import { MAX_CHUNK_BYTES } from "../../lib/tree/limits.ts";
import type { ChunkReference, Entry, Extent } from "../../lib/tree/manifest.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { canisterId, certify, newBlsKey } from "../../test/support/certificates.ts";
import { encodeHeader } from "../../test/support/headers.ts";
import { proofOf, witnessOf } from "../../test/support/proofs.ts";

const MIB = 1024 * 1024;
/** Similar to Debian's netboot tree: a kernel, boot loaders' modules in packs, and an initrd for the rest. */
const KERNEL_BYTES = 8 * MIB;
const MODULES = 64;
const MODULE_BYTES = 16 * 1024;
/** A subnet certifies its state about every second. Here a certificate takes 20 ms of processor time, so each one covers 5 s. */
const CERTIFICATE_MS = 5000;

export interface SimulatedRelease {
  readonly canister: Principal;
  readonly rootKey: Uint8Array;
  /** By their SHA-256 in hexadecimal, including the manifest's. */
  readonly chunks: ReadonlyMap<string, Buffer>;
  readonly files: readonly { readonly path: string; readonly bytes: Buffer }[];
  /** The number of bytes that all chunks represent. */
  readonly bytes: number;
  /** How many bytes each byte of a chunk represents: 1 for the manifest. */
  weight(sha256: string): number;
  /** The answer of the method `release` at a time, in milliseconds since 1970. */
  proof(now: number): Buffer;
}

interface File {
  readonly path: string;
  readonly bytes: Buffer;
  readonly extents: readonly Extent[];
}

/** @param mebibytes that the whole tree represents, at least 10 @param scale how many bytes a byte of a file represents */
export function makeRelease(mebibytes: number, scale: number): SimulatedRelease {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16));
  const random = (length: number) => cipher.update(Buffer.alloc(Math.ceil(length / scale)));
  const chunks = new Map<string, Buffer>();
  const table: ChunkReference[] = [];
  const add = (bytes: Buffer) => {
    const sha256 = hash("sha256", bytes, "buffer");
    chunks.set(hexOf(sha256), bytes);
    return table.push({ sha256, size: bytes.length }) - 1;
  };
  const large = (path: string, size: number): File => {
    const bytes = random(size);
    const extents: Extent[] = [];
    for (let at = 0; at < bytes.length; at += MAX_CHUNK_BYTES / scale) {
      const chunk = bytes.subarray(at, at + MAX_CHUNK_BYTES / scale);
      extents.push({ chunk: add(chunk), offset: 0, length: chunk.length });
    }
    return { path, bytes, extents };
  };
  const packed = (count: number, first: number): File[] => {
    const files = Array.from({ length: count }, () => random(MODULE_BYTES));
    const chunk = add(Buffer.concat(files));
    return files.map((bytes, i) => ({
      path: `grub/${String(first + i).padStart(2, "0")}.mod`,
      bytes,
      extents: [{ chunk, offset: i * bytes.length, length: bytes.length }],
    }));
  };
  const initrd = mebibytes * MIB - KERNEL_BYTES - MODULES * MODULE_BYTES;
  const files = [large("boot/initrd.gz", initrd), large("boot/linux", KERNEL_BYTES)];
  const inPack = PACK_TARGET_BYTES / MODULE_BYTES;
  for (let first = 0; first < MODULES; first += inPack) files.push(...packed(inPack, first));
  const entries: Entry[] = files.map(({ path, bytes, extents }) => ({
    kind: "file",
    path,
    modified: 0n,
    size: bytes.length,
    sha256: hash("sha256", bytes, "buffer"),
    executable: false,
    extents,
  }));
  const directories: Entry[] = ["boot", "grub"].map((path) => ({ kind: "directory", path, modified: 0n }));
  const all = [...directories, ...entries].sort((a, b) => (a.path < b.path ? -1 : 1));
  const manifest = Buffer.concat(encodeManifest({ chunks: table, entries: all }));
  const pieces = cutManifest([manifest]).map((bytes) => ({ bytes, sha256: hash("sha256", bytes, "buffer") }));
  const header = encodeHeader({
    totals: { files: files.length, directories: directories.length, chunks: table.length },
    manifest: {
      sha256: hash("sha256", manifest, "buffer"),
      size: manifest.length,
      chunks: pieces.map(({ sha256 }) => sha256),
    },
  });
  const ofManifest = new Set(pieces.map(({ sha256 }) => hexOf(sha256)));
  for (const { bytes, sha256 } of pieces) chunks.set(hexOf(sha256), bytes);
  const weight = (sha256: string) => (ofManifest.has(sha256) ? 1 : scale);
  const bytes = [...chunks].reduce((sum, [sha256, { length }]) => sum + length * weight(sha256), 0);
  return { chunks, files, bytes, weight, ...provable(header) };
}

function provable(header: Buffer): Pick<SimulatedRelease, "canister" | "rootKey" | "proof"> {
  const canister = canisterId(1);
  const [root, subnet] = [newBlsKey(), newBlsKey()];
  const witness = witnessOf(header);
  const data = rootHash(decodeHashTree(witness));
  const proofs = new Map<number, Buffer>();
  return {
    canister,
    rootKey: root.publicKey,
    proof(now) {
      const time = now - (now % CERTIFICATE_MS);
      let proof = proofs.get(time);
      if (proof === undefined) {
        proof = proofOf({ header, witness, certificate: certify({ canister, data, root, subnet, time }) });
        proofs.set(time, proof);
      }
      return proof;
    },
  };
}
