/** Chooses one of the two transports for a mount. */

import { platform } from "node:os";
import { UserError } from "../errors.ts";
import { isRoot } from "./mounting/host.ts";
import type { MountTransport } from "./transport.ts";

export type TransportName = "kernel" | "fuse-native";

/** Default: the kernel transport, where it is available. @throws UserError when the transport that is named is not available here */
export async function chooseTransport(name: TransportName | undefined): Promise<MountTransport> {
  const possible = platform() === "linux" && isRoot();
  if (name === "kernel" && !possible) {
    throw new UserError("the kernel transport is for root on Linux: use --transport fuse-native");
  }
  const isKernel = (name ?? (possible ? "kernel" : "fuse-native")) === "kernel";
  return isKernel
    ? (await import("./kernel/mount.ts")).mountKernel
    : (await import("./libfuse/fuse-native.ts")).mountFuseNative;
}
