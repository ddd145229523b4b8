/** Whether a canister has certified an answer, by the library that is made of the same code as the main network's gateways. */
import { verificationFailed } from "./gateway-error.ts";
import {
  type CanisterAnswer,
  type CanisterRequest,
  CERTIFICATE_VERSION,
  type Header,
} from "./http-canister.ts";

/** How far from now the time in a certificate may be. */
const MAX_OFFSET_NS = 300_000_000_000n;
/** As the gateways: canisters that were made before 2023 know no other. */
const MIN_VERSION = 1;

export interface Verification {
  readonly version: number;
  /** Those that are certified. Undefined: it is certified that nothing of this answer is. */
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
  // WebAssembly, which most who start a local network never need.
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
    // The library throws what is no Error.
    throw verificationFailed((error as { message?: string }).message ?? String(error));
  }
}
