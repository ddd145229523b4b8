/**
 * ICFS_TEST_API=old or new: the tests' networks have the deprecated endpoints of the IC's HTTP interface alone, or those in their place.
 * Whoever reads and publishes must pass with either.
 */
import type { LocalNetworkOptions } from "../../localnet/index.ts";

const { ICFS_TEST_API: api } = process.env;

/** What each network of the tests is started with. */
export const TEST_API: Pick<LocalNetworkOptions, "api"> = api === "old" || api === "new" ? { api } : {};
