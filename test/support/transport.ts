/**
 * Which transport a test's mounts go over. The suite runs over both: `*-fuse-native.test.ts` set the variable, and import
 * the test that they are named for.
 */
import type { TransportName } from "../../lib/fs/choose-transport.ts";

export const TRANSPORT: TransportName =
  process.env.TEST_TRANSPORT === "fuse-native" ? "fuse-native" : "kernel";
