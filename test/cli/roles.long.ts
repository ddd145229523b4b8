/** icfs grant, revoke and roles, with several identities, each with its own configuration. */
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { writeTree } from "../publish/trees.ts";
import { exactly } from "../support/exactly.ts";
import { type OwnedCanister, startOwnedCanister } from "../support/people.ts";

const ANONYMOUS = Principal.anonymous().toText();

/** The roles, with principals sorted by their texts: the canister's order is another. */
async function rolesOf({ id, owner }: OwnedCanister): Promise<Record<string, unknown>> {
  const roles = JSON.parse(await owner("roles", id, "--json"));
  return { ...roles, publishers: roles.publishers.sort(), readers: roles.readers.sort() };
}

t.test("roles are granted, shown and revoked", async (t) => {
  const c = await startOwnedCanister(t);
  const { id } = c;
  const owner = c.identity.getPrincipal().toText();
  const ann = await c.person("ann", "ed25519");
  const bob = await c.person("bob", "secp256k1");
  const nobody = { private: false, controllers: [owner], owner, publishers: [], promoters: [], readers: [] };
  t.same(await rolesOf(c), nobody);

  const granted = `${ann.principal} is a publisher of ${id} now\n`;
  t.equal(await c.owner("grant", id, ann.principal, "publisher"), granted);
  t.equal(await c.owner("grant", id, bob.principal, "reader"), `${bob.principal} is a reader of ${id} now\n`);
  t.same(await rolesOf(c), { ...nobody, publishers: [ann.principal], readers: [bob.principal] });
  t.match(await c.icfs(["roles", id]), {
    code: 0,
    stdout: `owner      ${owner} (controller)\npublisher  ${ann.principal}\nreader     ${bob.principal}\nanybody can read\n`,
  });

  await c.owner("grant", id, bob.principal, "publisher");
  t.match(
    await rolesOf(c),
    { publishers: exactly(...[ann.principal, bob.principal].sort()), readers: exactly() },
    "in place of",
  );
  t.equal(
    await c.owner("revoke", id, bob.principal),
    `${bob.principal} was a publisher of ${id}, and has no role on it any more\n`,
  );
  t.match(await rolesOf(c), { publishers: exactly(ann.principal), readers: exactly() });

  await t.test("those without the right are refused, and told how to get it", async (t) => {
    const deeds = [
      ["grant", id, bob.principal, "publisher"],
      ["revoke", id, ann.principal],
      ["configure", id, "--private"],
      ["configure", id, "--quota", "1GiB"],
    ];
    for (const who of [ann, bob]) {
      for (const deed of deeds) {
        const { code, stdout, stderr } = await who.icfs(...deed);
        t.match({ code, stdout }, { code: 1, stdout: "" }, deed.join(" "));
        t.match(
          stderr,
          new RegExp(`^icfs: ${who.principal} may not .* on ${id}: only its owners can .*--identity PEM`),
        );
      }
    }
    t.same(await rolesOf(c), { ...nobody, publishers: [ann.principal] }, "the roles are unchanged");
  });

  await t.test("invalid grants and revocations are refused", async (t) => {
    t.match(await c.icfs(["grant", id, ANONYMOUS, "reader"]), {
      code: 1,
      stderr:
        "icfs: the canister did not grant roles: the anonymous principal cannot have a role: it is everybody\n",
    });
    t.match(await c.icfs(["revoke", id, owner]), {
      code: 1,
      stderr: /had no role that can be revoked: owners are/,
    });
    t.match(await c.icfs(["revoke", id, bob.principal]), { code: 1, stderr: /had no role/ });
    t.match(await c.icfs(["grant", id, "bob", "reader"]), {
      code: 2,
      stderr: /^icfs: "bob" is not a principal/,
    });
    t.match(await c.icfs(["grant", id, bob.principal, "owner"]), {
      code: 2,
      stderr: /publisher, promoter, reader/,
    });
    t.match(await c.icfs(["roles", ANONYMOUS]), {
      code: 2,
      stdout: "",
      stderr: /^icfs: "2vxsx-fae" is the principal of callers without a key/,
    });
  });
});

t.test("a granted publisher publishes and rolls back, until revoked", async (t) => {
  const c = await startOwnedCanister(t);
  const { id, tree } = c;
  const ann = await c.person("ann", "ed25519");
  const refused = new RegExp(
    `^icfs: ${ann.principal} may not (publish|roll back) on ${id}: give a publisher's or an owner's key with --identity PEM, or have an owner run .icfs grant ${id} ${ann.principal} publisher.\n$`,
  );
  await c.owner("publish", tree, id);
  await writeTree(tree, { file: "ann's" });
  t.match(await ann.icfs("publish", tree, id), { code: 1, stdout: "", stderr: refused });
  await c.owner("grant", id, ann.principal, "publisher");
  t.match(await ann.icfs("publish", tree, id), { code: 0, stdout: /^published release 2 / });
  t.match(await ann.icfs("rollback", id, "1"), {
    code: 0,
    stdout: /^release 3 \(.*\) has the tree of release 1\n/,
  });
  const head = (await c.source().head())!;
  t.equal(Principal.fromUint8Array(Uint8Array.from(head.header.publisher)).toText(), ann.principal);
  await c.owner("revoke", id, ann.principal);
  t.match(await ann.icfs("publish", tree, id), { code: 1, stderr: refused });
  t.match(await ann.icfs("rollback", id, "2"), { code: 1, stderr: refused });
  t.ok((await c.source().head())!.hash.equals(head.hash));
});
