/**
 * Replaces the library of BLS signatures, and the local network's use of it, with modules that remember what this process has signed:
 * own-signatures.ts and own-localnet-signatures.ts. For each process of the tests: .taprc imports this.
 */
import { registerHooks } from "node:module";

const OWN = new URL("own-signatures.ts", import.meta.url).href;
const OWN_LOCALNET = new URL("own-localnet-signatures.ts", import.meta.url).href;
const LOCALNET_KEYS = new URL("../../localnet/keys.ts", import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === "@noble/curves/bls12-381.js" && context.parentURL !== OWN) return next(OWN, context);
    if (specifier === "./bls.ts" && context.parentURL === LOCALNET_KEYS) return next(OWN_LOCALNET, context);
    return next(specifier, context);
  },
});
