/**
 * ICFS_TEST_API=old or new: the tests' networks offer only the deprecated endpoints of the IC's HTTP interface, or only their
 * replacements. Reading and publishing must work with either.
 */
import type { LocalNetworkOptions } from "../../localnet/index.ts";

const { ICFS_TEST_API: api } = process.env;

/** Options for every network in the tests. */
export const TEST_API: Pick<LocalNetworkOptions, "api"> = api === "old" || api === "new" ? { api } : {};
