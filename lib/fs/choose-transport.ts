/** Which of the two transports a mount goes over. */

import { platform } from "node:os";
import { UserError } from "../errors.ts";
import { mountKernel } from "./kernel/mount.ts";
import { mountFuseNative } from "./libfuse/fuse-native.ts";
import { isRoot } from "./mounting/host.ts";
import type { MountTransport } from "./transport.ts";

export type TransportName = "kernel" | "fuse-native";

/** Default: the kernel's own, where that can be had. @throws UserError when the one that is named cannot be had here */
export function chooseTransport(name: TransportName | undefined): MountTransport {
  const possible = platform() === "linux" && isRoot();
  if (name === "kernel" && !possible) {
    throw new UserError("the kernel transport is for root on Linux: use --transport fuse-native");
  }
  return (name ?? (possible ? "kernel" : "fuse-native")) === "kernel" ? mountKernel : mountFuseNative;
}
