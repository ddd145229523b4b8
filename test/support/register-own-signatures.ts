/** Puts own-signatures.ts into the place of the library of BLS signatures, in each process of the tests: .taprc imports it. */
import { registerHooks } from "node:module";

const OWN = new URL("own-signatures.ts", import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "@noble/curves/bls12-381.js" && context.parentURL !== OWN
      ? next(OWN, context)
      : next(specifier, context),
});
