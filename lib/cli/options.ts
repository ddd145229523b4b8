/** Options that several commands share, each with its environment variable and default, and what they mean. */
import type { SignIdentity } from "@dfinity/agent";
import { Principal } from "@dfinity/principal";
import { type Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../errors.ts";
import { parseCanisterId } from "../ic/agent.ts";
import { loadIdentity } from "../ic/identity.ts";
import { resolveNetwork, rootKeyOf } from "../ic/network.ts";
import type { CanisterAddress, ReleaseAddress } from "../source/address.ts";

export interface NetworkOptions {
  readonly network: string;
  readonly rootKey?: string;
  readonly identity?: string;
}

/** An option whose environment variable is ICFS_ and its long name. */
export function option(flags: string, description: string): Option {
  const made = new Option(flags, description);
  return made.env(environmentVariable(made));
}

/**
 * An option without a value, whose environment variable says yes or no. (Commander takes any value for yes.)
 * @throws UserError when it says something else
 */
export function flag(flags: string, description: string, standard?: boolean): Option {
  const made = new Option(flags, description);
  const variable = environmentVariable(made);
  const set = process.env[variable];
  if (set !== undefined && set !== "" && !/^(yes|no|true|false|1|0)$/.test(set)) {
    throw new UserError(`${variable} is "${set}": set it to yes or no`);
  }
  made.description += ` (env: ${variable}=yes|no)`;
  return made.default(set ? /^(yes|true|1)$/.test(set) : standard);
}

function environmentVariable(option: Option): string {
  return `ICFS_${option.name().toUpperCase().replaceAll("-", "_")}`;
}

/** The default of --identity for commands that sign. */
export const OWN_IDENTITY = "your own, made on first use (icfs identity)";

/** Adds --network, --root-key and --identity. */
export function withNetwork(command: Command, identity: string): Command {
  return command
    .addOption(option("--network <ic|local|URL>", "the network the canister is on").default("ic"))
    .addOption(
      option(
        "--root-key <HEX|FILE>",
        "its root key; fetched from loopback networks, built in for ic, else needed",
      ),
    )
    .addOption(option("--identity <PEM>", `a private key, mode 0600; default: ${identity}`));
}

/** Resolves what the options say. The root key of a loopback network is fetched. @throws UserError */
export async function connect(options: NetworkOptions): Promise<Omit<CanisterAddress, "canister">> {
  const network = resolveNetwork(options.network);
  const identity: SignIdentity | undefined =
    options.identity === undefined ? undefined : loadIdentity(options.identity);
  const rootKey = await rootKeyOf(network, options.rootKey);
  return { network, rootKey, ...(identity === undefined ? {} : { identity }) };
}

/** connect(), for one canister. @throws UserError */
export async function addressOf(canisterId: string, options: NetworkOptions): Promise<CanisterAddress> {
  const canister = parseCanisterId(canisterId);
  return { ...(await connect(options)), canister };
}

/** Where commands that read take `CANISTER@3` as well. */
export const RELEASE_ARGUMENT =
  "canister id; with @NUMBER an older release, such as oeagv-5qaaa-aaaah-aar4q-cai@3";

/** From 1, and with so few digits that it is exact. */
const RELEASE_NUMBER = /^[1-9]\d{0,14}$/;

/** For arguments that are a release of a canister given before. @throws InvalidArgumentError, which is wrong usage */
export function parseReleaseNumber(text: string): number {
  if (!RELEASE_NUMBER.test(text)) throw new InvalidArgumentError("Use a release's number, from 1.");
  return Number(text);
}

/** Somebody, by their principal. @throws UserError */
export function parsePrincipal(text: string): Principal {
  try {
    return Principal.fromText(text);
  } catch {
    throw new UserError(`"${text}" is no principal: \`icfs identity\` prints one's own`);
  }
}

/** A canister, or one release of it: `CANISTER` or `CANISTER@NUMBER`. @throws UserError */
export function parseRelease(text: string): Pick<ReleaseAddress, "canister" | "release"> {
  const at = text.lastIndexOf("@");
  if (at < 0) return { canister: parseCanisterId(text) };
  const canister = parseCanisterId(text.slice(0, at));
  const number = text.slice(at + 1);
  if (!RELEASE_NUMBER.test(number)) {
    throw new UserError(
      `"${number}" is no release: give a number from 1 behind the @, such as ${canister}@3`,
    );
  }
  return { canister, release: Number(number) };
}

/** connect(), for one release. @throws UserError */
export async function releaseAddressOf(text: string, options: NetworkOptions): Promise<ReleaseAddress> {
  const parsed = parseRelease(text);
  return { ...(await connect(options)), ...parsed };
}

/** How long interactive commands wait for one answer: a chunk of 1 MiB at 32 KiB/s. */
export const REQUEST_TIMEOUT_MS = 30_000;
