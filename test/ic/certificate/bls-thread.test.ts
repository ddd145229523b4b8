/** Signatures checked on another thread: the same answers as on this thread, and an error where there is no answer. */
import { blsVerify } from "@icp-sdk/core/agent";
import { bls12_381 } from "@noble/curves/bls12-381.js";
import t from "tap";
import { BlsThread } from "../../../lib/ic/certificate/bls-thread.ts";

const KEY = new Uint8Array(32).fill(7);
const { getPublicKey, hash, sign, Signature } = bls12_381.shortSignatures;
const PUBLIC_KEY = getPublicKey(KEY).toBytes();
const MESSAGE = Buffer.from("a message");
const SIGNATURE = Signature.toBytes(sign(hash(MESSAGE), KEY));

/** The worker thread does not keep the process alive: while the test waits for it, this timer does. */
async function kept<T>(work: Promise<T> | T): Promise<T> {
  const timer = setInterval(() => {}, 1000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

t.test("gives the same answers as core, to several checks at once", async (t) => {
  const { verify } = new BlsThread();
  const other = Buffer.from("another message");
  t.equal(blsVerify(PUBLIC_KEY, SIGNATURE, MESSAGE), true);
  const answers = [verify(PUBLIC_KEY, SIGNATURE, MESSAGE), verify(PUBLIC_KEY, SIGNATURE, other)];
  t.same(await kept(Promise.all(answers)), [true, false]);
  t.equal(await kept(verify(PUBLIC_KEY, SIGNATURE, MESSAGE)), true);
});

t.test("an invalid signature is an error, and the next one is still checked", async (t) => {
  const { verify } = new BlsThread();
  const spoiled = Uint8Array.from(SIGNATURE);
  spoiled[5]! ^= 1;
  await t.rejects(kept(verify(PUBLIC_KEY, spoiled, MESSAGE)), Error);
  await t.rejects(kept(verify(PUBLIC_KEY, new Uint8Array(3), MESSAGE)), Error);
  t.equal(await kept(verify(PUBLIC_KEY, SIGNATURE, MESSAGE)), true);
});
