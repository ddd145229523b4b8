/** icfs publish: a directory becomes a canister's newest release. */
import { Command } from "commander";
import { createAgent } from "../ic/agent.ts";
import { defaultIdentity } from "../ic/identity.ts";
import { describeDryRun, dryRun } from "../publish/dry-run.ts";
import { CALL_TIMEOUT_MS } from "../publish/lane.ts";
import { createProgress, stopOnSignals } from "../publish/progress.ts";
import { describePublication, publish } from "../publish/publish.ts";
import type { CanisterAddress } from "../source/address.ts";
import { openReader } from "../source/icfs/open.ts";
import { trustingReader } from "../source/icfs/trust.ts";
import {
  addressOf,
  flag,
  type NetworkOptions,
  OWN_IDENTITY,
  option,
  REQUEST_TIMEOUT_MS,
  withNetwork,
} from "./options.ts";

interface PublishCommandOptions extends NetworkOptions {
  readonly note: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function publishCommand(): Command {
  const command = new Command("publish")
    .description(
      "publish a directory as the canister's newest release; what is there already is not sent again",
    )
    .argument("<directory>", "what to publish")
    .argument("<canister>", "canister id")
    .addOption(option("--note <text>", "kept with the release, at most 1024 bytes").default(""))
    .addOption(
      flag("--dry-run", "print what would be added, changed, removed and uploaded; needs no identity"),
    )
    .addOption(
      flag(
        "--json",
        "print one object: release, header, files, bytes, chunks, chunksUploaded, bytesUploaded; with --dry-run: newest, files, bytes, chunks, chunksToUpload, bytesToUpload, differences",
      ),
    );
  return withNetwork(command, OWN_IDENTITY).action(publishDirectory);
}

async function publishDirectory(
  directory: string,
  canisterId: string,
  options: PublishCommandOptions,
): Promise<void> {
  const address = await addressOf(canisterId, options);
  // A publisher is a reader first: a replayed head would pass for "nothing changed".
  const source = (from: CanisterAddress) =>
    trustingReader(openReader(from, REQUEST_TIMEOUT_MS), from.canister, from.rootKey);
  // What was uploaded when a signal comes is used next time.
  const progress = createProgress(process.stderr);
  stopOnSignals(progress);
  if (options.dryRun) {
    const result = await dryRun({
      directory,
      canister: address.canister,
      agent: createAgent({ ...address, verifyQuerySignatures: true, requestTimeout: REQUEST_TIMEOUT_MS }),
      source: source(address),
      note: options.note,
      progress,
    });
    console.log(options.json ? JSON.stringify(result) : describeDryRun(result));
    return;
  }
  const signed = { ...address, identity: address.identity ?? defaultIdentity() };
  const publication = await publish({
    directory,
    canister: address.canister,
    agent: createAgent({ ...signed, verifyQuerySignatures: true, requestTimeout: CALL_TIMEOUT_MS }),
    source: source(signed),
    note: options.note,
    progress,
  });
  const { changed: _, ...result } = publication;
  console.log(options.json ? JSON.stringify(result) : describePublication(publication));
}
