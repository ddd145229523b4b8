/** icfs publish: makes a directory the newest release of a canister, or stores its files in a canister that has no releases. */
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
import { checkOrder } from "./argument-order.ts";
import { confirm, isAttended } from "./confirm.ts";
import { canisterAddressOf, REQUEST_TIMEOUT_MS } from "./connect.ts";
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

/** Not longer: over a slow line publishing takes its time anyway, and the canister also refuses at the end. */
const PERMISSION_TIMEOUT_MS = 5000;

export function publishCommand(): Command {
  const command = new Command("publish")
    .description(
      "publish a directory as the canister's newest release; chunks that the canister already has are not sent again. An icboot canister gets the files, one by one, and has no releases",
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
        "what to do with files that other users of this host cannot read, but every reader of the canister could: publish and name them, or fail",
      )
        .choices(["publish", "error"])
        .default("publish"),
    )
    .addOption(
      flag(
        "--strict",
        "refuse to publish if `icfs lint` finds something that would keep machines from booting",
      ),
    )
    .addOption(
      flag("--no-lint", "do not look for what would keep machines from booting; default: warn about it"),
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
  command: Command,
): Promise<void> {
  checkOrder(canisterId, directory, (id, dir) => `icfs publish ${dir} ${id}`);
  const found = await canisterAddressOf(canisterId, options);
  const address = options.dryRun
    ? found
    : { ...found, identity: found.identity ?? (await signingIdentity(options)) };
  // Started with the next queries, and awaited before any file is read.
  const permitted = options.dryRun ? Promise.resolve(undefined) : mayPublish(address);
  permitted.catch(() => {});
  // As patient as everything that follows.
  const kind = options.source ?? (await askedAgain(() => detectSource(address, REQUEST_TIMEOUT_MS)));
  // After a signal, the next publication uses the uploaded chunks.
  const progress = createProgress(process.stderr);
  stopOnSignals(progress);
  const plan: PlanOptions = {
    directory,
    reading: await readingOf(options, command),
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
  // A publisher reads first, with the same checks: a replayed certificate would look like "nothing changed".
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
    // A script's options count as consent.
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
  // Answers for chunks that nobody needs any more, and that may never come, would keep the process alive.
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
    `${canister} is an icboot canister. It has no releases: readers see each file as it is uploaded, and half of a tree too. It certifies nothing, anybody can write to it, nothing in it can be deleted, and an upgrade loses everything. Executable bits, symlinks and times are not kept`,
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

/** Whether an icfs canister lets the caller publish. The answers of other canisters are of no use. @throws UserError when not */
function mayPublish(address: CanisterAddress): Promise<CanisterStatus | undefined> {
  return checkMayPublish(agentFor(address, PERMISSION_TIMEOUT_MS), address.canister);
}

function warn(message: string): void {
  console.error(`icfs: ${message}`);
}

function agentFor(address: CanisterAddress, requestTimeout: number) {
  return createAgent({ ...address, verifyQuerySignatures: true, requestTimeout });
}
