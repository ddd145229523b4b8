/** Answers in which no certificate is. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { certificateOf } from "../../lib/ic/read-state.ts";

t.test("an answer without a certificate", async (t) => {
  const canister = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");
  for (const answer of [{}, { certificate: "text" }, { certificate: [1] }]) {
    const agent = { readState: async () => answer } as unknown as HttpAgent;
    await t.rejects(certificateOf(agent, canister, ["controllers"]), {
      name: "FormatError",
      message: "the answer has no certificate",
    });
  }
});
