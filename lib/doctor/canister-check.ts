/** Whether a canister can be read from here, of what kind it is, and what vouches for its bytes. */

import { rootKeyOf } from "../ic/network.ts";
import { createLog } from "../log.ts";
import { openSource } from "../source/open-source.ts";
import { nameOf, VOUCHED } from "../source/words.ts";
import { type Check, ok, warn } from "./check.ts";

/** Milliseconds: there are a few requests, and somebody waits for all of them. */
const REQUEST_TIMEOUT_MS = 5000;

export const canister: Check = {
  name: "canister",
  async run({ network, rootKey, identity, canister: asked }) {
    if (asked === undefined) return [];
    const address = {
      network,
      rootKey: await rootKeyOf(network, rootKey),
      ...asked,
      ...(identity === undefined ? {} : { identity }),
    };
    const source = await openSource(address, {
      kind: undefined,
      trust: "query",
      requestTimeout: REQUEST_TIMEOUT_MS,
      remember: false,
      log: createLog("error"),
    });
    const release = await source.newest();
    const message = `${asked.canister} can be read: ${nameOf(release)}, of kind ${source.kind}, ${VOUCHED[release.verified]}`;
    if (release.verified !== "node-signature") return [ok(message)];
    return [warn(message, "--trust replicated reads it through consensus, in seconds a read")];
  },
};
