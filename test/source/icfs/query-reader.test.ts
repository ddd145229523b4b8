import { randomInt } from "node:crypto";
import type { HttpAgent } from "@icp-sdk/core/agent";
import t from "tap";
import { createAgent, NO_ARGUMENTS } from "../../../lib/ic/agent.ts";
import { resolveNetwork } from "../../../lib/ic/network.ts";
import { IcfsReader } from "../../../lib/source/icfs/query-reader.ts";
import { canisterId, certify, newBlsKey } from "../../support/certificates.ts";
import { encodeHeader } from "../../support/headers.ts";
import {
  ICFS_WASM,
  type StartedCanister,
  sha256,
  startIcfsCanister,
  treeOf,
} from "../../support/icfs-canister.ts";
import { NO_INSTALL_ARGUMENTS, startEmptyNetwork } from "../../support/networks.ts";
import { proofOf, sourceOfReply } from "../../support/proofs.ts";

/** May change the canister's reply (a method's Candid) before the reader gets it. */
type Tamper = (method: string, reply: Uint8Array) => Uint8Array;

/** The source over an agent whose replies are changed on the way. */
function tampered({ network, id }: StartedCanister, tamper: Tamper): IcfsReader {
  const { url, rootKey } = network;
  const agent = createAgent({
    network: resolveNetwork(url),
    rootKey,
    verifyQuerySignatures: false,
    requestTimeout: 10_000,
  });
  const query: HttpAgent["query"] = async (canister, fields) => {
    const response = await agent.query(canister, fields);
    if (response.status !== "replied") return response;
    return { ...response, reply: { arg: tamper(fields.methodName, Uint8Array.from(response.reply.arg)) } };
  };
  return new IcfsReader({ query } as HttpAgent, id, rootKey);
}

const flipBit =
  (method: string): Tamper =>
  (called, reply) => {
    if (called === method) reply[randomInt(reply.length)]! ^= 1 << randomInt(8);
    return reply;
  };

/** Candid of one blob: a prefix of 9 bytes, the length in two bytes of LEB128 (128 to 16383), the bytes. */
function withBlobLength(reply: Uint8Array): Uint8Array {
  const length = reply.length - 11;
  reply[9] = (length & 0x7f) | 0x80;
  reply[10] = length >> 7;
  return Uint8Array.from(reply);
}

/** Date on a host whose clock is off by so many milliseconds. */
function clockOff(RealDate: DateConstructor, offset: number): DateConstructor {
  const { now } = RealDate;
  return class extends RealDate {
    constructor(...parameters: [] | [number]) {
      super(parameters[0] ?? now() + offset);
    }
    static override now(): number {
      return now() + offset;
    }
  } as DateConstructor;
}

t.test("a proof that no icfs canister makes is refused before it is decoded or hashed", async (t) => {
  const canister = canisterId(3);
  const root = newBlsKey();
  const header = encodeHeader({ number: 1 });
  const certificate = certify({ canister, data: Buffer.alloc(32), root });
  const source = (proof: Buffer) => sourceOfReply(proof, canister, root.publicKey);
  // A million empty leaves under as many forks.
  const bushy = Buffer.concat([
    Buffer.alloc(2_000_000, Buffer.from("8301", "hex")),
    Buffer.alloc(1_000_000, 0x81),
  ]);
  await t.rejects(source(proofOf({ header, witness: bushy, certificate })).head(), {
    message: /a proof of 3\d+ bytes/,
  });
  for (const [witness, message] of [
    [Buffer.alloc(100_000), /a hash tree of 100000 bytes/],
    [Buffer.concat([bushy.subarray(0, 60_000)]), /a hash tree nested too deeply/],
  ] as const) {
    await t.rejects(source(proofOf({ header, witness, certificate })).head(), {
      name: "FormatError",
      message,
    });
  }
  await t.rejects(source(Buffer.alloc(256 * 1024 + 1)).head(), {
    name: "FormatError",
    message: /a proof of/,
  });
});

const REFUSAL = /^(VerificationError|FormatError)$/;

t.test("an answer with a flipped bit is refused, or makes no difference", async (t) => {
  const canister = await startIcfsCanister(t);
  const { manifest, chunks } = treeOf({ a: "some bytes", b: "x".repeat(1000) });
  await canister.owner.put(chunks);
  await canister.publish(manifest);
  const head = (await canister.source.head())!;

  const release = tampered(canister, flipBit("release"));
  for (let i = 0; i < 150; i++) {
    const result = await release.head().catch((error: unknown) => error);
    if (result instanceof Error) t.match(result.name, REFUSAL, result.message);
    // Some bits of a certificate mean nothing: the head is then accepted as it is.
    else t.strictSame((result as typeof head).hash, head.hash);
  }
  const chunk = tampered(canister, flipBit("chunk"));
  for (let i = 0; i < 100; i++) {
    await t.rejects(chunk.manifest(head.header), { name: REFUSAL }, "manifest");
    await t.rejects(chunk.chunk(manifest.chunks[i % 2]!), { name: REFUSAL }, "chunk");
  }
});

