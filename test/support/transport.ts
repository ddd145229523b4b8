/**
 * Which transport a test's mounts go over. Whatever a transport can do differently is tested over both: `*-fuse-native.test.ts` set the
 * variable, and import the test that they are named for.
 */
import type { Test } from "tap";
import type { TransportName } from "../../lib/fs/choose-transport.ts";

export const TRANSPORT: TransportName =
  process.env.TEST_TRANSPORT === "fuse-native" ? "fuse-native" : "kernel";

/**
 * A test of what lies above the transports (the network, the cache, when a release is ready), where a reader's open() or read() is
 * answered by the same functions of lib/fs/view: over the kernel transport alone.
 */
export function aboveTransports(t: Test, name: string, work: (t: Test) => Promise<void>): void {
  if (TRANSPORT === "kernel") t.test(name, work);
}
