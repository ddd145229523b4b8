/**
 * BLS signatures as the IC has them (interface specification, "Certificate encoding"): on the curve BLS12-381, with signatures in G1 and public
 * keys in G2, both compressed.
 *
 * A local network signs for each update call. mcl-wasm does that in a tenth of the time that @noble/curves takes. It need not be trusted: clients
 * check certificates with @noble/curves (lib/ic/certificate/).
 */
import { hash_to_field } from "@noble/curves/abstract/hash-to-curve.js";
import { bls12_381 } from "@noble/curves/bls12-381.js";
import mcl from "mcl-wasm";

await mcl.init(mcl.BLS12_381);
// Compressed points as in draft-irtf-cfrg-pairing-friendly-curves, appendix C, and maps to the curve as in RFC 9380.
mcl.setETHserialization(true);
mcl.setMapToMode(mcl.IRTF);

const G2_BASE = mcl.deserializeHexStrToG2(bls12_381.G2.Point.BASE.toHex());

/** @returns 32 bytes */
export function newSecret(): Uint8Array {
  return bls12_381.utils.randomSecretKey();
}

/** @param secret 32 bytes. @returns 96 bytes */
export function publicKeyOf(secret: Uint8Array): Uint8Array {
  return mcl.mul(G2_BASE, scalarOf(secret)).serialize();
}

/** @param secret 32 bytes. @returns 48 bytes */
export function sign(message: Uint8Array, secret: Uint8Array): Uint8Array {
  const [first, second] = hash_to_field(message, 2, bls12_381.G1.defaults).map(([coefficient]) => {
    const element = new mcl.Fp();
    element.setStr(coefficient!.toString(16), 16);
    return element.mapToG1();
  });
  return mcl.mul(mcl.add(first!, second!), scalarOf(secret)).serialize();
}

function scalarOf(secret: Uint8Array): mcl.Fr {
  const scalar = new mcl.Fr();
  scalar.setBigEndianMod(secret);
  return scalar;
}
