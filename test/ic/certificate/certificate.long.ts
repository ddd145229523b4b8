/**
 * Compares icfs's check of certificates with @icp-sdk/core's, over thousands of random certificates with each of the faults that a
 * certificate may have. The right verdict is known beforehand. Where the two differ, core refuses a good certificate, for a known reason.
 */
import { createHash } from "node:crypto";
import { Certificate, type LookupResult } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import fc from "fast-check";
import t, { type Test } from "tap";
import { verifyCertificate } from "../../../lib/ic/certificate/certificate.ts";
import type { BlsVerify } from "../../../lib/ic/certificate/valid-signatures.ts";
import type { BlsKey } from "../../../localnet/keys.ts";
import {
  type CertificateFields,
  canisterId,
  certify,
  idBytes,
  newBlsKey,
  type Range,
  type Shard,
} from "../../support/certificates.ts";

t.setTimeout(1_800_000);

const DATA = Buffer.from("certified");
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const MONTH = 30 * 24 * 60 * MINUTE;
const DER_PREFIX_BYTES = 37;

/** The verdicts of icfs and of core: the certified data, or why the certificate is refused. */
interface Verdicts {
  readonly ours: string;
  readonly cores: string;
}

async function verdicts(
  certificate: Uint8Array,
  rootKey: Uint8Array,
  number: number,
  blsVerify?: BlsVerify,
): Promise<Verdicts> {
  const canister = canisterId(number);
  const ours = verifyCertificate(certificate, rootKey, canister, "certified_data", "fresh", blsVerify);
  const id = canister.toUint8Array();
  const cores = async () => {
    const checked = await Certificate.create({
      certificate: Uint8Array.from(certificate),
      rootKey,
      principal: { canisterId: Principal.fromUint8Array(id) },
      ...(blsVerify && { blsVerify }),
    });
    const found: LookupResult = checked.lookup_path(["canister", id, "certified_data"]);
    if (!("value" in found)) throw new Error("no certified data");
    return Buffer.from(found.value).toString();
  };
  const refusal = (error: Error) => `refused: ${error.message.split("\n")[0]}`;
  return {
    ours: await ours.then(({ data }) => data.toString(), refusal),
    cores: await cores().catch(refusal),
  };
}

/** A key whose signatures cost nothing. Most of the certificates here do not need real ones. */
function cheapKey(name: string): BlsKey {
  const { publicKey } = REAL;
  const own = createHash("sha384").update(name).digest();
  const der = Buffer.concat([publicKey.subarray(0, DER_PREFIX_BYTES), own, own]);
  return {
    publicKey: new Uint8Array(der),
    signRootHash: (hash) => cheapSignature(der.subarray(DER_PREFIX_BYTES), withDomain(hash)),
  };
}
const withDomain = (hash: Uint8Array) => Buffer.concat([Buffer.from("\x0dic-state-root"), hash]);
const cheapSignature = (key: Uint8Array, message: Uint8Array) =>
  new Uint8Array(createHash("sha384").update(key).update(message).digest());
const cheapVerify: BlsVerify = (key, signature, message) =>
  Buffer.compare(cheapSignature(key, message), signature) === 0;

const REAL = newBlsKey();
const REAL_SUBNET = newBlsKey();

/** A certificate to make: of a canister between 0 and 99, with faults. */
const cases = fc.record({
  canister: fc.integer({ min: 0, max: 99 }),
  /** The ends of ranges. Sorted, each two in turn make a range. */
  ends: fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { minLength: 2, maxLength: 24 }),
  shardSize: fc.integer({ min: 1, max: 5 }),
  form: fc.constantFrom("flat", "sharded", "both"),
  /** Whether only the one shard that may have the canister is shown, as on the IC, or all shards. */
  oneShown: fc.oneof(
    { weight: 3, arbitrary: fc.constant(true) },
    { weight: 1, arbitrary: fc.constant(false) },
  ),
  others: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  age: fc.oneof(
    { weight: 5, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constantFrom(-6, -5.1, -4.9, 4.9, 5.1, 60) },
  ),
  delegationAge: fc.oneof(
    { weight: 5, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constantFrom(-6, 60, MONTH / MINUTE - 1, MONTH / MINUTE + 1) },
  ),
  fault: fc.oneof(
    { weight: 6, arbitrary: fc.constant("none") },
    { weight: 1, arbitrary: fc.constantFrom("root", "subnet", "nested", "canister", "no delegation") },
  ),
});
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

function shardsOf({ ends, shardSize }: Case): Shard[] {
  const sorted = ends.toSorted((a, b) => a - b);
  const ranges: Range[] = [];
  for (let at = 0; at + 1 < sorted.length; at += 2)
    ranges.push([idBytes(sorted[at]!), idBytes(sorted[at + 1]!)]);
  const shards: Shard[] = [];
  for (let at = 0; at < ranges.length; at += shardSize) shards.push(ranges.slice(at, at + shardSize));
  return shards;
}