t.test("answers that are not the canister's are refused", async (t) => {
  const canister = await startIcfsCanister(t);
  const { network, id, owner, publish } = canister;
  const { manifest, chunks } = treeOf({ a: "some bytes" });
  await owner.put(chunks);
  await publish(manifest);
  const head = (await canister.source.head())!;

  t.test("another root key", async (t) => {
    const other = await startEmptyNetwork(t);
    const agent = createAgent({
      network: resolveNetwork(network.url),
      rootKey: other.rootKey,
      verifyQuerySignatures: false,
      requestTimeout: 10_000,
    });
    const source = new IcfsReader(agent, id, other.rootKey);
    await t.rejects(source.head(), { name: "VerificationError", message: /certificate is refused/ });
  });

  t.test("another canister's proof", async (t) => {
    const stranger = await network.install(ICFS_WASM, NO_INSTALL_ARGUMENTS);
    const source = new IcfsReader(
      { query: (_canister, fields) => network.agent.query(stranger, fields) } as HttpAgent,
      id,
      network.rootKey,
    );
    await t.rejects(source.head(), { name: "VerificationError", message: /no certified data/ });
  });

  t.test("an older header and witness beside the newest certificate", async (t) => {
    let old: Uint8Array | undefined;
    // The header and the witness stand before the certificate, whose length is always the same.
    const before = (reply: Uint8Array) => reply.subarray(0, Buffer.from(reply).indexOf("certificate"));
    const replaying = tampered(canister, (method, reply) => {
      if (method !== "release") return reply;
      old ??= before(reply);
      const replayed = Buffer.concat([old, reply.subarray(before(reply).length)]);
      return withBlobLength(replayed);
    });
    t.strictSame((await replaying.head())!.hash, head.hash);
    const second = treeOf({ b: "other bytes" });
    await owner.put(second.chunks);
    await publish(second.manifest);
    await t.rejects(replaying.head(), {
      message: /the witness is not the tree that the certificate certifies/,
    });
  });

  t.test("a chunk of another size than the manifest says", async (t) => {
    const [reference] = manifest.chunks;
    const lying = { ...reference!, size: reference!.size + 1 };
    await t.rejects(canister.source.chunk(lying), { message: /another size than the manifest says/ });
  });

  t.test("the caller is told of a chunk's bytes as they arrive", async (t) => {
    const received = manifest.chunks.map(() => 0);
    await Promise.all(
      manifest.chunks.map((reference, i) =>
        canister.source.chunk(reference, (bytes) => {
          received[i]! += bytes;
        }),
      ),
    );
    // Beside the chunk an answer has a signature and the names of its fields.
    for (const [i, { size }] of manifest.chunks.entries()) {
      t.ok(received[i]! > size && received[i]! < size + 1000, `${received[i]} bytes for ${size}`);
    }
  });

  t.test("a chunk that the canister does not have", async (t) => {
    const absent = { sha256: sha256(Buffer.from("absent")), size: 1 };
    await t.rejects(canister.source.chunk(absent), { message: /the canister does not have chunk/ });
  });
});

t.test("a certificate is accepted within five minutes of this host's clock", async (t) => {
  const canister = await startIcfsCanister(t);
  const { manifest, chunks } = treeOf({ a: "some bytes" });
  await canister.owner.put(chunks);
  await canister.publish(manifest);
  const { network, id } = canister;
  // A gateway that always gives the same answer. Nothing else is asked of it, not even the time.
  const answer = await network.agent.query(id, { methodName: "release", arg: NO_ARGUMENTS });
  const asked: string[] = [];
  const query = (_: unknown, { methodName }: { methodName: string }) => {
    asked.push(methodName);
    return Promise.resolve(answer);
  };
  const source = new IcfsReader({ query } as unknown as HttpAgent, id, network.rootKey);
  const RealDate = Date;
  t.teardown(() => {
    globalThis.Date = RealDate;
  });
  for (const [minutes, accepted] of [
    [0, true],
    [4, true],
    [6, false],
    [60, false],
    [-4, true],
    [-6, false],
  ] as const) {
    globalThis.Date = clockOff(RealDate, minutes * 60_000);
    const name = `${minutes} minutes later`;
    if (accepted) t.equal((await source.head())!.header.number, 1, name);
    else
      await t.rejects(source.head(), { name: "VerificationError", message: /this host's clock says/ }, name);
  }
  t.strictSame([...new Set(asked)], ["release"]);
});
