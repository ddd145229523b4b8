/** A release as its canister has it: what a publisher makes of a directory, and a proof of it for any time, signed by a key made here. */
import { createCipheriv, hash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Principal } from "@icp-sdk/core/principal";
import { decodeHashTree, rootHash } from "../../lib/ic/certificate/hash-tree.ts";
import { chunkTree } from "../../lib/publish/chunker.ts";
import { Problems } from "../../lib/publish/problems.ts";
import { EVERYTHING, scan } from "../../lib/publish/scan.ts";
import { hexOf } from "../../lib/tree/hash.ts";
import { canisterId, certify, newBlsKey } from "../../test/support/certificates.ts";
import { encodeHeader } from "../../test/support/headers.ts";
import { proofOf, witnessOf } from "../../test/support/proofs.ts";

const MIB = 1024 * 1024;
/** As of Debian's netboot tree: a kernel, boot loaders' modules, and the rest an initrd. */
const KERNEL_MIB = 8;
const MODULES = 60;
const MODULE_BYTES = 15_000;
/** A subnet certifies its state every second or so. It takes 20 ms of the processor here, so a certificate is of each 5 s. */
const CERTIFICATE_MS = 5000;

export interface SimulatedRelease {
  readonly canister: Principal;
  readonly rootKey: Uint8Array;
  /** By their SHA-256 in hexadecimal; the manifest's too. */
  readonly chunks: ReadonlyMap<string, Buffer>;
  /** Bytes of all chunks. */
  readonly bytes: number;
  /** What the method `release` answers at a time, in milliseconds since 1970. */
  proof(now: number): Buffer;
}

/** @param mebibytes of the whole tree, at least 10 */
export async function makeRelease(mebibytes: number): Promise<SimulatedRelease> {
  const directory = await mkdtemp(join(tmpdir(), "icfs-site-"));
  try {
    await writeTree(directory, mebibytes);
    const problems = new Problems();
    const { entries } = await scan(directory, EVERYTHING, problems);
    const tree = await chunkTree(entries, problems, () => {});
    const chunks = new Map<string, Buffer>();
    for (const chunk of tree.chunks) chunks.set(hexOf(chunk.sha256), await chunk.read());
    return release(tree, chunks);
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function writeTree(directory: string, mebibytes: number): Promise<void> {
  const bytes = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16));
  const random = (length: number) => bytes.update(Buffer.alloc(length));
  for (const name of ["boot", "grub"]) await mkdir(join(directory, name));
  await writeFile(join(directory, "boot/linux"), random(KERNEL_MIB * MIB));
  for (let i = 0; i < MODULES; i++) {
    await writeFile(join(directory, `grub/module-${i}.mod`), random(MODULE_BYTES));
  }
  const initrd = (mebibytes - KERNEL_MIB) * MIB - MODULES * MODULE_BYTES;
  await writeFile(join(directory, "boot/initrd.gz"), random(initrd));
}

function release(
  tree: Awaited<ReturnType<typeof chunkTree>>,
  chunks: ReadonlyMap<string, Buffer>,
): SimulatedRelease {
  const pieces = tree.manifestPieces.map((hash) => chunks.get(hexOf(hash))!);
  const whole = Buffer.concat(pieces);
  const header = encodeHeader({
    totals: { files: tree.manifest.entries.length, bytes: tree.bytes, chunks: tree.manifest.chunks.length },
    manifest: { sha256: hash("sha256", whole, "buffer"), size: whole.length, chunks: tree.manifestPieces.map(Buffer.from) },
  });
  const canister = canisterId(1);
  const [root, subnet] = [newBlsKey(), newBlsKey()];
  const witness = witnessOf(header);
  const data = rootHash(decodeHashTree(witness));
  const proofs = new Map<number, Buffer>();
  return {
    canister,
    rootKey: root.publicKey,
    chunks,
    bytes: [...chunks.values()].reduce((sum, { length }) => sum + length, 0),
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
