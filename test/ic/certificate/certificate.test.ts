/** Which certificates are accepted: by delegation, canister ranges in both forms, time, and signatures. */
import t from "tap";
import { verifyCertificate } from "../../../lib/ic/certificate/certificate.ts";
import {
  type CertificateFields,
  canisterId,
  certify,
  idBytes,
  newBlsKey,
  type Range,
} from "../../support/certificates.ts";

const CANISTER = canisterId(50);
const ROOT = newBlsKey();
const SUBNET = newBlsKey();
const DATA = Buffer.from("certified");
const MINUTE = 60_000;
const NOT_INCLUDED = /delegation that does not include the canister/;

const range = (first: number, last: number): Range => [idBytes(first), idBytes(last)];
const verified = async (fields: Partial<CertificateFields>, canister = CANISTER) => {
  const certificate = certify({ canister: CANISTER, data: DATA, root: ROOT, subnet: SUBNET, ...fields });
  return (await verifyCertificate(certificate, ROOT.publicKey, canister)).data.toString();
};

t.test("canister ranges, in one leaf and in shards", async (t) => {
  const accepted: Record<string, CertificateFields["shards"]> = {
    "one range": [[range(0, 100)]],
    "the canister alone": [[range(50, 50)]],
    "its first": [[range(50, 60)]],
    "its last": [[range(40, 50)]],
    "several ranges": [[range(1, 2), range(10, 20), range(50, 51), range(90, 99)]],
    "several shards, the first": [[range(50, 51), range(53, 54)], [range(60, 70)], [range(80, 90)]],
    "several shards, one in the middle": [
      [range(1, 2), range(4, 5)],
      [range(45, 46), range(48, 55)],
      [range(60, 70)],
    ],
    "several shards, the last": [[range(1, 2)], [range(10, 20)], [range(30, 35), range(44, 88)]],
  };
  const refused: Record<string, CertificateFields["shards"]> = {
    "a range that ends just below it": [[range(0, 49)]],
    "one that begins just above it": [[range(51, 60)]],
    "ranges on both sides": [[range(0, 49), range(51, 60)]],
    "shards on both sides": [[range(0, 10), range(20, 49)], [range(51, 60)]],
    "the shard before ends just below it": [[range(0, 1)], [range(40, 49)], [range(60, 70)]],
    "each shard is behind it": [[range(51, 52)], [range(60, 70)]],
    "a range that ends before it begins": [[range(60, 40)]],
  };
  for (const form of ["flat", "sharded", "both"] as const) {
    for (const [name, shards] of Object.entries(accepted)) {
      t.equal(await verified({ form, shards: shards! }), "certified", `${form}: ${name}`);
    }
    for (const [name, shards] of Object.entries(refused)) {
      const error = { name: "VerificationError", message: NOT_INCLUDED };
      await t.rejects(verified({ form, shards: shards! }), error, `${form}: ${name}`);
    }
  }
});

t.test("a shard counts only if it is shown and belongs to this subnet", async (t) => {
  const shards = [[range(0, 10)], [range(40, 60)], [range(80, 90)]];
  t.equal(
    await verified({ form: "sharded", shards, shown: [1] }),
    "certified",
    "a shard is accepted when it is shown alone, as by the IC",
  );
  for (const shown of [[0], [2], [0, 2]]) {
    await t.rejects(verified({ form: "sharded", shards, shown }), { message: NOT_INCLUDED }, `${shown}`);
  }
  const others = [[range(40, 60)]];
  const theirs = { shards: [[range(0, 10)]], others };
  await t.rejects(
    verified({ form: "sharded", ...theirs }),
    { message: NOT_INCLUDED },
    "another subnet's shard is refused",
  );
  t.equal(
    await verified({ form: "sharded", shards, others: [[range(0, 10)]] }),
    "certified",
    "a shard is accepted beside another subnet's",
  );
  const hidden = { form: "sharded", shards, shown: [] } as const;
  const nothing = /its delegation has no canister ranges of its subnet/;
  await t.rejects(
    verified(hidden),
    { name: "VerificationError", message: nothing },
    "a certificate that shows no shard is refused",
  );
  await t.rejects(
    verified({ ...hidden, others }),
    { message: nothing },
    "a certificate that shows only another subnet's shard is refused",
  );
});

t.test("signers and times", async (t) => {
  const now = Date.now();
  t.equal(
    await verified({ withoutDelegation: true }),
    "certified",
    "a certificate signed by the root key itself is accepted",
  );
  t.equal(await verified({ time: now - 4 * MINUTE, delegationTime: now - 1000 * MINUTE }), "certified");
  const refused: [CertificateFields | Partial<CertificateFields>, RegExp][] = [
    [{ root: newBlsKey() }, /does not verify by the network's root key/],
    [{ root: newBlsKey(), withoutDelegation: true }, /does not verify by the network's root key/],
    [{ delegation: () => certify({ canister: CANISTER, data: DATA, root: ROOT }) }, /too many delegations/],
    [{ delegation: () => new Uint8Array([0xa0]) }, /it is not a certificate/],
    [{ time: now - 6 * MINUTE }, /more than 5 minutes in the past \(this host's clock says/],
    [{ time: now + 6 * MINUTE }, /more than 5 minutes in the future \(this host's clock says/],
    [{ delegationTime: now - 31 * 24 * 60 * MINUTE }, /more than 43200 minutes in the past/],
    [{ delegationTime: now + 6 * MINUTE }, /more than 5 minutes in the future/],
  ];
  for (const [fields, message] of refused) {
    await t.rejects(verified(fields), { name: "VerificationError", message }, String(message));
  }
  await t.rejects(
    verified({}, canisterId(51)),
    { message: /it has no certified data/ },
    "a certificate for another canister is refused",
  );
  const old = certify({ canister: CANISTER, data: DATA, root: ROOT, subnet: SUBNET, time: 0 });
  const { data, time } = await verifyCertificate(old, ROOT.publicKey, CANISTER, "certified_data", "any");
  t.same(
    [data, time],
    [DATA, new Date(0)],
    "a certificate of any age is accepted for data that was verified before",
  );
});

t.test("bytes that are not a certificate are refused", async (t) => {
  for (const hex of ["", "a0", "80", "d9d9f7a0", "a1647472656581", "a26474726565810064747265658100", "ff"]) {
    const read = verifyCertificate(Buffer.from(hex, "hex"), ROOT.publicKey, CANISTER);
    await t.rejects(read, { name: "VerificationError", message: /the certificate is refused: / }, hex);
  }
});
