/** Answers to read_state without a certificate. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { HttpAgent } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { createAgent } from "../../lib/ic/agent.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { certifiedAt } from "../../lib/ic/read-state.ts";

t.test("an answer without a certificate", async (t) => {
  const canister = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");
  for (const answer of [{}, { certificate: "text" }, { certificate: [1] }]) {
    const agent = { readState: async () => answer } as unknown as HttpAgent;
    await t.rejects(
      certifiedAt(agent, canister, ["controllers"], async (certificate) => certificate),
      {
        name: "FormatError",
        message: "the answer has no certificate",
      },
    );
  }
});

t.test("an answer that the agent cannot read", async (t) => {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => void server.close());
  const network = resolveNetwork(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const options = { network, rootKey: new Uint8Array(133), verifyQuerySignatures: false };
  const agent = createAgent({ ...options, requestTimeout: 60_000 });
  let [status, body] = [202, Buffer.alloc(0)];
  const asked = () =>
    certifiedAt(
      agent,
      Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai"),
      ["controllers"],
      async (certificate) => certificate,
    );
  await t.rejects(asked(), { name: "FormatError", message: "the answer has no certificate" });
  [status, body] = [200, Buffer.from("a0", "hex")];
  await t.rejects(asked(), { name: "FormatError", message: "the answer has no certificate" });
  [status, body] = [502, Buffer.from("busy")];
  await t.rejects(asked(), { name: "HttpStatusError" });
});
