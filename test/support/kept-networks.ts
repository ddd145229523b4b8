/**
 * Local networks with an installed canister. Making one takes a second of processor time, so one is made for each Wasm and kept
 * in build/; every test gets a copy with root and node keys of its own.
 */
import { createHash, createPrivateKey } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import { Principal } from "@icp-sdk/core/principal";
import { createAgent } from "../../lib/ic/agent.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { startLocalNetwork } from "../../localnet/index.ts";
import { newSecrets } from "../../localnet/keys.ts";
import { writeSealed } from "../../localnet/sealed-file.ts";
import { TEST_API } from "./api.ts";
import { type Test, temporaryDirectory } from "./icfs.ts";
import { installCanister, REQUEST_TIMEOUT } from "./networks.ts";

const BUILD = fileURLToPath(new URL("../../build/test-networks", import.meta.url));
const LOCALNET = fileURLToPath(new URL("../../localnet", import.meta.url));
/** Further sources that determine the content of a kept network. */
const MAKERS = [
  fileURLToPath(import.meta.url),
  fileURLToPath(new URL("../../package-lock.json", import.meta.url)),
];
/** A network's first canister. */
const FIRST = Principal.fromText("lxzze-o7777-77777-aaaaa-cai");

/** PKCS#8, DER, of an Ed25519 key, up to the key itself (RFC 8410). */
const ED25519_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const OWNERS_KEY = new Uint8Array(32).fill(1);

/** The identity that installed every kept canister. */
export const OWNER = Ed25519KeyIdentity.fromSecretKey(OWNERS_KEY);
/** The owner's key, as `icfs` reads it. */
export const OWNER_PEM = createPrivateKey({
  key: Buffer.concat([ED25519_PREFIX, OWNERS_KEY]),
  format: "der",
  type: "pkcs8",
}).export({ format: "pem", type: "pkcs8" });

/**
 * Makes the state of a network in which OWNER has installed a canister, for `startLocalNetwork({ state })`.
 *
 * @param args Candid
 * @param state a directory that is empty or missing; default: one that is removed at the end of the test
 */
export async function installedState(
  t: Test,
  wasm: Uint8Array,
  args: Uint8Array,
  state?: string,
): Promise<{ state: string; canister: Principal }> {
  const kept = await keptNetwork(wasm, args);
  const copy = state ?? (await temporaryDirectory(t));
  await cp(kept, copy, { recursive: true });
  writeSealed(join(copy, "keys"), newSecrets());
  return { state: copy, canister: FIRST };
}

/** The kept state directory for this canister, made if it is missing. */
async function keptNetwork(wasm: Uint8Array, args: Uint8Array): Promise<string> {
  const kept = join(BUILD, await hashOf(wasm, args));
  const found = await readdir(kept).catch(() => []);
  if (found.length > 0) return kept;
  await mkdir(BUILD, { recursive: true });
  const made = await mkdtemp(`${kept}.`);
  const local = await startLocalNetwork({ port: 0, ...TEST_API, state: made });
  try {
    const agent = createAgent({
      network: resolveNetwork(local.url),
      rootKey: local.rootKey,
      identity: OWNER,
      requestTimeout: REQUEST_TIMEOUT,
      verifyQuerySignatures: true,
    });
    const canister = await installCanister(agent, wasm, args);
    if (canister.toText() !== FIRST.toText()) throw new Error(`the first canister is ${canister}`);
  } finally {
    await local.close();
  }
  try {
    await rename(made, kept);
  } catch (error) {
    // Another test's process has made the same one meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "ENOTEMPTY") throw error;
    await rm(made, { recursive: true });
  }
  return kept;
}

/** The hash of everything that determines the network's state, so that a changed canister or local network makes a new one. */
async function hashOf(wasm: Uint8Array, args: Uint8Array): Promise<string> {
  const sources = (await readdir(LOCALNET))
    .filter((name) => name.endsWith(".ts"))
    .sort()
    .map((name) => join(LOCALNET, name));
  const hash = createHash("sha256").update(wasm).update(args);
  for (const file of [...sources, ...MAKERS]) hash.update(await readFile(file));
  return hash.digest("hex").slice(0, 16);
}
