/** The form of certificates, and how many parts they may have: anything else is refused before a hash is computed. */
import * as cbor from "@dfinity/cbor";
import t from "tap";
import { verifyCertificate } from "../../../lib/ic/certificate/certificate.ts";
import { ANY_ITEM, checkCertificate, ONE_ITEM } from "../../../lib/ic/certificate/certificate-form.ts";
import { canisterId, certify, newBlsKey } from "../../support/certificates.ts";

const canister = canisterId(7);
const root = newBlsKey();
const data = Buffer.alloc(32, 3);

/** A tree of so many empty leaves. */
function bushy(leaves: number): unknown {
  if (leaves === 1) return [3, new Uint8Array()];
  return [1, bushy(leaves >> 1), bushy(leaves - (leaves >> 1))];
}

const encoded = (tree: unknown, more: object = {}) =>
  cbor.encodeWithSelfDescribedTag({ tree, signature: new Uint8Array(48), ...more } as never);

/** Verifies a certificate, which must fail. @returns the error's message, and how many signatures had been checked by then */
async function refused(certificate: Uint8Array): Promise<[string, number]> {
  let looked = 0;
  const look = () => {
    looked += 1;
    return true;
  };
  const error = await verifyCertificate(
    certificate,
    root.publicKey,
    canister,
    "certified_data",
    "fresh",
    look,
  ).then(
    () => "accepted",
    (error: Error) => error.message,
  );
  return [error, looked];
}

t.test("certificates as networks make them are accepted", async (t) => {
  for (const fields of [{}, { withoutDelegation: true }]) {
    const certificate = certify({ canister, data, root, ...fields });
    for (const limits of [ONE_ITEM, ANY_ITEM]) checkCertificate(certificate, limits);
    t.strictSame(Buffer.from((await verifyCertificate(certificate, root.publicKey, canister)).data), data);
  }
});

t.test("certificates of too many parts or bytes are refused, with and without a delegation", async (t) => {
  const inside = (certificate: Uint8Array) =>
    encoded(bushy(10), { delegation: { subnet_id: data, certificate } });
  const large = encoded([3, new Uint8Array(65 * 1024)]);
  const cases: [name: string, certificate: Uint8Array, message: RegExp][] = [
    ["a thousand leaves", encoded(bushy(1000)), /CBOR of more than 2000 parts/],
    ["a large leaf", large, /a certificate of 66\d+ bytes/],
    ["the delegation has a thousand leaves", inside(encoded(bushy(1000))), /CBOR of more than 2000 parts/],
    [
      "the delegation is large",
      inside(encoded([3, new Uint8Array(257 * 1024)])),
      /a delegation of 263\d+ bytes/,
    ],
    ["the delegation is not CBOR", inside(Buffer.from([0x9f])), /indefinite length/],
    ["a delegation that is none", encoded(bushy(10), { delegation: [1] }), /major type/],
  ];
  for (const [name, certificate, message] of cases) {
    const [said, looked] = await refused(certificate);
    t.match(said, message, name);
    t.equal(looked, 0, `${name}: refused before any signature is checked`);
  }
  t.doesNotThrow(() => checkCertificate(large, ANY_ITEM), "a certificate of a reply may have a large leaf");
  t.throws(() => checkCertificate(encoded(bushy(5000)), ANY_ITEM), /CBOR of more than 10000 parts/);
});
