/** Who controls a canister: certified by its subnet, and not asked of the canister. */
import type { HttpAgent } from "@dfinity/agent";
import { Principal } from "@dfinity/principal";
import { FormatError, UserError } from "../errors.ts";
import { agentMessage } from "./agent-error.ts";
import { CborReader } from "./cbor-reader.ts";
import { verifyCertificate } from "./certificate.ts";

/** @throws UserError when there is no answer; VerificationError, FormatError when it is not what it should be */
export async function controllersOf(
  agent: HttpAgent,
  canister: Principal,
  rootKey: Uint8Array,
): Promise<Principal[]> {
  const path = [Buffer.from("canister"), canister.toUint8Array(), Buffer.from("controllers")];
  let certificate: Uint8Array;
  try {
    ({ certificate } = await agent.readState(canister, {
      paths: [path.map((label) => Uint8Array.from(label))],
    }));
  } catch (error) {
    throw new UserError(`cannot find out who controls ${canister}: ${agentMessage(error)}`);
  }
  return decodeControllers((await verifyCertificate(certificate, rootKey, canister, "controllers")).data);
}

/** @throws FormatError */
export function decodeControllers(cbor: Uint8Array): Principal[] {
  const reader = new CborReader(cbor);
  if (!reader.selfDescribed()) throw new FormatError("the controllers are no CBOR");
  const controllers = Array.from({ length: reader.array() }, () => Principal.fromUint8Array(reader.bytes()));
  reader.end();
  return controllers;
}
