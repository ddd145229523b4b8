/** A site's nginx with examples/nginx.conf (docs/SITES.md, "Ten hosts and nginx"). */
import t from "tap";
import { HUNG } from "../support/icfs.ts";
import { nginx } from "./engines.ts";
import { behindServe, cacheOfASite } from "./scenarios.ts";

t.setTimeout(30 * HUNG);
const site = await cacheOfASite(t, nginx);
t.test("nginx in front of icfs serve asks for each chunk once", (t) => behindServe(t, site));
