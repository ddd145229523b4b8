/** Whether a live mount's network is still the one that it was mounted from. */
import { gatewayStatuses, resolveNetwork } from "../ic/network.ts";
import type { MountStatus } from "../mount/report/status.ts";
import { namedInWords } from "../source/words.ts";
import { type Finding, fail } from "./check.ts";

/**
 * What to say of a mount at whose URL another network answers by now; undefined when it is the same one by any of its gateways, or none
 * answers, or it is never to be asked.
 *
 * @param limit milliseconds without a byte
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
    `${mountpoint} goes on with ${namedInWords(status)}, and accepts nothing from ${network} any more: another network, with another root key, answers there`,
    `if it was replaced on purpose: icfs umount ${mountpoint}, and mount what the new one has; else find out who answers`,
  );
}
