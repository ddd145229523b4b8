/** The set-up of most tests over a network: a local network, an identity, and an icfs canister. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { HttpAgent, SignIdentity } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { createAgent, NO_ARGUMENTS } from "../../lib/ic/agent.ts";
import { parseCanisterId } from "../../lib/ic/canister-id.ts";
import { loadIdentity } from "../../lib/ic/identity/identity.ts";
import { type Network, resolveNetwork } from "../../lib/ic/network.ts";
import { openReader } from "../../lib/source/icfs/open-release.ts";
import type { ReleaseReader } from "../../lib/source/icfs/release-reader.ts";
import { type LocalNetwork, type LocalNetworkOptions, startLocalNetwork } from "../../localnet/index.ts";
import { TEST_API } from "./api.ts";
import {
  BIN,
  cleanEnvironment,
  type Result,
  type RunOptions,
  run,
  type Test,
  temporaryDirectory,
} from "./icfs.ts";
import { installedState, OWNER, OWNER_PEM } from "./kept-networks.ts";
import { MESSAGE_TIME_LIMIT, NO_INSTALL_ARGUMENTS, REQUEST_TIMEOUT } from "./networks.ts";

const ICFS_WASM = new URL("../../build/icfs.wasm", import.meta.url);

export interface TestNetwork extends LocalNetwork {
  readonly network: Network;
  /** A directory for this test alone, removed at its end. */
  readonly directory: string;
  /**
   * The environment with which programs use this network, with the variables of `icfs`: ICFS_NETWORK, XDG_CONFIG_HOME and
   * XDG_STATE_HOME.
   */
  readonly env: NodeJS.ProcessEnv;
  /** Runs bin/icfs on this network. @param options replace the usual ones */
  icfs(args: readonly string[], options?: Partial<RunOptions>): Promise<Result>;
}

export interface TestCanister extends TestNetwork {
  readonly canister: Principal;
  /** The canister's owner: the default identity in `env`. */
  readonly identity: SignIdentity;
  /** Signs as the owner. */
  readonly publisherAgent: HttpAgent;
  /** Reads the canister anonymously. */
  source(): ReleaseReader;
}

/** Starts a network without canisters; it ends with the test. This process gets its XDG_STATE_HOME, for trust, as well. */
export async function startNetwork(
  t: Test,
  options: Partial<LocalNetworkOptions> = {},
): Promise<TestNetwork> {
  const directory = await temporaryDirectory(t);
  const local = await startLocalNetwork({
    port: 0,
    messageTimeLimit: MESSAGE_TIME_LIMIT,
    ...TEST_API,
    ...options,
  });
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= local.close();
    return closing;
  };
  t.teardown(close);
  const env: NodeJS.ProcessEnv = { ...cleanEnvironment(directory), ICFS_NETWORK: local.url };
  process.env.XDG_STATE_HOME = env.XDG_STATE_HOME;
  return {
    url: local.url,
    rootKey: local.rootKey,
    failed: local.failed,
    close,
    network: resolveNetwork(local.url),
    directory,
    env,
    icfs: (args, changed = {}) => run(BIN, args, { env, ...changed }),
  };
}

/** A network with a canister of another kind. */
export interface InstalledCanister extends TestNetwork {
  readonly canister: Principal;
  /** Signs as the canister's controller. */
  readonly agent: HttpAgent;
}

/** startNetwork(), with a canister of any Wasm that takes no arguments. */
export async function startInstalled(
  t: Test,
  wasm: Uint8Array,
  options: Partial<LocalNetworkOptions> = {},
): Promise<InstalledCanister> {
  const { state, canister } = await installedState(t, wasm, NO_ARGUMENTS, options.state);
  const started = await startNetwork(t, { ...options, state });
  const { network, rootKey } = started;
  const agent = createAgent({
    network,
    rootKey,
    identity: OWNER,
    requestTimeout: REQUEST_TIMEOUT,
    verifyQuerySignatures: true,
  });
  return { ...started, agent, canister };
}

/** startNetwork(), with an icfs canister that has no release yet. @param wasm an older canister's; default: the current one */
export async function startCanister(
  t: Test,
  options: Partial<LocalNetworkOptions> = {},
  wasm: URL = ICFS_WASM,
): Promise<TestCanister> {
  const { state, canister } = await installedState(
    t,
    await readFile(wasm),
    NO_INSTALL_ARGUMENTS,
    options.state,
  );
  const started = await startNetwork(t, { ...options, state });
  const file = identityFile(started.env);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(file, OWNER_PEM, { mode: 0o600 });
  return asOwner(started, canister);
}

/** startCanister(), but installed by `icfs deploy`, on a network that keeps nothing on disk: for large amounts of data. */
export async function deployCanister(t: Test): Promise<TestCanister> {
  const started = await startNetwork(t);
  const { code, stdout, stderr } = await started.icfs(["deploy"]);
  if (code !== 0) throw new Error(`icfs deploy: ${stderr}`);
  return asOwner(started, parseCanisterId(stdout.trim()));
}

/** The file of `icfs`'s default identity. */
function identityFile(env: NodeJS.ProcessEnv): string {
  return join(env.XDG_CONFIG_HOME!, "icfs", "identity.pem");
}

/** @param started a network with the owner's key as the default identity */
async function asOwner(started: TestNetwork, canister: Principal): Promise<TestCanister> {
  const { network, rootKey, env } = started;
  const identity = await loadIdentity(identityFile(env));
  const common = { network, rootKey, requestTimeout: REQUEST_TIMEOUT };
  return {
    ...started,
    canister,
    identity,
    publisherAgent: createAgent({ ...common, identity, verifyQuerySignatures: true }),
    source: () => openReader({ network, rootKey, canister }, REQUEST_TIMEOUT),
  };
}
