/** Node's, OpenSSL's and the resolver's codes for failed connections, as far as icfs distinguishes them. */

/** The code of an error, or of the cause that has one; undefined when none has. */
export function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  if (typeof code === "string") return code;
  return cause === undefined ? undefined : codeOf(cause);
}

/** Codes for a certificate that is not trusted, or is another host's. */
const CERTIFICATE =
  /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|UNABLE_TO_(GET|VERIFY)|HOSTNAME_MISMATCH|INVALID_CA)/;

export function isCertificateCode(code: string): boolean {
  return CERTIFICATE.test(code);
}

/** The code when the resolver says that there is no such name (NXDOMAIN). When it could not be asked, the code is EAI_AGAIN. */
export const NO_SUCH_NAME = "ENOTFOUND";

/**
 * Whether further attempts will fail until somebody changes something. False where this host's clock may be the reason: it is set soon
 * after a host has started.
 */
export function isLastingCode(code: string): boolean {
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") return false;
  return code === NO_SUCH_NAME || isCertificateCode(code);
}
