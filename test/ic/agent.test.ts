import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { Cbor } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import { Principal } from "@icp-sdk/core/principal";
import fc from "fast-check";
import t from "tap";
import {
  blobArgument,
  createAgent,
  decodeBlob,
  NO_ARGUMENTS,
  queryBlob,
  queryReply,
} from "../../lib/ic/agent.ts";
import { replicatedCalls } from "../../lib/ic/canister-calls.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { certifiedAt } from "../../lib/ic/read-state.ts";
import type { Received } from "../../lib/ic/transport/bounded-fetch.ts";
import type { Test } from "../support/icfs.ts";

const BLOB = IDL.Vec(IDL.Nat8);
const CANISTER = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");
const PREFIX = "4449444c016d7b0100";

/** 64 MiB that gzip to 64 kB. */
const PACKED = gzipSync(Buffer.alloc(64 << 20));

t.test("a blob is encoded as by the general Candid encoder, and decoded again", async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 127 }), (bytes) => {
      const general = Buffer.from(IDL.encode([BLOB], [bytes]));
      if (!general.equals(blobArgument(bytes))) throw new Error("another encoding");
    }),
  );
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 1 << 20, 3 << 20]) {
    const bytes = new Uint8Array(length).fill(7);
    const encoded = new Uint8Array(IDL.encode([BLOB], [bytes]));
    t.ok(Buffer.from(decodeBlob(encoded)).equals(bytes), `${length} bytes`);
    t.throws(() => decodeBlob(encoded.subarray(0, encoded.length - 1)), { name: "FormatError" }, "cut off");
    t.throws(
      () => decodeBlob(Buffer.concat([encoded, Buffer.alloc(1)])),
      { name: "FormatError" },
      "with more",
    );
  }
});

t.test("hostile replies end in a FormatError", async (t) => {
  const cases: Record<string, string> = {
    nothing: "",
    "half a prefix": "4449444c",
    "a prefix alone": PREFIX,
    "a length alone": `${PREFIX}05`,
    "a length that never ends": `${PREFIX}${"80".repeat(100)}`,
    "2^35 bytes": `${PREFIX}ffffffff7f00`,
    "2^63 bytes": `${PREFIX}ffffffffffffffff7f00`,
    "a text": "4449444c00017100",
    "two blobs": "4449444c016d7b02000000",
    "a vector of nulls, a billion of them": "4449444c016d7f01008094ebdc03",
  };
  for (const [name, bytes] of Object.entries(cases)) {
    t.throws(() => decodeBlob(Buffer.from(bytes, "hex")), { name: "FormatError" }, name);
  }
});

