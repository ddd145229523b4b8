/** icfs deploy: creates a canister, or upgrades one. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { HttpAgent } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import { Command, InvalidArgumentError } from "commander";
import { messageOf, UsageError, UserError } from "../errors.ts";
import { createAgent } from "../ic/agent.ts";
import { ERROR_CODES, NoSuchCanisterError, RejectError } from "../ic/call-errors.ts";
import { parseCanisterId } from "../ic/canister-id.ts";
import { controllersOf } from "../ic/controllers.ts";
import { defaultIdentityFile } from "../ic/identity/identity.ts";
import { managementCanister } from "../ic/management.ts";
import { type Network, NetworkUnreachableError, resolveNetwork } from "../ic/network.ts";
import { jsonLine } from "../log.ts";
import { packageFile } from "../package-files.ts";
import { retrying } from "../retry.ts";
import { cyclesText, parseCycles } from "../units.ts";
import { confirm, isAttended } from "./confirm.ts";
import { connect, REQUEST_TIMEOUT_MS } from "./connect.ts";
import { deployedOn, rememberDeployed } from "./deployed.ts";
import { flag, isGiven, type NetworkOptions, OWN_IDENTITY, option, withNetwork } from "./options.ts";
import { createWithCycles, type PaidCanister, type Payer } from "./paid-canister.ts";
import { signingIdentity } from "./signer.ts";

interface DeployOptions extends NetworkOptions {
  readonly specifiedId?: string;
  readonly wasm: string;
  /** Cycles. */
  readonly withCycles?: bigint;
  readonly json?: boolean;
}

/** Covers a cold start of `icfs localnet` on a slow, busy machine. */
const START_LIMIT_MS = 10_000;
const START_PAUSE_MS = 250;

const WASM = packageFile("build/icfs.wasm");

/**
 * The errors for an upgrade to a program with incompatible data: Motoko's own, and the one for programs without its kind of
 * memory.
 */
const IS_OTHER = /Memory-incompatible|enhanced orthogonal persistence/i;

/** Motoko's error for an upgrade while the canister waits for a message to itself: checking a large release takes seconds. */
const IS_CHECKING = /outstanding message callbacks/;
const CHECKING_ATTEMPTS = 15;
const CHECKING_FIRST_PAUSE_MS = 1000;
const CHECKING_LONGEST_PAUSE_MS = 4000;

/** Candid of (null : opt InitArgs): the caller becomes the owner. */
const INSTALL_ARGUMENTS = Buffer.from("4449444c00017f", "hex");

export function deployCommand(): Command {
  const command = new Command("deploy")
    .description("create an icfs canister, or upgrade one; its id is the last line of stdout")
    .argument("[canister]", "an existing canister: empty, or an icfs canister to upgrade; default: a new one")
    .option("--specified-id <id>", "create it with this id (local network), or upgrade it if it exists")
    .addOption(
      option(
        "--with-cycles <amount>",
        "create it with this many cycles from your account at the cycles ledger, such as 2T or 500B",
      ).argParser(cycles),
    )
    .addOption(option("--wasm <file>", "the canister's Wasm").default(WASM, "the one that comes with icfs"))
    .addOption(flag("--json", "print one object: canister, action, moduleHash, network"));
  return withNetwork(command, OWN_IDENTITY).action(deploy);
}