/** The certificate, and whether it is good. */
function made(given: Case, root: BlsKey, subnet: BlsKey, keyOf: (name: string) => BlsKey) {
  const id = idBytes(given.canister);
  const shards = shardsOf(given);
  const last = shards.findLastIndex(([first]) => Buffer.compare(first![0], id) <= 0);
  const shown = given.oneShown ? (last < 0 ? [0] : [last]) : [...shards.keys()];
  const now = Date.now();
  const fields: CertificateFields = {
    canister: canisterId(given.canister),
    data: DATA,
    root,
    subnet,
    shards,
    form: given.form as "flat",
    shown,
    time: now - given.age * MINUTE,
    delegationTime: now - given.delegationAge * MINUTE,
    ...(given.others && { others: [[[idBytes(0), idBytes(99)]]] }),
  };
  const { fault } = given;
  const more: Partial<CertificateFields> = {
    ...(fault === "root" && { root: keyOf("another root") }),
    ...(fault === "canister" && { canister: canisterId(given.canister + 1) }),
    ...(fault === "no delegation" && { withoutDelegation: true }),
    ...(fault === "nested" && { delegation: () => certify(fields) }),
    ...(fault === "subnet" && { delegation: delegationToAnother(fields, keyOf) }),
  };
  const inRange = shards
    .flat()
    .some(([first, end]) => Buffer.compare(first, id) <= 0 && Buffer.compare(id, end) <= 0);
  const isTimely = given.age > -5 && given.age < 5;
  const isDelegated = inRange && given.delegationAge > -5 && given.delegationAge * MINUTE < MONTH;
  const isGood = isTimely && (fault === "no delegation" || (fault === "none" && isDelegated));
  return {
    certificate: certify({ ...fields, ...more }),
    isGood,
    manyShown: shown.length > 1 || given.others,
  };
}

/** A delegation to another subnet's key, signed by the right root key. The certificate itself is not signed with that key. */
function delegationToAnother(fields: CertificateFields, keyOf: (name: string) => BlsKey) {
  let theirs = new Uint8Array();
  certify({
    ...fields,
    subnet: keyOf("another subnet"),
    delegation: (good) => {
      theirs = Uint8Array.from(good);
      return good;
    },
  });
  return () => theirs;
}

async function compared(t: Test, runs: number, isCheap: boolean) {
  const keys = new Map<string, BlsKey>();
  const keyOf = (name: string) => {
    const key = keys.get(name) ?? (isCheap ? cheapKey(name) : newBlsKey());
    keys.set(name, key);
    return key;
  };
  const [root, subnet] = isCheap ? [cheapKey("root"), cheapKey("subnet")] : [REAL, REAL_SUBNET];
  const verify = isCheap ? cheapVerify : undefined;
  const count = { good: 0, bad: 0, refusedByCore: 0 };
  for (const given of fc.sample(cases, runs)) {
    const { certificate, isGood, manyShown } = made(given, root, subnet, keyOf);
    const { ours, cores } = await verdicts(certificate, root.publicKey, given.canister, verify);
    const wanted = isGood ? "certified" : "refused";
    const text = JSON.stringify({ given, ours, cores });
    count[isGood ? "good" : "bad"] += 1;
    if (!ours.startsWith(wanted)) t.fail(`icfs, not ${wanted}: ${text}`);
    if (cores.startsWith(wanted)) continue;
    // Where several shards are shown, core looks into the wrong one. The main network shows only one.
    if (!isGood || !manyShown || given.form === "flat") t.fail(`core, not ${wanted}: ${text}`);
    count.refusedByCore += 1;
  }
  t.ok(count.good > runs / 10 && count.bad > runs / 10, JSON.stringify(count));
  t.ok(
    count.refusedByCore < count.good / 2,
    `core refuses ${count.refusedByCore} good certificates that show several shards`,
  );
}
t.test("five thousand certificates with cheap signatures", (t) => compared(t, 5000, true));

t.test("two hundred certificates with real signatures", (t) => compared(t, 200, false));

t.test(
  "with any byte changed, core accepts each certificate that icfs accepts, with the same data",
  async (t) => {
    const [root, subnet] = [cheapKey("root"), cheapKey("subnet")];
    for (const form of ["flat", "sharded"] as const) {
      const good = certify({ canister: canisterId(5), data: DATA, root, subnet, form });
      let believed = 0;
      for (let at = 0; at < good.length; at++) {
        for (const bit of [1, 2, 16, 128]) {
          const changed = Uint8Array.from(good);
          changed[at]! ^= bit;
          const { ours, cores } = await verdicts(changed, root.publicKey, 5, cheapVerify);
          if (ours.startsWith("refused")) continue;
          believed += 1;
          t.equal(ours, "certified", `byte ${at}`);
          t.equal(cores, "certified", `byte ${at}`);
        }
      }
      t.ok(believed < good.length / 5, `${form}: ${believed} of ${4 * good.length} changes have no effect`);
    }
  },
);
