/** An Ed25519 identity is the same as core's. Signatures of Ed25519 have no randomness, so they are compared byte for byte. */
import { createPrivateKey } from "node:crypto";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import t from "tap";
import { Ed25519Identity } from "../../../lib/ic/identity/ed25519.ts";

/** PKCS#8 of an Ed25519 key, up to the key's 32 bytes (RFC 8410, section 7). */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

t.test("key, principal and signatures are the same as core's", async (t) => {
  for (const fill of [1, 2, 255]) {
    const secret = new Uint8Array(32).fill(fill);
    const core = Ed25519KeyIdentity.fromSecretKey(secret);
    const key = Buffer.concat([PKCS8, secret]);
    const identity = new Ed25519Identity(createPrivateKey({ key, format: "der", type: "pkcs8" }));
    t.same(Buffer.from(identity.getPublicKey().toDer()), Buffer.from(core.getPublicKey().toDer()));
    t.equal(identity.getPrincipal().toText(), core.getPrincipal().toText());
    for (const length of [0, 43, 100_000]) {
      const message = new Uint8Array(length).fill(fill);
      t.same(Buffer.from(await identity.sign(message)), Buffer.from(await core.sign(message)));
    }
  }
});
