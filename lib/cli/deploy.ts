/** icfs deploy: creates a canister, or upgrades one. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { HttpAgent } from "@dfinity/agent";
import type { Principal } from "@dfinity/principal";
import { Command } from "commander";
import { messageOf, UserError } from "../errors.ts";
import { createAgent, parseCanisterId } from "../ic/agent.ts";
import { ERROR_CODES, RejectError, UnknownCanisterError } from "../ic/call-errors.ts";
import { defaultIdentity } from "../ic/identity.ts";
import { managementCanister } from "../ic/management.ts";
import type { Network } from "../ic/network.ts";
import { packageFile } from "../package-files.ts";
import { connect, REQUEST_TIMEOUT_MS } from "./addresses.ts";
import { flag, type NetworkOptions, OWN_IDENTITY, option, withNetwork } from "./options.ts";

interface DeployOptions extends NetworkOptions {
  readonly specifiedId?: string;
  readonly wasm: string;
  readonly json?: boolean;
}

const WASM = packageFile("build/icfs.wasm");

/** Candid of (null : opt InitArgs): whoever installs owns. */
const INSTALL_ARGUMENTS = Buffer.from("4449444c00017f", "hex");

export function deployCommand(): Command {
  const command = new Command("deploy")
    .description("create an icfs canister, or upgrade one; its id is the last line of stdout")
    .argument("[canister]", "an existing canister: empty, or an icfs canister to upgrade; default: a new one")
    .option("--specified-id <id>", "create it with this id (local network), or upgrade it if it is there")
    .addOption(option("--wasm <file>", "the canister's Wasm").default(WASM, "the one that comes with icfs"))
    .addOption(flag("--json", "print one object: canister, action, moduleHash, network"));
  return withNetwork(command, OWN_IDENTITY).action(deploy);
}

async function deploy(existing: string | undefined, options: DeployOptions): Promise<void> {
  // Commander knows of conflicts between options only, not of an argument's with one.
  if (existing !== undefined && options.specifiedId !== undefined) {
    throw new UserError("give a canister or --specified-id, not both");
  }
  const given = existing ?? options.specifiedId;
  const id = given === undefined ? undefined : parseCanisterId(given);
  const wasm = readWasm(options.wasm);
  const { network, rootKey, identity = defaultIdentity() } = await connect(options);
  const agent = createAgent({
    network,
    rootKey,
    identity,
    verifyQuerySignatures: true,
    requestTimeout: REQUEST_TIMEOUT_MS,
  });
  try {
    const canister = await ensureCanister(agent, network, id, existing === undefined);
    const action = await install(agent, canister, wasm);
    const result = {
      canister: canister.toText(),
      action,
      moduleHash: createHash("sha256").update(wasm).digest("hex"),
      network: network.url,
    };
    if (options.json) {
      console.log(JSON.stringify(result));
    } else {
      console.error(
        `${action} ${result.canister} on ${network.url}, owned by ${identity.getPrincipal().toText()}`,
      );
      console.log(result.canister);
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    const hint = isRejectedWith(error, ERROR_CODES.invalidController)
      ? `. You are ${identity.getPrincipal().toText()}: give a controller's key with --identity`
      : "";
    throw new UserError(`cannot deploy: ${messageOf(error)}${hint}`);
  }
}

function readWasm(file: string): Uint8Array {
  try {
    return Uint8Array.from(readFileSync(file));
  } catch (error) {
    throw new UserError(`no canister to deploy (${messageOf(error)}): run \`make canister\` first`);
  }
}

/** The canister to install into; it is created when `create` says so and it is not there. */
async function ensureCanister(
  agent: HttpAgent,
  network: Network,
  id: Principal | undefined,
  create: boolean,
): Promise<Principal> {
  if (!create) return id!;
  if (!network.loopback) {
    throw new UserError(
      `canisters are created with cycles on ${network.url}: make one with icp or dfx, then \`icfs deploy CANISTER\``,
    );
  }
  if (id !== undefined && (await exists(agent, id))) return id;
  const { canister_id } = await managementCanister(agent, id).provisional_create_canister_with_cycles({
    amount: [],
    settings: [],
    specified_id: id === undefined ? [] : [id],
    sender_canister_version: [],
  });
  return canister_id;
}

async function exists(agent: HttpAgent, id: Principal): Promise<boolean> {
  try {
    await managementCanister(agent, id).canister_status({ canister_id: id });
    return true;
  } catch (error) {
    // Somebody else's canister exists as well; creating it again is then refused with the reason.
    if (isRejectedWith(error, ERROR_CODES.canisterNotFound) || error instanceof UnknownCanisterError)
      return false;
    throw error;
  }
}

function isRejectedWith(error: unknown, errorCode: string): boolean {
  return error instanceof RejectError && error.errorCode === errorCode;
}

async function install(
  agent: HttpAgent,
  canister: Principal,
  wasm: Uint8Array,
): Promise<"installed" | "upgraded"> {
  const management = managementCanister(agent, canister);
  const { module_hash } = await management.canister_status({ canister_id: canister });
  const empty = module_hash.length === 0;
  await management.install_code({
    // Motoko's enhanced orthogonal persistence: an upgrade keeps the main memory.
    mode: empty
      ? { install: null }
      : { upgrade: [{ wasm_memory_persistence: [{ keep: null }], skip_pre_upgrade: [] }] },
    canister_id: canister,
    wasm_module: wasm,
    arg: INSTALL_ARGUMENTS,
    sender_canister_version: [],
  });
  return empty ? "installed" : "upgraded";
}
