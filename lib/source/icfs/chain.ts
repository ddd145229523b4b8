/**
 * The chain of releases, walked from a verified head downwards: each header must hash to what the one above calls its
 * parent, so that every release is proved by the newest one's certificate.
 */
import { VerificationError } from "../../ic/certificate.ts";
import { decodeHeader, headerHash } from "../../tree/header.ts";
import type { ReleaseReader, VerifiedHeader } from "./release-reader.ts";

/** How many headers are asked for at once. */
const HEADERS_PAGE = 1000;
/**
 * A page that has fewer has so many bytes at least: the canister fills a megabyte. A gateway that gives a header a page would have
 * somebody wait for ten thousand answers.
 */
const LEAST_PAGE_BYTES = 500_000;

/**
 * The releases below `head`, newest first, down to release `last`. They are fetched in pages as the caller goes on.
 *
 * @throws VerificationError, FormatError where the chain breaks; RejectError and Error when there is no answer
 */
export async function* ancestors(
  head: VerifiedHeader,
  reader: Pick<ReleaseReader, "headers">,
  last = 1,
): AsyncGenerator<VerifiedHeader> {
  let { parent } = head.header;
  let number = head.header.number - 1;
  while (number >= last) {
    const wanted = Math.min(HEADERS_PAGE, number - last + 1);
    const headers = await reader.headers(number, wanted);
    if (headers.length === 0)
      throw new VerificationError(`the canister does not give release ${number}'s header`);
    for (const bytes of headers) {
      const hash = headerHash(bytes);
      if (parent === undefined || !hash.equals(parent)) {
        throw new VerificationError(`release ${number} is not the parent of release ${number + 1}`);
      }
      const header = decodeHeader(bytes);
      if (header.number !== number)
        throw new VerificationError(`release ${number} calls itself ${header.number}`);
      yield { header, hash };
      ({ parent } = header);
      number -= 1;
    }
    if (headers.length < wanted && headers.reduce((sum, { length }) => sum + length, 0) < LEAST_PAGE_BYTES) {
      throw new VerificationError(
        `whoever answers gives only ${headers.length} of the ${wanted} headers asked for at once: to walk down the chain so would be too many requests`,
      );
    }
  }
}
