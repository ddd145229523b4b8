/** Modules that come in chunks: upload_chunk, stored_chunks, clear_chunk_store, install_chunked_code. */
import { createHash } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { uploadChunk } from "../../localnet/management-types.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { assemble, I32, TINY } from "./assemble.ts";
import {
  type AnyActor,
  agentFor,
  controlledBy,
  deploy,
  management,
  NO_ARGUMENT,
  rejection,
  startNetwork,
  stranger,
} from "./setup.ts";

const MIB = 1024 * 1024;
const network = await startNetwork(t);
const agent = await agentFor(network);
const ic = management(agent);

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash("sha256").update(bytes).digest());

async function newCanister(on: AnyActor = ic): Promise<Principal> {
  const created = await on.provisional_create_canister_with_cycles!({
    amount: [],
    settings: [],
    specified_id: [],
  });
  return created.canister_id;
}

/** Uploads a module in pieces of `size` bytes; returns their hashes as install_chunked_code takes them. */
async function upload(canister_id: Principal, wasm: Uint8Array, size: number, on = ic) {
  const hashes: { hash: Uint8Array }[] = [];
  for (let at = 0; at < wasm.length; at += size) {
    const chunk = wasm.slice(at, at + size);
    const { hash } = await on.upload_chunk!({ canister_id, chunk });
    t.same(hash, sha256(chunk));
    hashes.push({ hash });
  }
  return hashes;
}

function installation(target_canister: Principal, chunk_hashes_list: { hash: Uint8Array }[], wasm = TINY) {
  const wasm_module_hash = sha256(wasm);
  return {
    mode: { install: null },
    target_canister,
    store_canister: [] as Principal[],
    chunk_hashes_list,
    wasm_module_hash,
    arg: NO_ARGUMENT,
  };
}

async function storedChunks(canister_id: Principal, on = ic): Promise<string[]> {
  const chunks = (await on.stored_chunks!({ canister_id })) as { hash: Uint8Array }[];
  return chunks.map(({ hash }) => Buffer.from(hash).toString("hex"));
}

const hexOf = (hashes: { hash: Uint8Array }[]) => hashes.map(({ hash }) => Buffer.from(hash).toString("hex"));

async function moduleHash(canister_id: Principal, on = ic): Promise<Uint8Array | undefined> {
  const { module_hash } = (await on.canister_status!({ canister_id })) as { module_hash: [] | [Uint8Array] };
  return module_hash[0];
}

t.test("a module is assembled from its chunks", async (t) => {
  const id = await newCanister();
  const hashes = await upload(id, TINY, 300);
  t.ok(hashes.length > 2, "the module has several chunks");
  t.same(await storedChunks(id), hexOf(hashes));
  await ic.install_chunked_code!(installation(id, hashes));
  t.same(await moduleHash(id), sha256(TINY));
  const peeked = await agent.query(id, { methodName: "peek", arg: NO_ARGUMENT });
  t.equal(peeked.status, "replied", "and runs");
  t.same(await storedChunks(id), hexOf(hashes), "the chunks stay in the store");

  const upgrade = { ...installation(id, hashes), mode: { upgrade: [] } };
  await ic.install_chunked_code!(upgrade);
  await ic.clear_chunk_store!({ canister_id: id });
  t.same(await storedChunks(id), []);
  t.match(await rejection(ic.install_chunked_code!(upgrade)), {
    code: 5,
    errorCode: "IC0504",
    message: /Chunk hash [0-9a-f]{64} was not found/,
  });
});

