/** Node's, OpenSSL's and the resolver's codes for why a connection fails, as far as they are told apart. */

/** Of the error, or of what has caused it. */
export function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  if (typeof code === "string") return code;
  return cause === undefined ? undefined : codeOf(cause);
}

/** The certificate is not trusted, or is another host's. */
const CERTIFICATE =
  /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|UNABLE_TO_(GET|VERIFY)|HOSTNAME_MISMATCH|INVALID_CA)/;

export function isCertificateCode(code: string): boolean {
  return CERTIFICATE.test(code);
}

/** The resolver says that there is no such name (NXDOMAIN); that it could not be asked is EAI_AGAIN. */
export const NO_SUCH_NAME = "ENOTFOUND";

/**
 * Whether another attempt would fail as well, until somebody has changed something: not where the clock may be what is wrong, which is
 * set soon after a host has started.
 */
export function isLastingCode(code: string): boolean {
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") return false;
  return code === NO_SUCH_NAME || isCertificateCode(code);
}
