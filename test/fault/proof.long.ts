/** Invalid proofs of the newest release: a proof with any one byte changed, and proofs with other certificates. */
import t from "tap";
import { decodeHashTree, rootHash } from "../../lib/ic/certificate/hash-tree.ts";
import { type CertificateFields, canisterId, certify, idBytes, newBlsKey } from "../support/certificates.ts";
import { encodeHeader } from "../support/headers.ts";
import { proofOf, sourceOfReply, witnessOf } from "../support/proofs.ts";

const CANISTER = canisterId(5);
const ROOT = newBlsKey();
const SUBNET = newBlsKey();
const HEADER = encodeHeader({ number: 1, note: "a note" });
const WITNESS = witnessOf(HEADER);
const DATA = rootHash(decodeHashTree(WITNESS));
const MINUTE = 60_000;

const certificate = (fields: Partial<CertificateFields> = {}) =>
  certify({ canister: CANISTER, data: DATA, root: ROOT, subnet: SUBNET, ...fields });
const read = async (parts: Partial<Parameters<typeof proofOf>[0]>, canister = CANISTER) => {
  const proof = proofOf({
    header: HEADER,
    witness: WITNESS,
    certificate: parts.certificate ?? certificate(),
    ...parts,
  });
  const head = await sourceOfReply(proof, canister, ROOT.publicKey).head();
  if (head === undefined) return undefined;
  // The proof's own bytes are not part of its content.
  const { proof: _, ...said } = head;
  return said;
};
const REFUSAL = /^(VerificationError|FormatError)$/;

t.test("the unchanged proof is accepted", async (t) => {
  t.match(await read({}), { header: { number: 1, note: "a note" } });
});

t.test("with any byte changed, a proof is refused or has the same content", async (t) => {
  const good = { header: HEADER, witness: WITNESS, certificate: Buffer.from(certificate()) };
  const truth = (await read(good))!;
  for (const part of ["header", "witness", "certificate"] as const) {
    let believed = 0;
    for (let at = 0; at < good[part].length; at++) {
      const changed = Buffer.from(good[part]);
      changed[at]! ^= 1 << (at % 8);
      const result = await read({ ...good, [part]: changed }).catch((error: unknown) => error);
      if (result instanceof Error) {
        if (!REFUSAL.test(result.name)) t.fail(`${part}, byte ${at}: ${result.name}: ${result.message}`);
      } else {
        believed += 1;
        // Bytes that are not signed may differ if they have no meaning: the content is then the same.
        t.strictSame(result, truth, `${part}, byte ${at}`);
      }
    }
    t.comment(`${part}: ${good[part].length} bytes, ${believed} do not matter`);
    if (part !== "certificate") t.equal(believed, 0, `a change of any byte of the ${part} is refused`);
    else
      t.ok(
        believed < good[part].length / 20,
        `${believed} bytes of the certificate can change without effect`,
      );
  }
});

t.test("certificates of other keys, canisters, subnets and times are refused", async (t) => {
  const now = Date.now();
  const refused: Record<string, [Partial<CertificateFields>, RegExp]> = {
    "another root key": [{ root: newBlsKey() }, /does not verify by the network's root key/],
    "signed by the root key of another network, without a delegation": [
      { root: newBlsKey(), withoutDelegation: true },
      /does not verify by the network's root key/,
    ],
    "another canister's": [{ canister: canisterId(6) }, /it has no certified data/],
    "another subnet's, by its range: the canister is below": [
      { shards: [[[idBytes(6), idBytes(9)]]] },
      /delegation that does not include the canister/,
    ],
    "another subnet's: the canister is above": [
      { shards: [[[idBytes(0), idBytes(4)]]] },
      /delegation that does not include the canister/,
    ],
    "a delegation to another key": [
      // The delegation is valid, and names a subnet whose key did not sign.
      { delegation: () => delegationOf(newBlsKey()) },
      /its delegation has no canister ranges of its subnet/,
    ],
    "a delegation under a delegation": [{ delegation: () => certificate() }, /too many delegations/],
    "a delegation that is no certificate": [{ delegation: () => new Uint8Array([0xa0]) }, /./],
    "an empty delegation": [{ delegation: () => new Uint8Array() }, /./],
    "other certified data": [
      { data: Buffer.alloc(32) },
      /the witness is not the tree that the certificate certifies/,
    ],
    "no certified data to speak of": [{ data: Buffer.alloc(0) }, /the witness is not the tree/],
    stale: [
      { time: now - 6 * MINUTE },
      /more than 5 minutes in the past.*this host's clock says .*replays an old answer/,
    ],
    "an hour old": [{ time: now - 60 * MINUTE }, /more than 5 minutes in the past/],
    "from the future": [
      { time: now + 6 * MINUTE },
      /more than 5 minutes in the future.*this host's clock says/,
    ],
    "under a delegation of 1970": [{ delegationTime: 0 }, /more than 43200 minutes in the past/],
    "of 1970": [{ time: 0, delegationTime: now }, /more than 5 minutes in the past/],
  };
  for (const [name, [fields, message]] of Object.entries(refused)) {
    await t.rejects(read({ certificate: certificate(fields) }), { name: "VerificationError", message }, name);
  }
  await t.rejects(
    read({}, canisterId(6)),
    { message: /it has no certified data/ },
    "a certificate for another canister is refused",
  );
  for (const minutes of [-4, 4]) {
    t.match(await read({ certificate: certificate({ time: now + minutes * MINUTE }) }), {
      header: { number: 1 },
    });
  }
  const old = certificate({ delegationTime: now - 1000 * MINUTE });
  t.match(await read({ certificate: old }), { header: { number: 1 } }, "an old delegation is accepted");
});

/** The certificate of a delegation to another subnet. */
function delegationOf(subnet: ReturnType<typeof newBlsKey>): Uint8Array {
  let delegation = new Uint8Array();
  certificate({
    subnet,
    delegation: (good) => {
      delegation = Uint8Array.from(good);
      return good;
    },
  });
  return delegation;
}

t.test("a proof is refused if its parts do not match, or if they certify no release", async (t) => {
  const other = encodeHeader({ number: 2, parent: Buffer.alloc(32, 1) });
  await t.rejects(read({ header: other }), { message: "the header is not the one that is certified" });
  await t.rejects(read({ header: other, witness: witnessOf(other) }), {
    message: "the witness is not the tree that the certificate certifies",
  });
  await t.rejects(read({ header: new Uint8Array() }), {
    message: "the header is not the one that is certified",
  });
  const noHeader = Buffer.from("820340", "hex");
  await t.rejects(
    read({
      header: new Uint8Array(),
      witness: noHeader,
      certificate: certificate({ data: rootHash(decodeHashTree(noHeader)) }),
    }),
    { message: "the certificate certifies no icfs release" },
    "certified data that is not an icfs tree is refused",
  );
  const pruned = Buffer.concat([Buffer.from("82045820", "hex"), DATA]);
  await t.rejects(
    read({ witness: pruned }),
    { message: "the certificate certifies no icfs release" },
    "pruned away",
  );
  // These bytes are certified, but they are not headers.
  for (const header of [Buffer.from("x"), HEADER.subarray(0, -1), Buffer.concat([HEADER, Buffer.alloc(1)])]) {
    const witness = witnessOf(header);
    const certified = certificate({ data: rootHash(decodeHashTree(witness)) });
    await t.rejects(read({ header, witness, certificate: certified }), { name: "FormatError" });
  }
});
