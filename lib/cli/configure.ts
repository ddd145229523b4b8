/** icfs configure: shows or changes how much a canister stores, which releases it holds, and whether anybody can read it. */
import { Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../errors.ts";
import { type CanisterStatus, certifiedStatus, type Settings } from "../icfs-canister.ts";
import { jsonLine } from "../log.ts";
import { isRefusedSender } from "../refusals.ts";
import { limitText, parseBytes } from "../units.ts";
import { reader, signer } from "./calls.ts";
import { flag, type NetworkOptions, OWN_IDENTITY, withNetwork } from "./options.ts";

interface Changes {
  readonly private?: boolean;
  readonly public?: boolean;
  readonly http?: boolean;
  readonly quota?: number;
  readonly unpublishedQuota?: number;
  readonly holdNewest?: number;
  readonly holdDays?: number;
}

interface ConfigureOptions extends NetworkOptions, Changes {
  readonly json?: boolean;
}

const NANOSECONDS_A_DAY = 86_400_000_000_000;
/** The largest number of releases that a canister holds (canister/retention.mo, maxHeld). */
const MOST_RELEASES = 100_000;
/** The largest number of days whose nanoseconds fit into a nat64. */
const MOST_DAYS = 200_000;

export function configureCommand(): Command {
  // These options have no environment variables: a variable that is set would turn showing into changing.
  const command = new Command("configure")
    .description(
      "change a canister's settings (owners only) and print them; without options, only print them",
    )
    .argument("<canister>", "canister id")
    .addOption(
      new Option(
        "--private",
        "only owners, publishers, promoters and readers can read (this hides nothing from the IC's nodes)",
      ).conflicts("public"),
    )
    .option("--public", "anybody can read")
    .option("--http", "serve the tree over HTTP, at the canister's URL, unless the canister is private")
    .option("--no-http", "serve nothing over HTTP")
    .option("--quota <size>", "limit on the bytes of all stored chunks, such as 20GiB", size)
    .option(
      "--unpublished-quota <size>",
      "limit on the bytes that each publisher has sent and not published",
      size,
    )
    .option(
      "--hold-newest <n>",
      "hold the trees of this many of the newest releases",
      wholeNumber(1, MOST_RELEASES),
    )
    .option("--hold-days <n>", "and of all releases that are younger", wholeNumber(0, MOST_DAYS))
    .addOption(
      flag("--json", "print one object: private, http, quota, unpublishedQuota, holdNewest, holdDays"),
    );
  return withNetwork(command, `${OWN_IDENTITY}, to change something`).action(configure);
}

async function configure(canisterId: string, options: ConfigureOptions): Promise<void> {
  const changesSettings = [
    options.quota,
    options.unpublishedQuota,
    options.holdNewest,
    options.holdDays,
  ].some((value) => value !== undefined);
  const changesReaders = options.private ?? options.public ?? false;
  const changesHttp = options.http !== undefined;
  const connect = changesSettings || changesReaders || changesHttp ? signer : reader;
  const { agent, address, canister, explained } = await connect(canisterId, options);
  const deed = { what: "change the settings", by: "owner" } as const;
  const ask = () => canister.status();
  // Certified, so that no single node decides what the unchanged settings are: they are written back.
  const asked = changesSettings ? certifiedStatus(agent, address.canister).catch(unlessOld(ask)) : ask();
  const status = await explained(asked, { what: "tell its settings", by: "reader" });
  const settings = changed(status.settings, options);
  // First, so that the canister is private even if the rest fails.
  if (changesReaders) await explained(canister.restrict(options.private === true), deed);
  if (options.http !== undefined) {
    if (status.http[0] === undefined) {
      throw new UserError(
        `${canisterId} is too old to serve HTTP: upgrade it first, with icfs deploy ${canisterId}`,
      );
    }
    await explained(canister.serve_http(options.http), deed);
  }
  if (changesSettings) await explained(canister.configure(settings), deed);
  const result = {
    private: changesReaders ? options.private === true : status.is_private,
    http: options.http ?? status.http[0]?.on ?? false,
    quota: Number(settings.quota),
    unpublishedQuota: Number(settings.loose_quota),
    holdNewest: settings.hold_newest,
    holdDays: Number(settings.hold_nanoseconds) / NANOSECONDS_A_DAY,
  };
  console.log(options.json ? jsonLine(result) : describe(result));
}

/** Falls back to `ask` where the canister refuses the call: its version is older, or the caller is not an owner. */
function unlessOld(ask: () => Promise<CanisterStatus>): (error: unknown) => Promise<CanisterStatus> {
  return (error) => {
    if (!isRefusedSender(error)) throw error;
    return ask();
  };
}

function changed(settings: Settings, { quota, unpublishedQuota, holdNewest, holdDays }: Changes): Settings {
  return {
    quota: quota === undefined ? settings.quota : BigInt(quota),
    loose_quota: unpublishedQuota === undefined ? settings.loose_quota : BigInt(unpublishedQuota),
    hold_newest: holdNewest ?? settings.hold_newest,
    hold_nanoseconds:
      holdDays === undefined ? settings.hold_nanoseconds : BigInt(holdDays) * BigInt(NANOSECONDS_A_DAY),
  };
}

function describe(settings: Required<Omit<Changes, "public">>): string {
  const { private: isPrivate, http, quota, unpublishedQuota, holdNewest, holdDays } = settings;
  return [
    `may read           ${isPrivate ? "owners, publishers, promoters and readers (private)" : "anybody"}`,
    `HTTP               ${http ? `on${isPrivate ? ", once anybody may read" : ""}` : "off"}`,
    `quota              ${limitText(quota)}`,
    `unpublished quota  ${limitText(unpublishedQuota)} for each publisher`,
    `held releases      the newest ${holdNewest}, those of the last ${holdDays} days, and those that are kept`,
  ].join("\n");
}

function size(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined) throw new InvalidArgumentError("Use bytes, or a size such as 500MB or 20GiB.");
  if (bytes === 0)
    throw new InvalidArgumentError("With 0 bytes nobody could publish anything: use at least 1.");
  return bytes;
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`Use a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}
