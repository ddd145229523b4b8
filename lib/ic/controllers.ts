/** The controllers of a canister, as its subnet certifies them. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import { FormatError, messageOf, UserError } from "../errors.ts";
import { CborReader } from "./certificate/cbor-reader.ts";
import { VerificationError, verifyCertificate } from "./certificate/certificate.ts";
import { certifiedAt } from "./read-state.ts";

/**
 * A canister's controllers.
 *
 * @throws UserError when there is no answer; VerificationError when it does not verify; FormatError when it is not a list of principals
 */
export async function controllersOf(
  agent: HttpAgent,
  canister: Principal,
  rootKey: Uint8Array,
): Promise<Principal[]> {
  const { data } = await certifiedAt(agent, canister, ["controllers"], (certificate) =>
    verifyCertificate(certificate, rootKey, canister, "controllers"),
  ).catch((error) => {
    if (error instanceof VerificationError) throw error;
    throw new UserError(`cannot find out who controls ${canister}: ${messageOf(error)}`);
  });
  return decodeControllers(data);
}

/** The principals in the state tree's leaf `controllers`: self-described CBOR, an array of byte strings. @throws FormatError */
export function decodeControllers(cbor: Uint8Array): Principal[] {
  const reader = new CborReader(cbor);
  if (!reader.selfDescribed()) throw new FormatError("the controllers are not CBOR");
  const controllers = Array.from({ length: reader.array() }, () => Principal.fromUint8Array(reader.bytes()));
  reader.end();
  return controllers;
}
