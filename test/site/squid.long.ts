/** A site's Squid with examples/squid.conf (docs/SITES.md, "Ten hosts and nginx"). */
import t from "tap";
import { HUNG } from "../support/icfs.ts";
import { squid } from "./engines.ts";
import { cacheOfASite } from "./scenarios.ts";

t.setTimeout(30 * HUNG);
await cacheOfASite(t, squid);