async function deploy(existing: string | undefined, options: DeployOptions, command: Command): Promise<void> {
  // Commander knows only conflicts between options, not between an argument and an option.
  if (existing !== undefined && options.specifiedId !== undefined) {
    throw new UsageError("give a canister or --specified-id, not both");
  }
  const given = existing ?? options.specifiedId;
  if (given !== undefined && isGiven(command, "withCycles")) {
    throw new UsageError("--with-cycles makes a new canister: give either that or a canister");
  }
  const withCycles = given === undefined ? options.withCycles : undefined;
  const id = given === undefined ? undefined : parseCanisterId(given);
  const wasm = readWasm(options.wasm);
  // First, so that a forgotten --network local is reported without waiting for the main network.
  if (existing === undefined && withCycles === undefined) mustCreate(options);
  const { network, rootKey, identity = await signingIdentity(options) } = await onceStarted(options);
  const agent = createAgent({
    network,
    rootKey,
    identity,
    verifyQuerySignatures: true,
    requestTimeout: REQUEST_TIMEOUT_MS,
  });
  let canister = id;
  try {
    const isThere = existing !== undefined || (id !== undefined && (await exists(agent, id)));
    const paid =
      withCycles === undefined
        ? undefined
        : await createPaid({ agent, owner: identity.getPrincipal(), network, rootKey }, withCycles);
    canister = paid?.canister ?? (isThere ? id! : await create(agent, { network, rootKey }, id));
    const action = await install(agent, canister, wasm);
    await paid?.forget();
    const result = {
      canister: canister.toText(),
      action,
      moduleHash: createHash("sha256").update(wasm).digest("hex"),
      network: network.url,
    };
    if (options.json) {
      console.log(jsonLine(result));
    } else {
      console.error(
        `${action} ${result.canister} on ${network.url}, owned by ${identity.getPrincipal().toText()}`,
      );
      console.log(result.canister);
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (canister === undefined || !isRejectedWith(error, ERROR_CODES.invalidController)) {
      throw new UserError(`cannot deploy: ${messageOf(error)}`);
    }
    const who = await controllersOf(agent, canister, rootKey).then(
      (controllers) => `, which are ${controllers.join(", ") || "none"}`,
      () => "",
    );
    throw new UserError(
      `cannot deploy: only controllers of ${canister} can${who}. You are ${identity.getPrincipal()}: give a controller's key with --identity`,
    );
  }
}

function readWasm(file: string): Uint8Array {
  try {
    return Uint8Array.from(readFileSync(file));
  } catch (error) {
    throw new UserError(
      file === WASM
        ? `no canister to deploy (${messageOf(error)}): run \`make canister\` first`
        : `--wasm: cannot read ${file}: ${messageOf(error)}`,
    );
  }
}

/** @throws InvalidArgumentError, for wrong usage */
function cycles(text: string): bigint {
  const amount = parseCycles(text);
  if (amount === undefined || amount === 0n)
    throw new InvalidArgumentError("Use a number of cycles, such as 2T, 500B or 2000000000000.");
  return amount;
}

/** @throws UserError where creating a canister costs cycles: lists the ways to get one */
function mustCreate({ network, identity = defaultIdentityFile() }: DeployOptions): void {
  const { loopback, url } = resolveNetwork(network);
  if (loopback) return;
  const [, theirs] = /^icp:(.*)/.exec(identity) ?? [];
  const name = theirs ?? "icfs";
  const where = network === "ic" ? "" : ` --network ${network}`;
  const lines = [
    `canisters are created with cycles on ${url}, and neither one that is there nor cycles were named. With icp-cli, once:`,
    "  npm install --global @icp-sdk/icp-cli",
    ...(theirs === undefined
      ? ["  icfs identity", `  icp identity import ${name} --from-pem ${identity} --storage plaintext`]
      : []),
    `  icp identity account-id --identity ${name}                      # send ICP there`,
    `  icp cycles mint --cycles 2.1T --network ic --identity ${name}   # makes cycles of it`,
    "and then, which makes a canister and installs icfs in it:",
    `  icfs deploy --with-cycles 2T${theirs === undefined ? "" : ` --identity ${identity}`}${where}`,
    `An empty canister of yours will do as well: icfs deploy CANISTER${where}. To try it without cycles: icfs deploy --network local`,
  ];
  throw new UserError(lines.join("\n"));
}

/** connect(), but waits for a local network that has just been started: it listens only after a second or two. @throws UserError */
function onceStarted(options: NetworkOptions): ReturnType<typeof connect> {
  const until = performance.now() + START_LIMIT_MS;
  const { loopback, url } = resolveNetwork(options.network);
  return retrying(() => connect(options), {
    firstPause: START_PAUSE_MS,
    longestPause: START_PAUSE_MS,
    again(error, attempts) {
      if (!loopback || !(error instanceof NetworkUnreachableError) || performance.now() > until) return false;
      if (attempts === 1) console.error(`icfs: no network answers at ${url} yet: waiting for it to start`);
      return true;
    },
  });
}

/** Creates a canister for free, and says so when it is not the first. @param id undefined: the network chooses */
async function create(
  agent: HttpAgent,
  { network, rootKey }: { readonly network: Network; readonly rootKey: Uint8Array },
  id: Principal | undefined,
): Promise<Principal> {
  await sayWhetherFirst(agent, { network, rootKey });
  const { canister_id } = await managementCanister(agent, id).provisional_create_canister_with_cycles({
    amount: [],
    settings: [],
    specified_id: id === undefined ? [] : [id],
    sender_canister_version: [],
  });
  await remember(canister_id, rootKey);
  return canister_id;
}

/** Creates a canister with the user's own cycles, and asks first when it is not the first. @throws UserError */
async function createPaid(payer: Payer, amount: bigint): Promise<PaidCanister> {
  const paid = await createWithCycles(payer, amount, async () => {
    const isFirst = await sayWhetherFirst(payer.agent, payer);
    // A script's options count as consent.
    if (isFirst || !isAttended() || (await confirm(`Pay ${cyclesText(amount)} for another one?`))) return;
    throw new UserError("nothing was paid");
  });
  const { canister, isFromBefore } = paid;
  console.error(
    isFromBefore
      ? `icfs: goes on with ${canister}, which was paid for before`
      : `icfs: made ${canister} with ${cyclesText(amount)}; if a later step fails, the same command continues with it and does not pay a second time`,
  );
  const known = await deployedOn(payer.rootKey);
  if (!known.includes(canister.toText())) await remember(canister, payer.rootKey);
  return paid;
}

async function remember(canister: Principal, rootKey: Uint8Array): Promise<void> {
  await rememberDeployed(canister.toText(), rootKey).catch((error) =>
    console.error(`icfs: the next deploy will not know of this canister: ${messageOf(error)}`),
  );
}

/** Whether this is the first deployment from here. If not, prints a note. */
async function sayWhetherFirst(
  agent: HttpAgent,
  { network, rootKey }: { readonly network: Network; readonly rootKey: Uint8Array },
): Promise<boolean> {
  const before = await firstDeployed(agent, rootKey);
  if (before === undefined) return true;
  console.error(
    `icfs: ${before} was deployed on ${network.url} before, and this makes another canister: \`icfs deploy ${before} --network ${network.name}\` upgrades that one`,
  );
  return false;
}

/** The oldest canister that was deployed from here and still exists. */
async function firstDeployed(agent: HttpAgent, rootKey: Uint8Array): Promise<string | undefined> {
  for (const canister of await deployedOn(rootKey)) {
    // If exists() fails, the canister counts as there: it may belong to somebody else by now, for example.
    if (await exists(agent, Principal.fromText(canister)).catch(() => true)) return canister;
  }
  return undefined;
}

async function exists(agent: HttpAgent, id: Principal): Promise<boolean> {
  try {
    await managementCanister(agent, id).canister_status({ canister_id: id });
    return true;
  } catch (error) {
    // Somebody else's canister exists as well, and creating it again is then refused with the reason.
    if (error instanceof NoSuchCanisterError) return false;
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
  const isChecking = (error: unknown) => error instanceof RejectError && IS_CHECKING.test(error.message);
  const installed = retrying(
    () =>
      management.install_code({
        // For Motoko's enhanced orthogonal persistence, so that an upgrade keeps the main memory.
        mode: empty
          ? { install: null }
          : { upgrade: [{ wasm_memory_persistence: [{ keep: null }], skip_pre_upgrade: [] }] },
        canister_id: canister,
        wasm_module: wasm,
        arg: INSTALL_ARGUMENTS,
        sender_canister_version: [],
      }),
    {
      firstPause: CHECKING_FIRST_PAUSE_MS,
      longestPause: CHECKING_LONGEST_PAUSE_MS,
      again: (error, attempts) => isChecking(error) && attempts < CHECKING_ATTEMPTS,
    },
  );
  await installed.catch((error) => {
    if (isChecking(error)) {
      throw new UserError(
        `cannot deploy: ${canister} checks large releases, one after the other: deploy again when that is done, or revoke the role of whoever publishes them (\`icfs roles ${canister}\`)`,
      );
    }
    if (empty || !(error instanceof RejectError) || !IS_OTHER.test(error.message)) throw error;
    throw new UserError(
      `cannot deploy: this Wasm is not a newer version of what runs in ${canister}, and cannot take over what is stored there (${messageOf(error)}). Nothing has changed: deploy it to another canister, or reinstall that one with icp or dfx, which loses all that is in it`,
    );
  });
  return empty ? "installed" : "upgraded";
}
