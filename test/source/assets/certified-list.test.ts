/** The tree of an asset canister and the certificate over it. They are made here, so that each can belong to another canister. */
import { createHash } from "node:crypto";
import { Cbor } from "@icp-sdk/core/agent";
import t from "tap";
import { decodeHashTree, rootHash } from "../../../lib/ic/certificate/hash-tree.ts";
import { createLog } from "../../../lib/log.ts";
import { CertifiedList } from "../../../lib/source/assets/certified-list.ts";
import { LeftOut } from "../../../lib/source/listed-tree.ts";
import { canisterId, certify, newBlsKey } from "../../support/certificates.ts";

const root = newBlsKey();
const canister = canisterId(1);
const sha256 = (text: string) => createHash("sha256").update(text).digest();
const utf8 = (text: string) => new Uint8Array(Buffer.from(text));

/** The tree of a canister with one asset, and its root hash. */
function treeWith(content: string, label = "http_assets") {
  const tree = [2, utf8(label), [2, utf8("/file"), [3, Uint8Array.from(sha256(content))]]];
  const encoded = Buffer.from(Cbor.encode(tree as never));
  return { tree: encoded, hash: rootHash(decodeHashTree(encoded.subarray(3))) };
}

const list = new CertifiedList(
  () => Promise.reject(new Error("nobody is asked")),
  { canister, rootKey: root.publicKey, blsVerify: () => undefined },
  new LeftOut(createLog("error")),
);
const certificateOf = (data: Uint8Array, of = canister) => Buffer.from(certify({ canister: of, data, root }));

t.test("a tree is accepted only if this canister's certificate certifies it", async (t) => {
  const { tree, hash } = treeWith("content");
  const { hashes } = await list.verified({ certificate: certificateOf(hash), tree }, "fresh");
  t.strictSame([...hashes], [["/file", sha256("content")]]);

  const refused = (certificate: Buffer, of: Buffer, message: RegExp) =>
    t.rejects(list.verified({ certificate, tree: of }, "fresh"), { name: "VerificationError", message });
  await refused(
    certificateOf(hash),
    treeWith("other bytes").tree,
    /not the one that the certificate certifies/,
  );
  await refused(
    certificateOf(treeWith("other bytes").hash),
    tree,
    /not the one that the certificate certifies/,
  );
  await refused(certificateOf(new Uint8Array()), tree, /not the one that the certificate certifies/);
  await refused(certificateOf(hash, canisterId(2)), tree, /no certified data/);
  const others = treeWith("content", "http_expr");
  await refused(certificateOf(others.hash), others.tree, /certifies HTTP responses only/);
});

t.test("an empty tree with empty certified data is an empty list", async (t) => {
  const tree = Buffer.from(Cbor.encode([0] as never));
  const { hashes } = await list.verified({ certificate: certificateOf(new Uint8Array()), tree }, "fresh");
  t.equal(hashes.size, 0);
});
