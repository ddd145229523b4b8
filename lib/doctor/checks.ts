/** All checks, in the order in which a host gets ready: requirements for mounting, the network, the mounts, their readers. */
import { canister } from "./canister-check.ts";
import type { Check } from "./check.ts";
import { apparmor, selinux } from "./confinement.ts";
import { cycles } from "./cycles.ts";
import { cache, state } from "./directories.ts";
import { device, fusermount, libfuse, mountHelper } from "./fuse.ts";
import { module } from "./module.ts";
import { mounts } from "./mounts.ts";
import { clock, reachable, rootKey } from "./network.ts";
import { proxy } from "./proxy.ts";
import { tftp } from "./tftp.ts";

export const CHECKS: readonly Check[] = [
  device,
  libfuse,
  fusermount,
  mountHelper,
  cache,
  state,
  proxy,
  reachable,
  rootKey,
  clock,
  canister,
  module,
  cycles,
  mounts,
  apparmor,
  selinux,
  tftp,
];