t.test("a chunk may occur twice in a module, and the module may be compressed", async (t) => {
  const id = await newCanister();
  // A custom section of zeros, longer than two chunks.
  const length = 2000;
  const zeros = Uint8Array.of(0, ...[0x80 | (length & 0x7f), length >> 7], ...new Uint8Array(length));
  const wasm = new Uint8Array(Buffer.concat([TINY, zeros]));
  const start = await upload(id, wasm.slice(0, TINY.length + 3), MIB);
  const [half] = await upload(id, new Uint8Array(length / 2), MIB);
  await ic.install_chunked_code!(installation(id, [...start, half!, half!], wasm));
  t.same(await moduleHash(id), sha256(wasm));

  const compressed = new Uint8Array(gzipSync(wasm));
  const hashes = await upload(id, compressed, 200);
  await ic.install_chunked_code!({
    ...installation(id, hashes, compressed),
    mode: { reinstall: null },
  });
  t.same(await moduleHash(id), sha256(compressed), "the module hash is that of the compressed bytes");
});

t.test("chunks can come from another canister's store if the caller controls it", async (t) => {
  const store = await newCanister();
  const target = await newCanister();
  const hashes = await upload(store, TINY, 400);
  const given = installation(target, hashes);
  t.match(
    await rejection(ic.install_chunked_code!(given)),
    { errorCode: "IC0504" },
    "the other store must be named",
  );
  await ic.install_chunked_code!({ ...given, store_canister: [store] });
  t.same(await moduleHash(target), sha256(TINY));

  await ic.update_settings!({
    canister_id: store,
    settings: controlledBy(stranger.getPrincipal()),
  });
  const again = { ...given, mode: { reinstall: null }, store_canister: [store] };
  t.match(await rejection(ic.install_chunked_code!(again)), {
    errorCode: "IC0512",
    message: new RegExp(`Only controllers of canister ${store.toText()}`),
  });
});

t.test("a module that does not match the given hash is not installed", async (t) => {
  const id = await newCanister();
  const hashes = await upload(id, TINY, 400);
  const backwards = installation(id, hashes.toReversed());
  t.match(await rejection(ic.install_chunked_code!(backwards)), {
    errorCode: "IC0504",
    message: /Wasm module hash [0-9a-f]{64} does not match given hash [0-9a-f]{64}/,
  });
  t.equal(await moduleHash(id), undefined);
});

t.test("only controllers can use a chunk store", async (t) => {
  const id = await newCanister();
  const hashes = await upload(id, TINY, MIB);
  const theirs = management(await agentFor(network, stranger));
  for (const call of [
    () => theirs.upload_chunk!({ canister_id: id, chunk: Uint8Array.of(1) }),
    () => theirs.stored_chunks!({ canister_id: id }),
    () => theirs.clear_chunk_store!({ canister_id: id }),
    () => theirs.install_chunked_code!(installation(id, hashes)),
  ]) {
    t.match(await rejection(call()), { code: 5, errorCode: "IC0512" });
  }
  t.same(await storedChunks(id), hexOf(hashes));
});

t.test("a canister can use its own chunk store, but not that of another canister", async (t) => {
  const [CALL_NEW, APPEND, PERFORM, ARG_SIZE, ARG_COPY, REPLY, CALLBACK] = [0, 1, 2, 3, 4, 5, 6];
  const forwarding = assemble({
    imports: [
      ["call_new", Array(8).fill(I32), []],
      ["call_data_append", [I32, I32], []],
      ["call_perform", [], [I32]],
      ["msg_arg_data_size", [], [I32]],
      ["msg_arg_data_copy", [I32, I32, I32], []],
      ["msg_reply", [], []],
    ],
    data: [[0, "upload_chunk"]],
    element: CALLBACK,
    functions: [
      { body: [0x10, REPLY] },
      {
        // Passes its argument on to aaaaa-aa's upload_chunk. Whatever the answer, it then replies.
        name: "canister_update forward",
        body: [
          ...[0x41, 0, 0x41, 0, 0x41, 0, 0x41, 12, 0x41, 0, 0x41, 0, 0x41, 0, 0x41, 0, 0x10, CALL_NEW],
          ...[0x41, 16, 0x41, 0, 0x10, ARG_SIZE, 0x10, ARG_COPY],
          ...[0x41, 16, 0x10, ARG_SIZE, 0x10, APPEND, 0x10, PERFORM, 0x1a],
        ],
      },
    ],
  });
  const forwarder = await deploy(agent, forwarding);
  const foreign = await newCanister();
  const chunk = Uint8Array.of(1, 2, 3);
  for (const canister_id of [forwarder, foreign]) {
    const arg = new Uint8Array(IDL.encode([uploadChunk], [{ canister_id, chunk }]));
    await agent.call(forwarder, { methodName: "forward", arg });
  }
  t.same(await storedChunks(forwarder), [Buffer.from(sha256(chunk)).toString("hex")]);
  t.same(await storedChunks(foreign), [], "the chunk is not stored in the other canister");
});

