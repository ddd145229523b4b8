import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { parseCanisterId } from "../../lib/ic/canister-id.ts";

const CANISTER = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");

t.test("canister ids", async (t) => {
  const id = CANISTER.toText();
  for (const text of [id, id.toUpperCase(), "Oeagv-5qAaa-aaaah-aar4q-cai", ` ${id}\n`]) {
    t.equal(parseCanisterId(text).toText(), id, text);
  }
  for (const address of [`https://${id}.icp0.io/`, `http://127.0.0.1:4943/?canisterId=${id.toUpperCase()}`]) {
    t.throws(() => parseCanisterId(address), {
      message: `"${address}" is not a canister id: say ${id} alone`,
    });
  }
  t.throws(() => parseCanisterId("oeagv-5qaaa-aaaah-aar4q-caj"), { message: /its checksum is wrong/ });
  for (const text of ["", "xx", "oeagv-cai", "/srv/tftp"]) {
    t.throws(
      () => parseCanisterId(text),
      { name: "UserError", message: /is not a canister id: it looks like/ },
      text,
    );
  }
});
