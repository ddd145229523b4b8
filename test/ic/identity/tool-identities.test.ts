/** Identities as dfx and icp-cli keep them. The real icp-cli makes its own; dfx's are laid out here as dfx does. */
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t from "tap";
import { UsageError } from "../../../lib/errors.ts";
import { loadIdentity } from "../../../lib/ic/identity/identity.ts";
import { toolIdentityFile } from "../../../lib/ic/identity/tool-identities.ts";
import { temporaryDirectory } from "../../support/icfs.ts";

const ICP = fileURLToPath(
  new URL("../../../node_modules/@icp-sdk/icp-cli-linux-x64/bin/icp", import.meta.url),
);
const home = await temporaryDirectory(t);
process.env.HOME = home;
for (const name of ["XDG_DATA_HOME", "ICP_HOME", "DFX_CONFIG_ROOT"]) delete process.env[name];

/** Runs icp-cli at home. @returns what it prints */
async function icp(...args: string[]): Promise<string> {
  const env = { PATH: process.env.PATH, HOME: home, DO_NOT_TRACK: "1", NO_COLOR: "1" };
  return (await promisify(execFile)(ICP, args, { env })).stdout.trim();
}

t.test("identities of icp-cli", async (t) => {
  const password = join(home, "password");
  await writeFile(password, "a secret passphrase\n", { mode: 0o600 });
  await icp("identity", "new", "plain", "--storage", "plaintext");
  const encrypted = ["--storage", "password", "--storage-password-file", password];
  await icp("identity", "new", "encrypted", ...encrypted);
  const keys = join(home, ".local/share/icp-cli/identity/keys");
  t.equal(toolIdentityFile("icp:plain"), join(keys, "plain.pem"));

  // icp-cli leaves the mode to the umask.
  await chmod(join(keys, "plain.pem"), 0o644);
  await t.rejects(loadIdentity("icp:plain"), {
    message: `${join(keys, "plain.pem")} can be read by users other than its owner: run \`chmod 600 ${join(keys, "plain.pem")}\``,
  });
  for (const name of ["plain", "encrypted"]) {
    await chmod(join(keys, `${name}.pem`), 0o600);
    const identity = await loadIdentity(`icp:${name}`, async () => "a secret passphrase");
    const theirs = await icp(
      "identity",
      "principal",
      "--identity",
      name,
      "--identity-password-file",
      password,
    );
    t.equal(identity.getPrincipal().toText(), theirs, name);
  }
  process.env.ICP_HOME = join(home, "elsewhere");
  t.throws(() => toolIdentityFile("icp:plain"), {
    name: "UserError",
    message: /^there is no identity "plain"/,
  });
  delete process.env.ICP_HOME;

  // What icp-cli writes for identities that need a keyring, a module or a browser (icp/src/identity/manifest.rs).
  const list = join(home, ".local/share/icp-cli/identity/identity_list.json");
  const known = JSON.parse(await readFile(list, "utf8"));
  const principal = "aaaaa-aa";
  Object.assign(known.identities, {
    ring: { kind: "keyring", principal, algorithm: "secp256k1" },
    module: { kind: "hsm", principal, module: "/usr/lib/opensc-pkcs11.so", slot: 0, "key-id": "00" },
    web: { kind: "web-auth", principal, algorithm: "prime256v1", storage: { kind: "keyring" } },
  });
  await writeFile(list, JSON.stringify(known));
  const refused: Record<string, RegExp> = {
    ring: /^the key of icp:ring is in the system's keyring, .*`\(umask 077; icp identity export ring >ring.pem\)`, and give that with --identity ring.pem$/,
    module: /is on a hardware module, .*`icp canister call --network ic --identity module CANISTER grant /,
    web: /is of a kind \(web-auth\) that icfs cannot sign with: use it to give a role to icfs's own key/,
    anonymous: /^the anonymous identity has no key/,
    nobody:
      /^there is no identity "nobody" of icp in \S+, only encrypted, module, plain, ring, web: `icp identity list`/,
    __proto__: /^there is no identity "__proto__"/,
    "": /has no identity name after the colon$/,
    "../plain": /has no identity name after the colon$/,
  };
  for (const [name, message] of Object.entries(refused)) {
    t.throws(() => toolIdentityFile(`icp:${name}`), { name: "UserError", message }, name);
  }
  let thrown: unknown;
  try {
    toolIdentityFile("icp:");
  } catch (error) {
    thrown = error;
  }
  t.ok(thrown instanceof UsageError);
  await writeFile(list, "{");
  t.throws(() => toolIdentityFile("icp:plain"), {
    message:
      /identity_list.json, which says how the key is kept, cannot be read .*: name the PEM file itself/,
  });
});

t.test("identities of dfx", async (t) => {
  const all = join(home, ".config/dfx/identity");
  const pem = await readFile(join(home, ".local/share/icp-cli/identity/keys/plain.pem"));
  const lay = async (name: string, config: object, files: Record<string, Uint8Array>) => {
    await mkdir(join(all, name), { recursive: true });
    await writeFile(join(all, name, "identity.json"), JSON.stringify(config));
    for (const [file, bytes] of Object.entries(files)) {
      await writeFile(join(all, name, file), bytes, { mode: 0o400 });
    }
  };
  const none = { hsm: null, encryption: null, keyring_identity_suffix: null };
  await lay("plain", none, { "identity.pem": pem });
  await lay(
    "encrypted",
    { ...none, encryption: { pw_salt: "00", file_nonce: [0] } },
    {
      "identity.pem.encrypted": Buffer.from("of its own"),
    },
  );
  await lay("ring", { ...none, keyring_identity_suffix: "ring" }, {});
  await lay("module", { ...none, hsm: { pkcs11_lib_path: "/usr/lib/opensc-pkcs11.so", key_id: "00" } }, {});
  const whose = async (named: string) => (await loadIdentity(named)).getPrincipal().toText();
  t.equal(await whose("dfx:plain"), await whose(join(all, "plain/identity.pem")));
  // Older versions of dfx made the default identity without an identity.json.
  await mkdir(join(all, "default"));
  await writeFile(join(all, "default/identity.pem"), pem, { mode: 0o400 });
  t.equal(toolIdentityFile("dfx:default"), join(all, "default/identity.pem"));
  const refused: Record<string, RegExp> = {
    encrypted:
      /^the key of dfx:encrypted is encrypted in a form of dfx's own, .*`\(umask 077; dfx identity export encrypted >encrypted.pem\)`/,
    ring: /is in the system's keyring, where icfs cannot read it: .*dfx identity export ring/,
    module: /is on a hardware module, .*`dfx canister call --network ic --identity module CANISTER grant /,
    anonymous: /^the anonymous identity has no key/,
    nobody: /^there is no identity "nobody" of dfx in \S+, only default, encrypted, module, plain, ring:/,
    "..": /has no identity name after the colon$/,
  };
  for (const [name, message] of Object.entries(refused)) {
    t.throws(() => toolIdentityFile(`dfx:${name}`), { name: "UserError", message }, name);
  }
  const elsewhere = await temporaryDirectory(t);
  process.env.DFX_CONFIG_ROOT = elsewhere;
  t.throws(() => toolIdentityFile("dfx:plain"), { message: new RegExp(`of dfx in ${elsewhere}/`) });
  delete process.env.DFX_CONFIG_ROOT;
});

t.test("a name that does not begin with icp: or dfx: is a file", async (t) => {
  for (const file of ["dfx", "./dfx:plain", "key.pem", "/icp:plain", "DFX:plain"]) {
    t.equal(toolIdentityFile(file), undefined, file);
  }
});
