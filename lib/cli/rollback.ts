/** icfs rollback: makes a new release with an old one's tree. Nothing is uploaded, and the history stays whole. */
import { Command } from "commander";
import { UserError } from "../errors.ts";
import { jsonLine } from "../log.ts";
import { patientReader } from "../publish/patience.ts";
import { checkNote } from "../publish/plan.ts";
import { rollBack } from "../publish/release.ts";
import { openHead, openReader, releaseBelow } from "../source/icfs/open-release.ts";
import { parseReleaseNumber } from "./addresses.ts";
import { signer } from "./calls.ts";
import { REQUEST_TIMEOUT_MS } from "./connect.ts";
import { flag, type NetworkOptions, OWN_IDENTITY, option, withNetwork } from "./options.ts";

interface RollbackOptions extends NetworkOptions {
  readonly note?: string;
  readonly json?: boolean;
}

export function rollbackCommand(): Command {
  const command = new Command("rollback")
    .description("make a new release with the tree of an old one (publishers and owners)")
    .argument("<canister>", "canister id")
    .argument("<release>", "the old one's number (icfs releases)", parseReleaseNumber)
    .addOption(
      option("--note <text>", 'kept with the release, at most 1024 bytes; default: "rollback to RELEASE"'),
    )
    .addOption(flag("--json", "print one object: release, header"));
  return withNetwork(command, OWN_IDENTITY).action(rollback);
}

async function rollback(canisterId: string, number: number, options: RollbackOptions): Promise<void> {
  const note = options.note ?? `rollback to ${number}`;
  checkNote(note);
  const { address, agent, canister, explained } = await signer(canisterId, options);
  const source = patientReader(openReader(address, REQUEST_TIMEOUT_MS));
  const parent = await openHead(address, source);
  if (number === parent.header.number) throw new UserError(`release ${number} is already the newest one`);
  const to = await releaseBelow(parent, { ...address, release: number }, source);
  const publisher = await agent.getPrincipal();
  const made = await explained(rollBack({ canister, source, publisher, to, parent, note }), {
    what: "roll back",
    by: "publisher",
  });
  const result = { release: made.header.number, header: made.hash.toString("hex") };
  console.log(
    options.json
      ? jsonLine(result)
      : `release ${result.release} (${result.header}) has the tree of release ${number}`,
  );
}
