/** Whether a live mount's network is still the one that it was mounted from. */
import { gatewayStatuses, resolveNetwork } from "../ic/network.ts";
import type { MountStatus } from "../live/report/status.ts";
import { servedInWords } from "../source/words.ts";
import { type Finding, fail } from "./check.ts";

/**
 * A finding if another network, with another root key, answers now at the URL that a mount was mounted from. Undefined when one of the
 * gateways still has the mount's root key, when none answers, or when the mount asks only mirrors.
 *
 * @param limit how many milliseconds a gateway may take without sending a byte
 */
export async function replacedNetwork(status: MountStatus, limit?: number): Promise<Finding | undefined> {
  const { network, mountpoint, mirrorOnly } = status;
  if (mirrorOnly) return undefined;
  const statuses = await gatewayStatuses(resolveNetwork(network), "all", limit);
  const rootKeys = [...statuses.values()].flatMap((one) =>
    one instanceof Error ? [] : [Buffer.from(one.rootKey).toString("hex")],
  );
  if (rootKeys.length === 0 || rootKeys.includes(status.rootKey)) return undefined;
  return fail(
    `${mountpoint} goes on with ${servedInWords(status)}, and accepts nothing from ${network} any more: another network, with another root key, answers there`,
    `if it was replaced on purpose: icfs umount ${mountpoint}, and mount what the new one has; else find out who answers`,
  );
}
