/** What most tests over a network need: a local one, an identity, and an icfs canister deployed by bin/icfs. */
import { join } from "node:path";
import type { HttpAgent, SignIdentity } from "@dfinity/agent";
import { Ed25519KeyIdentity } from "@dfinity/identity";
import type { Principal } from "@dfinity/principal";
import { createAgent, parseCanisterId } from "../../lib/ic/agent.ts";
import { loadIdentity } from "../../lib/ic/identity.ts";
import { type Network, resolveNetwork } from "../../lib/ic/network.ts";
import { openReader } from "../../lib/source/icfs/open-release.ts";
import type { ReleaseReader } from "../../lib/source/icfs/release-reader.ts";
import { type LocalNetwork, type LocalNetworkOptions, startLocalNetwork } from "../../localnet/index.ts";
import {
  BIN,
  cleanEnvironment,
  type Result,
  type RunOptions,
  run,
  type Test,
  temporaryDirectory,
} from "./icfs.ts";
import { installCanister } from "./networks.ts";

/** Milliseconds for one request of the test's own agents. */
const REQUEST_TIMEOUT = 60_000;

export interface TestNetwork extends LocalNetwork {
  readonly network: Network;
  /** A directory for this test alone, removed at its end. */
  readonly directory: string;
  /** For programs that are to use this network, as `icfs` has it: ICFS_NETWORK, XDG_CONFIG_HOME and XDG_STATE_HOME. */
  readonly env: NodeJS.ProcessEnv;
  /** Runs bin/icfs on this network. @param options instead of the usual ones */
  icfs(args: readonly string[], options?: Partial<RunOptions>): Promise<Result>;
}

export interface TestCanister extends TestNetwork {
  readonly canister: Principal;
  /** The canister's owner: the default identity in `env`. */
  readonly identity: SignIdentity;
  /** Signs as the owner. */
  readonly publisherAgent: HttpAgent;
  /** Reads the canister as nobody in particular. */
  source(): ReleaseReader;
}

/** A network without canisters; it ends with the test. This process gets its XDG_STATE_HOME, for trust, as well. */
export async function startNetwork(
  t: Test,
  options: Partial<LocalNetworkOptions> = {},
): Promise<TestNetwork> {
  const directory = await temporaryDirectory(t);
  const local = await startLocalNetwork({ port: 0, ...options });
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

/** A network with a canister that is not ours. */
export interface InstalledCanister extends TestNetwork {
  readonly canister: Principal;
  /** Signs as the canister's controller. */
  readonly agent: HttpAgent;
}

/** startNetwork(), with a canister of any Wasm. */
export async function startInstalled(
  t: Test,
  wasm: Uint8Array,
  options: Partial<LocalNetworkOptions> = {},
): Promise<InstalledCanister> {
  const started = await startNetwork(t, options);
  const { network, rootKey } = started;
  const agent = createAgent({
    network,
    rootKey,
    identity: Ed25519KeyIdentity.generate(),
    requestTimeout: REQUEST_TIMEOUT,
    verifyQuerySignatures: true,
  });
  return { ...started, agent, canister: await installCanister(agent, wasm) };
}

/** startNetwork(), with a canister that has no release yet. */
export async function startCanister(
  t: Test,
  options: Partial<LocalNetworkOptions> = {},
): Promise<TestCanister> {
  const started = await startNetwork(t, options);
  const { network, rootKey, env } = started;
  const { code, stdout, stderr } = await started.icfs(["deploy"]);
  if (code !== 0) throw new Error(`icfs deploy: ${stderr}`);
  const canister = parseCanisterId(stdout.trim());
  const identity = loadIdentity(join(env.XDG_CONFIG_HOME!, "icfs", "identity.pem"));
  const common = { network, rootKey, requestTimeout: REQUEST_TIMEOUT };
  return {
    ...started,
    canister,
    identity,
    publisherAgent: createAgent({ ...common, identity, verifyQuerySignatures: true }),
    source: () => openReader({ network, rootKey, canister }, REQUEST_TIMEOUT),
  };
}
