/** The authorities that TLS trusts: Node's, this host's, and those of --ca-bundle. What is served is verified without relying on TLS. */
import { X509Certificate } from "node:crypto";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { messageOf, UserError } from "../../errors.ts";
import { readKeptSync } from "../../kept-file.ts";

/** All public authorities together take a quarter of a megabyte. */
const MOST_BYTES = 16 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED )?CERTIFICATE-----/g;

/**
 * The certificates of a file, in PEM.
 *
 * @throws UserError when it cannot be read, has none, or one that is damaged
 */
export function readBundle(file: string): string[] {
  let text: string;
  try {
    text = readKeptSync(file, MOST_BYTES).toString("latin1");
  } catch (error) {
    throw new UserError(
      `--ca-bundle: cannot read ${file} (${messageOf(error)}): name a file with certificates in PEM`,
    );
  }
  const found = text.match(CERTIFICATE) ?? [];
  if (found.length === 0) {
    const convert = `openssl x509 -inform der -in ${file} -out FILE`;
    throw new UserError(
      `--ca-bundle: ${file} has no certificate in PEM (-----BEGIN CERTIFICATE-----): name the authority's; one in DER becomes one by \`${convert}\``,
    );
  }
  for (const [index, pem] of found.entries()) {
    try {
      new X509Certificate(pem);
    } catch (error) {
      const which = `certificate ${index + 1} of ${found.length}`;
      throw new UserError(
        `--ca-bundle: ${which} in ${file} is damaged (${messageOf(error)}): get the file again from whoever runs the authority`,
      );
    }
  }
  return found;
}

/** The context for TLS connections. Making it takes 30 ms and 8 MiB, so all share one. @param bundle of readBundle() */
export function believing(bundle: readonly string[]): SecureContext {
  const all = [...getCACertificates("default"), ...getCACertificates("system"), ...bundle];
  return createSecureContext({ ca: [...new Set(all)] });
}
