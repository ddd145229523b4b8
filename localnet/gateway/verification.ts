/** Verifies that a canister has certified an answer, with the library that shares its code with the main network's gateways. */
import { verificationFailed } from "./gateway-error.ts";
import {
  type CanisterAnswer,
  type CanisterRequest,
  CERTIFICATE_VERSION,
  type Header,
} from "./http-canister.ts";

/** Nanoseconds by which a certificate's time may differ from now. */
const MAX_OFFSET_NS = 300_000_000_000n;
/** Gateways still accept version 1, the only one that canisters from before 2023 know. */
const MIN_VERSION = 1;

export interface Verification {
  readonly version: number;
  /** The certified headers. Undefined: the canister has certified that this answer is not certified. */
  readonly headers: Header[] | undefined;
}

/**
 * Verifies an answer: version 2, or 1, which covers the body only.
 *
 * @param now nanoseconds since 1970
 * @param rootKey DER
 * @throws GatewayError 503
 */
export async function verify(
  request: CanisterRequest,
  answer: CanisterAnswer,
  canister: Uint8Array,
  now: bigint,
  rootKey: Uint8Array,
): Promise<Verification> {
  // The library is WebAssembly, which most local networks never need.
  const { verifyRequestResponsePair } = await import("@dfinity/response-verification");
  const { status: status_code, headers, body } = answer;
  try {
    const { verificationVersion: version, response } = verifyRequestResponsePair(
      { ...request, certificate_version: [CERTIFICATE_VERSION] },
      { status_code, headers, body },
      canister,
      now,
      MAX_OFFSET_NS,
      rootKey,
      MIN_VERSION,
    );
    return { version, headers: response?.headers };
  } catch (error) {
    // The library throws values that are not Errors.
    throw verificationFailed((error as { message?: string }).message ?? String(error));
  }
}
