/**
 * Selects the transport of a test's mounts. Everything that may differ between transports is tested over both:
 * `*-fuse-native.test.ts` set the variable, and import the test that they are named for.
 */
import type { Test } from "tap";
import type { TransportName } from "../../lib/fs/choose-transport.ts";

export const TRANSPORT: TransportName =
  process.env.TEST_TRANSPORT === "fuse-native" ? "fuse-native" : "kernel";

/**
 * A test of the layers above the transports (the network, the cache, when a release is ready), where the same functions of
 * lib/fs/view answer a reader's open() or read(): over the kernel transport only.
 */
export function aboveTransports(t: Test, name: string, work: (t: Test) => Promise<void>): void {
  if (TRANSPORT === "kernel") t.test(name, work);
}