t.test("limits", async (t) => {
  const id = await newCanister();
  const largest = new Uint8Array(MIB);
  await ic.upload_chunk!({ canister_id: id, chunk: largest });
  t.match(await rejection(ic.upload_chunk!({ canister_id: id, chunk: new Uint8Array(MIB + 1) })), {
    errorCode: "IC0504",
    message: /Wasm chunk size 1048577 exceeds the maximum chunk size of 1048576 bytes/,
  });
  const status = (await ic.canister_status!({ canister_id: id })) as {
    memory_metrics: { wasm_chunk_store_size: bigint };
  };
  t.equal(status.memory_metrics.wasm_chunk_store_size, BigInt(MIB));

  const hash = sha256(largest);
  const tooLarge = installation(id, Array(101).fill({ hash }));
  t.match(await rejection(ic.install_chunked_code!(tooLarge)), { message: /more than the 104857600 bytes/ });

  for (let i = 1; i < 100; i++) await ic.upload_chunk!({ canister_id: id, chunk: Uint8Array.of(i) });
  t.match(await rejection(ic.upload_chunk!({ canister_id: id, chunk: Uint8Array.of(100) })), {
    errorCode: "IC0504",
    message: /100 chunks: call clear_chunk_store/,
  });
  await ic.upload_chunk!({ canister_id: id, chunk: Uint8Array.of(99) });
  t.equal((await storedChunks(id)).length, 100, "a chunk that is already stored can be uploaded again");
});

t.test("--state keeps chunk stores", async (t) => {
  const state = await temporaryDirectory(t);
  const files = async (id: Principal) =>
    (await readdir(join(state, "canisters", id.toText()))).filter((name) => name.startsWith("chunk-"));
  let network = await startNetwork(t, { state });
  let on = management(await agentFor(network));
  const [kept, cleared, emptied] = [await newCanister(on), await newCanister(on), await newCanister(on)];
  const hashes = await upload(kept, TINY, 400, on);
  await upload(cleared, TINY, 400, on);
  await on.clear_chunk_store!({ canister_id: cleared });
  t.same(await files(cleared), []);
  await upload(emptied, TINY, 400, on);
  await on.uninstall_code!({ canister_id: emptied });
  await network.close();

  // An upload that is interrupted before it is recorded leaves such a file.
  await writeFile(join(state, "canisters", cleared.toText(), `chunk-${"0".repeat(64)}`), "old");
  network = await startNetwork(t, { state });
  on = management(await agentFor(network));
  t.same(await storedChunks(kept, on), hexOf(hashes));
  t.same(await storedChunks(cleared, on), []);
  t.same(await files(cleared), []);
  t.same(await storedChunks(emptied, on), [], "an uninstalled canister has no chunks");
  await on.install_chunked_code!(installation(kept, hashes));
  t.same(await moduleHash(kept, on), sha256(TINY));
  await network.close();

  const name = `chunk-${hexOf(hashes)[0]}`;
  await writeFile(join(state, "canisters", kept.toText(), name), "something else");
  await t.rejects(startNetwork(t, { state }), { message: new RegExp(`is damaged: .*${name}`) });
});
