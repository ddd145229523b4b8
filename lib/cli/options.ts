/** Options that several commands share, each with its environment variable and default, and what they mean. */
import type { SignIdentity } from "@dfinity/agent";
import { type Command, Option } from "commander";
import { UserError } from "../errors.ts";
import { parseCanisterId } from "../ic/agent.ts";
import { loadIdentity } from "../ic/identity.ts";
import { resolveNetwork, rootKeyOf } from "../ic/network.ts";
import type { CanisterAddress, ReleaseAddress } from "../source/open.ts";

export interface NetworkOptions {
  readonly network: string;
  readonly rootKey?: string;
  readonly identity?: string;
}

/** An option whose environment variable is ICFS_ and its long name. */
export function option(flags: string, description: string): Option {
  const made = new Option(flags, description);
  return made.env(`ICFS_${made.name().toUpperCase().replaceAll("-", "_")}`);
}

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

/** A canister, or one release of it: `CANISTER` or `CANISTER@NUMBER`. @throws UserError */
export function parseRelease(text: string): Pick<ReleaseAddress, "canister" | "release"> {
  const at = text.lastIndexOf("@");
  if (at < 0) return { canister: parseCanisterId(text) };
  const canister = parseCanisterId(text.slice(0, at));
  const number = text.slice(at + 1);
  if (!/^[1-9]\d{0,14}$/.test(number)) {
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
