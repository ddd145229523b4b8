/** Whose key signs: the one that --identity names, or the user's own. */
import type { SignIdentity } from "@icp-sdk/core/agent";
import { defaultIdentity, loadIdentity, type Passphrase } from "../ic/identity/identity.ts";
import type { NetworkOptions } from "./options.ts";
import { passphraseFor } from "./passphrase.ts";

type IdentityOptions = Pick<NetworkOptions, "identity" | "identityPassphraseFile">;

/** What was read once: a descriptor gives it only once, and nobody is asked twice. By key and where its passphrase is. */
const passphrases = new Map<string, Promise<string>>();

/** The identity that is given. @throws UserError */
export async function givenIdentity(options: IdentityOptions): Promise<SignIdentity | undefined> {
  return options.identity === undefined ? undefined : loadIdentity(options.identity, passphraseOf(options));
}

/** The identity that is given, else the user's own, made on its first use. @throws UserError */
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
