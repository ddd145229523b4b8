/**
 * The chain of releases, walked from a verified head downwards: each header must have the hash that its successor names as its
 * parent, so that the newest release's certificate proves every release.
 */
import { VerificationError } from "../../ic/certificate/certificate.ts";
import { decodeHeader, headerHash } from "../../tree/header.ts";
import type { ReleaseReader, VerifiedHeader } from "./release-reader.ts";

/** How many headers are requested at once. */
const HEADERS_PAGE = 1000;
/**
 * A page with fewer headers must have at least this many bytes: the canister fills a megabyte. A gateway that returns one header per page
 * would make the caller wait for ten thousand answers.
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
  let child = head;
  while (child.header.number > last) {
    const number = child.header.number - 1;
    const wanted = Math.min(HEADERS_PAGE, number - last + 1);
    const check = (headers: readonly Uint8Array[]) => {
      chained(child, headers);
      mustBeFull(headers, wanted);
    };
    const page = await reader.headers(number, wanted, check);
    for (const ancestor of chained(child, page)) {
      yield ancestor;
      child = ancestor;
    }
    mustBeFull(page, wanted);
  }
}

/** Refuses a page that is neither complete nor large. @throws VerificationError */
function mustBeFull(headers: readonly Uint8Array[], wanted: number): void {
  const bytes = headers.reduce((sum, { length }) => sum + length, 0);
  if (headers.length < wanted && bytes < LEAST_PAGE_BYTES) {
    throw new VerificationError(
      `whoever answers gives only ${headers.length} of the ${wanted} headers asked for at once: walking down the chain like this would take too many requests`,
    );
  }
}

/** The releases below `child` that have these headers. @throws VerificationError, FormatError */
function chained(child: VerifiedHeader, headers: readonly Uint8Array[]): VerifiedHeader[] {
  let { parent, number } = child.header;
  if (headers.length === 0) {
    throw new VerificationError(`the canister does not give release ${number - 1}'s header`);
  }
  return headers.map((bytes) => {
    number -= 1;
    const hash = headerHash(bytes);
    if (parent === undefined || !hash.equals(parent)) {
      throw new VerificationError(`release ${number} is not the parent of release ${number + 1}`);
    }
    const header = decodeHeader(bytes);
    if (header.number !== number)
      throw new VerificationError(`release ${number} calls itself ${header.number}`);
    ({ parent } = header);
    return { header, hash };
  });
}
