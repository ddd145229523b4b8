/** Options of commands that read canisters of any kind, and what they open. */
import type { Command, Option } from "commander";
import { createLog } from "../log.ts";
import type { ReleaseAddress } from "../source/address.ts";
import { openSource } from "../source/open.ts";
import {
  type Release,
  type Source,
  type SourceKind,
  type Trust,
  type Verification,
  VOUCHED,
} from "../source/source.ts";
import type { Tree } from "../tree/tree.ts";
import { type NetworkOptions, option, REQUEST_TIMEOUT_MS, releaseAddressOf, withNetwork } from "./options.ts";

export interface ReadingOptions extends NetworkOptions {
  readonly source?: SourceKind;
  readonly trust: Trust;
}

/** --source, for commands that take canisters of several kinds. */
export function sourceOption(): Option {
  return option("--source <kind>", "what kind of canister it is; default: icfs finds out").choices([
    "icfs",
    "icboot",
    "assets",
  ]);
}

/** Adds --source and --trust, and those of withNetwork(). */
export function withSource(command: Command): Command {
  return withNetwork(command, "none, anonymous")
    .addOption(sourceOption())
    .addOption(
      option(
        "--trust <how>",
        "how to read an icboot canister, which certifies nothing: query, signed by one node, or replicated, by consensus, which takes seconds",
      )
        .choices(["query", "replicated"])
        .default("query"),
    );
}

export interface Opened {
  readonly address: ReleaseAddress;
  readonly source: Source;
  readonly release: Release;
  readonly tree: Tree;
}

/** What `CANISTER` or `CANISTER@NUMBER` names. @throws UserError, VerificationError, ... of the source */
export async function openForReading(text: string, options: ReadingOptions): Promise<Opened> {
  const address = await releaseAddressOf(text, options);
  const source = await openSourceOf(address, options);
  const release = await source.newest();
  warnOfTrust(address.canister.toText(), release.verified);
  return { address, source, release, tree: await source.tree(release) };
}

/** @throws UserError; Error when the network does not answer */
export function openSourceOf(
  address: ReleaseAddress,
  { source: kind, trust }: ReadingOptions,
): Promise<Source> {
  // What is left out of a tree is said on stderr.
  return openSource(address, { kind, trust, requestTimeout: REQUEST_TIMEOUT_MS, log: createLog("warn") });
}

/** Says on stderr what a canister cannot promise, when nothing but a node's signature vouches for it. */
export function warnOfTrust(canister: string, verified: Verification): void {
  if (verified !== "node-signature") return;
  console.error(
    `icfs: what ${canister} serves is ${VOUCHED[verified]}, and anybody may write to it; --trust replicated reads it through consensus`,
  );
}
