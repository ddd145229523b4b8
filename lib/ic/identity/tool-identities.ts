/**
 * Finds the keys of dfx's and icp-cli's identities by name. Where the key is in no file that icfs can read, the error says what to do. dfx
 * has a directory for each identity, in which `identity.json` says how the key is kept; icp-cli has one list of all identities.
 */
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { isAbsent, messageOf, UsageError, UserError } from "../../errors.ts";
import { readKeptSync } from "../../kept-file.ts";

/** A name that cannot lead to another directory. */
const NAME = /^(?!\.{1,2}$)[^/\0]+$/;
/** Limit on a tool's JSON file: a list of a few thousand identities. */
const MOST_LIST_BYTES = 1024 * 1024;

/** The file that `dfx:NAME` or `icp:NAME` stands for; undefined when `text` is neither. @throws UserError, UsageError without a name */
export function toolIdentityFile(text: string): string | undefined {
  const [, tool, name] = /^(dfx|icp):(.*)$/s.exec(text) ?? [];
  if (tool === undefined || name === undefined) return undefined;
  if (!NAME.test(name)) throw new UsageError(`"${text}" has no identity name after the colon`);
  return tool === "dfx" ? dfxFile(name) : icpFile(name);
}

/** The PEM file of an identity of dfx. As in dfx-core: identity_file_locations.rs, identity_manager.rs. @throws UserError */
function dfxFile(name: string): string {
  const all = join(process.env.DFX_CONFIG_ROOT || homedir(), ".config", "dfx", "identity");
  const directory = join(all, name);
  if (name === "anonymous") throw anonymous();
  if (!existsSync(directory)) throw absent("dfx", name, all, namesIn(all));
  const exported = `dfx identity export ${name}`;
  const { hsm, encryption, keyring_identity_suffix: keyring } = readJson(join(directory, "identity.json"));
  if (hsm != null) throw onHardware("dfx", name);
  if (keyring != null) throw elsewhere("dfx", name, "in the system's keyring", exported);
  if (encryption != null || !existsSync(join(directory, "identity.pem"))) {
    if (existsSync(join(directory, "identity.pem.encrypted")))
      throw elsewhere("dfx", name, "encrypted in a form of dfx's own", exported);
  }
  return join(directory, "identity.pem");
}

/** The PEM file of an identity of icp-cli. As in icp-cli: icp/src/directories.rs, icp/src/identity/manifest.rs. @throws UserError */
function icpFile(name: string): string {
  const data = process.env.XDG_DATA_HOME || join(homedir(), ".local", "share");
  const directory = join(process.env.ICP_HOME || join(data, "icp-cli"), "identity");
  const { identities } = readJson(join(directory, "identity_list.json"));
  const list = typeof identities === "object" && identities !== null ? identities : {};
  const found: unknown = Object.hasOwn(list, name) ? (list as Record<string, unknown>)[name] : undefined;
  const kind = typeof found === "object" && found !== null && "kind" in found ? found.kind : undefined;
  switch (kind) {
    case "pem":
      return join(directory, "keys", `${name}.pem`);
    case undefined:
      throw absent("icp", name, directory, Object.keys(list));
    case "anonymous":
      throw anonymous();
    case "keyring":
      throw elsewhere("icp", name, "in the system's keyring", `icp identity export ${name}`);
    case "hsm":
      throw onHardware("icp", name);
    default:
      // A web identity, or a delegated one, which is valid for hours.
      throw otherKey("icp", name, `of a kind (${kind}) that icfs cannot sign with`);
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** The JSON object in a file; an empty one if there is no file. @throws UserError */
function readJson(file: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readKeptSync(file, MOST_LIST_BYTES).toString());
    if (typeof value === "object" && value !== null) return { ...value };
    throw new Error("it is not a JSON object");
  } catch (error) {
    if (isAbsent(error)) return {};
    throw new UserError(
      `${file}, which says how the key is kept, cannot be read (${messageOf(error)}): name the PEM file itself with --identity`,
    );
  }
}

function anonymous(): UserError {
  return new UserError("the anonymous identity has no key: leave --identity out, or name another");
}

function absent(tool: string, name: string, directory: string, names: readonly string[]): UserError {
  const others = names.filter((one) => one !== "anonymous");
  const known = others.length > 0 ? `, only ${others.sort().slice(0, 20).join(", ")}` : "";
  return new UserError(
    `there is no identity "${name}" of ${tool} in ${directory}${known}: \`${tool} identity list\` lists those of the user who runs it`,
  );
}

/** A key that its tool can export. */
function elsewhere(tool: string, name: string, where: string, command: string): UserError {
  return new UserError(
    `the key of ${tool}:${name} is ${where}, where icfs cannot read it: write it to a file, \`(umask 077; ${command} >${name}.pem)\`, and give that with --identity ${name}.pem`,
  );
}

function onHardware(tool: string, name: string): UserError {
  return otherKey(tool, name, "on a hardware module, which icfs cannot sign with");
}

/** A key that nobody can export: it can only grant a role to another key. */
function otherKey(tool: string, name: string, what: string): UserError {
  return new UserError(
    `the key of ${tool}:${name} is ${what}: use it to give a role to icfs's own key, \`${tool} canister call --network ic --identity ${name} CANISTER grant "(principal \\"$(icfs identity)\\", variant { publisher })"\`, and leave --identity out`,
  );
}