/** A gateway that answers every request in one way. @param requestTimeout milliseconds */
async function gateway(t: Test, answer: (response: ServerResponse) => void, requestTimeout = 60_000) {
  const server = createServer((request, response) => {
    request.resume();
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const network = resolveNetwork(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const agent = createAgent({
    network,
    rootKey: new Uint8Array(),
    verifyQuerySignatures: false,
    requestTimeout,
  });
  return {
    query: (received?: Received) =>
      queryBlob(agent, CANISTER, "chunk", blobArgument(new Uint8Array(32)), received),
  };
}

const blobOf = (bytes: number) => new Uint8Array(IDL.encode([BLOB], [new Uint8Array(bytes)]));

const replying = (body: unknown) => (response: ServerResponse) => response.end(Cbor.encode(body as never));

t.test("a reply's bytes are returned", async (t) => {
  const { query } = await gateway(
    t,
    replying({ status: "replied", reply: { arg: blobArgument(Buffer.from("abc")) } }),
  );
  t.same(Buffer.from(await query()), Buffer.from("abc"));
});

t.test("each of several concurrent queries reports the bytes of its own answer as they arrive", async (t) => {
  const held: ServerResponse[] = [];
  const all = Promise.withResolvers<void>();
  const { query } = await gateway(t, (response) => {
    held.push(response);
    if (held.length === 3) all.resolve();
  });
  const counts = [0, 0];
  const answers = [...counts.map((_, i) => query((bytes) => (counts[i]! += bytes))), query()];
  await all.promise;
  // Each answer comes in two pieces. The second pieces come only when all answers have had their first.
  const bodies = [1000, 200_000, 30].map((size) =>
    Buffer.from(Cbor.encode({ status: "replied", reply: { arg: blobOf(size) } } as never)),
  );
  for (const [i, response] of held.entries()) response.write(bodies[i]!.subarray(0, 20));
  for (const [i, response] of held.entries()) response.end(bodies[i]!.subarray(20));
  const sizes = (await Promise.all(answers)).map(({ length }) => length);
  t.same([...sizes].sort(), [1000, 200_000, 30].sort());
  // The requests may reach the gateway in any order: each must be told of the bytes of its own answer.
  const whole = new Map(bodies.map((body, i) => [[1000, 200_000, 30][i], body.length]));
  t.same(
    counts,
    sizes.slice(0, 2).map((size) => whole.get(size)),
  );
});

t.test("a rejection becomes a RejectError, with advice by its error code", async (t) => {
  const rejection = {
    status: "rejected",
    reject_code: 5,
    reject_message: "Error from Canister x: Canister called `ic0.trap` with message: 'over quota'.\nConsider",
    error_code: "IC0503",
  };
  const trap = await gateway(t, replying(rejection));
  await t.rejects(trap.query(), {
    name: "RejectError",
    message: /^canister oeagv-\S+ rejects "chunk": Error from Canister x: /,
    code: 5,
    errorCode: "IC0503",
    reason: "over quota",
  });
  // The code decides, whatever the words are.
  for (const [error_code, hint] of [
    ["IC0536", true],
    ["IC0502", false],
  ] as const) {
    const reject_message = hint ? "what?" : "it has no query method";
    const { query } = await gateway(t, replying({ ...rejection, reject_message, error_code }));
    const { message } = await query().then(
      () => t.fail("it answered") as never,
      (error: Error) => error,
    );
    t.equal(message.endsWith(" (this is not an icfs canister)"), hint, message);
  }
  const frozen = await gateway(t, replying({ ...rejection, reject_code: 2, error_code: "IC0207" }));
  await t.rejects(frozen.query(), {
    code: 2,
    errorCode: "IC0207",
    message:
      /^canister oeagv-\S+ is out of cycles: it is frozen, and answers again when it has been topped up \(/,
  });
});

t.test("gateways that answer wrongly, or not at all", async (t) => {
  const cases: Record<string, [answer: (response: ServerResponse) => void, message: RegExp]> = {
    "no reply in it": [replying({ status: "replied" }), /not a blob/],
    "a reply of text": [replying({ status: "replied", reply: { arg: "abc" } }), /not a blob/],
    "another status": [replying({ status: "what" }), /./],
    "no CBOR": [(response) => response.end("<html>"), /./],
    "an error": [(response) => response.writeHead(503).end("overloaded"), /HTTP status 503 .*overloaded/],
    "a closed connection": [(response) => response.destroy(), /other side closed|socket|fetch/],
    silence: [() => {}, /no answer within 1 s/],
    "silence in the middle": [(response) => response.writeHead(200).write("x"), /./],
    "a small answer that is a huge one, compressed": [
      (response) => response.writeHead(200, { "content-encoding": "gzip" }).end(PACKED),
      /compressed/,
    ],
    "what a decoder would choke on": [
      (response) => response.end(Buffer.alloc(1 << 20, 0x81)),
      /nested too deeply/,
    ],
    "bytes without end": [
      (response) => {
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(1 << 16)));
        };
        response.on("drain", more);
        more();
      },
      /too large/,
    ],
  };
  for (const [name, [answer, message]] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const { query } = await gateway(t, answer, name.startsWith("silence") ? 1000 : undefined);
      const error = await query().then(
        () => t.fail("it answered"),
        (error: Error) => error,
      );
      t.match((error as Error).message, message);
      t.ok((error as Error).message.length < 600, "the error is shorter than 600 characters");
      t.notMatch(error, TypeError, "the error is not a TypeError");
    });
  }
});

t.test("a network whose clock differs is not asked for its time", async (t) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    request.resume();
    asked.push(request.url!.replace(/.*\//, ""));
    response.writeHead(400).end("Invalid request expiry: Specified ingress_expiry not within expected range");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const network = resolveNetwork(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const rootKey = new Uint8Array(133);
  const clock = { name: "ClockError", message: /set this host's clock/ };
  for (const verifyQuerySignatures of [false, true]) {
    const agent = createAgent({ network, rootKey, verifyQuerySignatures, requestTimeout: 60_000 });
    await t.rejects(queryReply(agent, CANISTER, "listing", NO_ARGUMENTS), clock);
    await t.rejects(
      queryReply(agent, CANISTER, "listing", NO_ARGUMENTS),
      clock,
      "a second query fails in the same way",
    );
    await t.rejects(
      certifiedAt(agent, CANISTER, ["controllers"], async (certificate) => certificate),
      clock,
    );
    await t.rejects(replicatedCalls(agent, CANISTER, rootKey)("put", NO_ARGUMENTS), clock);
    t.equal(agent.getTimeDiffMsecs(), 0);
  }
  const times = (endpoint: string) => asked.filter((one) => one === endpoint).length;
  t.same([times("query"), times("call")], [4, 2], "once each");
  t.ok(times("read_state") <= 4, "read_state is requested only for the controllers and the nodes' keys");
});

t.test("a rejection without a valid code and message is a FormatError", async (t) => {
  const good = { status: "rejected", reject_code: 5, reject_message: "no", error_code: "IC0503" };
  for (const fields of [
    { reject_message: undefined },
    { reject_message: { toString: 1 } },
    { reject_code: "5" },
  ]) {
    const { status, ...rest } = { ...good, ...fields };
    const body = Object.fromEntries(
      Object.entries({ status, ...rest }).filter(([, value]) => value !== undefined),
    );
    const { query } = await gateway(t, replying(body));
    await t.rejects(query(), { name: "FormatError", message: /rejection without a code or a message/ });
  }
});
