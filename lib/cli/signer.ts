/** Selects the signing key: the one that --identity names, or the user's own. */
import type { SignIdentity } from "@icp-sdk/core/agent";
import { defaultIdentity, loadIdentity, type Passphrase } from "../ic/identity/identity.ts";
import type { NetworkOptions } from "./options.ts";
import { passphraseFor } from "./passphrase.ts";

type IdentityOptions = Pick<NetworkOptions, "identity" | "identityPassphraseFile">;

/** Cached passphrases, by key and source: a descriptor can be read only once, and nobody should be asked twice. */
const passphrases = new Map<string, Promise<string>>();

/** The given identity, if there is one. @throws UserError */
export async function givenIdentity(options: IdentityOptions): Promise<SignIdentity | undefined> {
  return options.identity === undefined ? undefined : loadIdentity(options.identity, passphraseOf(options));
}

/** The given identity, otherwise the user's own, created on first use. @throws UserError */
export async function signingIdentity(options: IdentityOptions): Promise<SignIdentity> {
  return (await givenIdentity(options)) ?? defaultIdentity(passphraseOf(options));
}

function passphraseOf({ identityPassphraseFile: source }: IdentityOptions): Passphrase {
  return (file) => {
    const key = JSON.stringify([file, source]);
    const known = passphrases.get(key) ?? passphraseFor(file, source);
    passphrases.set(key, known);
    return known;
  };
}
