/** icfs publish: a directory becomes a canister's newest release; or its files go to a canister that has no releases. */
import { Command } from "commander";
import { UserError } from "../errors.ts";
import { createAgent } from "../ic/agent.ts";
import { queries } from "../ic/canister-calls.ts";
import { gatewayUrl } from "../ic/gateway/gateway-url.ts";
import { type CanisterStatus, servedHttp } from "../icfs-canister.ts";
import { jsonLine } from "../log.ts";
import { exitProcess } from "../process/exit.ts";
import { describeDryRun, dryRun } from "../publish/dry-run.ts";
import { icbootWriter } from "../publish/icboot/icboot-updates.ts";
import {
  describeDryRunOfFiles,
  describeFiles,
  dryRunFiles,
  publishFiles,
} from "../publish/icboot/publish.ts";
import { CALL_TIMEOUT_MS } from "../publish/lane.ts";
import { askedAgain } from "../publish/patience.ts";
import { checkMayPublish } from "../publish/permission.ts";
import type { PlanOptions } from "../publish/plan.ts";
import type { Policy } from "../publish/policy.ts";
import { createProgress, stopOnSignals } from "../publish/progress.ts";
import { describePublication, publish } from "../publish/publish.ts";
import type { CanisterAddress } from "../source/address.ts";
import { detectSource } from "../source/detect.ts";
import { trustingReader } from "../source/icfs/accepted-releases.ts";
import { openReader } from "../source/icfs/open-release.ts";
import type { SourceKind } from "../source/source.ts";
import { canisterAddressOf, REQUEST_TIMEOUT_MS } from "./addresses.ts";
import { checkOrder } from "./argument-order.ts";
import { confirm, isAttended } from "./confirm.ts";
import { type DirectoryOptions, readingOf, withDirectory } from "./directory-options.ts";
import {
  flag,
  type NetworkOptions,
  named,
  OWN_IDENTITY,
  option,
  sourceOption,
  withNetwork,
} from "./options.ts";
import { signingIdentity } from "./signer.ts";

