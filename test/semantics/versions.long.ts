/** The first clause of versions.test.ts, with flips for a minute, over both transports side by side. */
import t from "tap";
import { HUNG } from "../mount/mounts.ts";
import { readsOneVersion } from "./flipping.ts";

const SECONDS = 45;

t.setTimeout(30 * HUNG);
t.jobs = 2;

for (const transport of ["kernel", "fuse-native"] as const) {
  t.test(transport, { buffered: true }, (t) => readsOneVersion(t, { seconds: SECONDS, transport }));
}