interface PublishCommandOptions extends NetworkOptions, DirectoryOptions {
  readonly source?: SourceKind;
  readonly note: string;
  readonly allowEmpty?: boolean;
  readonly privateFiles: Policy["privateFiles"];
  readonly lint: boolean;
  readonly strict?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** A line that takes longer to answer is one on which publishing takes its time; the canister says no at the end as well. */
const PERMISSION_TIMEOUT_MS = 5000;

export function publishCommand(): Command {
  const command = new Command("publish")
    .description(
      "publish a directory as the canister's newest release; what is there already is not sent again. An icboot canister gets the files, one by one, and has no releases",
    )
    .argument("<directory>", "what to publish", named("a directory"))
    .argument("<canister>", "canister id")
    .addOption(
      option(
        "--note <text>",
        "kept with the release, at most 1024 bytes; an icboot canister keeps none",
      ).default(""),
    )
    .addOption(flag("--allow-empty", "publish a directory without files where the canister has some"))
    .addOption(
      option(
        "--private-files <what>",
        "what to do with files that others on this host cannot read, and all who may read the canister could: publish and name them, or end with an error",
      )
        .choices(["publish", "error"])
        .default("publish"),
    )
    .addOption(
      flag("--strict", "publish nothing that would keep machines from booting, as `icfs lint` finds it"),
    )
    .addOption(
      flag("--no-lint", "look for nothing that would keep machines from booting; default: it is told"),
    )
    .addOption(
      flag(
        "--dry-run",
        "print what would be added, changed, removed and uploaded, and what stays; needs no identity",
      ),
    )
    .addOption(
      flag(
        "--json",
        "print one object: release, header, files, bytes, chunks, privateFiles, chunksUploaded, bytesUploaded, url; with --dry-run: newest, files, bytes, chunks, chunksToUpload, bytesToUpload, differences, copiedLinks, privateFiles. For an icboot canister: source, files, bytes, stale, loops, privateFiles, filesUploaded, bytesUploaded; with --dry-run: source, files, bytes, stale, loops, privateFiles, filesToUpload, bytesToUpload, differences, copiedLinks",
      ),
    );
  withDirectory(command);
  return withNetwork(command, OWN_IDENTITY).addOption(sourceOption()).action(publishDirectory);
}

async function publishDirectory(
  directory: string,
  canisterId: string,
  options: PublishCommandOptions,
): Promise<void> {
  checkOrder(canisterId, directory, (id, dir) => `icfs publish ${dir} ${id}`);
  const found = await canisterAddressOf(canisterId, options);
  const address = options.dryRun
    ? found
    : { ...found, identity: found.identity ?? (await signingIdentity(options)) };
  // Asked together with what comes next, and awaited before anything is read.
  const permitted = options.dryRun ? Promise.resolve(undefined) : mayPublish(address);
  permitted.catch(() => {});
  // As patiently as all that follows.
  const kind = options.source ?? (await askedAgain(() => detectSource(address, REQUEST_TIMEOUT_MS)));
  // What was uploaded when a signal comes is used next time.
  const progress = createProgress(process.stderr);
  stopOnSignals(progress);
  const plan: PlanOptions = {
    directory,
    reading: readingOf(options),
    policy: {
      allowEmpty: options.allowEmpty ?? false,
      privateFiles: options.privateFiles,
      lint: options.lint ? (options.strict ? "error" : "warn") : "off",
    },
    progress,
  };
  switch (kind) {
    case "icfs":
      return publishRelease(plan, address, options, permitted);
    case "icboot":
      return publishToIcboot(plan, address, options);
    case "assets":
      throw new UserError(
        `${canisterId} is an asset canister, which icfs reads and does not write to: use its own tools, dfx, icp or icx-asset`,
      );
  }
}

async function publishRelease(
  plan: PlanOptions,
  address: CanisterAddress,
  { note, json, ...options }: PublishCommandOptions,
  permitted: Promise<CanisterStatus | undefined>,
): Promise<void> {
  // A publisher is a reader first: a replayed head would pass for "nothing changed".
  const source = (from: CanisterAddress) => trustingReader(openReader(from, REQUEST_TIMEOUT_MS), from);
  const { canister } = address;
  if (options.dryRun) {
    const agent = agentFor(address, REQUEST_TIMEOUT_MS);
    const result = await dryRun({ ...plan, canister, agent, source: source(address), note, warn });
    console.log(json ? jsonLine(result) : describeDryRun(result));
    return;
  }
  const agent = agentFor(address, CALL_TIMEOUT_MS);
  const publication = await publish({
    ...plan,
    canister,
    agent,
    source: source(address),
    note,
    warn,
    permitted,
    // A script has said what it wants.
    confirm: async () => !isAttended() || (await confirm("Publish it?")),
  });
  const { changed: _, ...result } = publication;
  const status = await permitted;
  const isServed = status === undefined || servedHttp(status) !== undefined;
  const url = isServed ? gatewayUrl(address.network, canister.toText(), "") : null;
  console.log(
    json
      ? jsonLine({ ...result, url })
      : [describePublication(publication), ...(url === null ? [] : [url])].join("\n"),
  );
  // Chunks' answers that nobody waits for any more, and that need never come, would keep the process.
  exitProcess(0);
}

async function publishToIcboot(
  plan: PlanOptions,
  address: CanisterAddress,
  { note, json, ...options }: PublishCommandOptions,
): Promise<void> {
  const { canister } = address;
  if (note !== "")
    throw new UserError(`${canister} is an icboot canister, which keeps no notes: leave out --note`);
  warn(
    `${canister} is an icboot canister. It has no releases: readers see each file as it is uploaded, and half of a tree too. It certifies nothing, anybody may write to it, nothing in it can be deleted, and an upgrade loses everything. Executable bits, symlinks and times are not kept`,
  );
  const call = queries(agentFor(address, REQUEST_TIMEOUT_MS), canister);
  const common = { ...plan, call, warn };
  if (options.dryRun) {
    const result = await dryRunFiles(common);
    console.log(json ? jsonLine(result) : describeDryRunOfFiles(result));
    return;
  }
  const writer = icbootWriter(agentFor(address, CALL_TIMEOUT_MS), canister);
  const result = await publishFiles({ ...common, canister: writer });
  console.log(json ? jsonLine(result) : describeFiles(result));
}

/** Of an icfs canister; what others say is of no use. @throws UserError when not */
function mayPublish(address: CanisterAddress): Promise<CanisterStatus | undefined> {
  return checkMayPublish(agentFor(address, PERMISSION_TIMEOUT_MS), address.canister);
}

function warn(message: string): void {
  console.error(`icfs: ${message}`);
}

function agentFor(address: CanisterAddress, requestTimeout: number) {
  return createAgent({ ...address, verifyQuerySignatures: true, requestTimeout });
}
