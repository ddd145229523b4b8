/** State directories whose files were cut short, changed or lost. */
import { createHash } from "node:crypto";
import {
  appendFile,
  chmod,
  chown,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import type { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { emptyState } from "../../localnet/canister-state.ts";
import { CanisterStore, createStore, type KeptCanister } from "../../localnet/canister-store.ts";
import { startLocalNetwork } from "../../localnet/index.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { GLOBAL, TINY } from "./assemble.ts";
import { agentFor, deploy, NO_ARGUMENT } from "./setup.ts";

const PAGE = 65_536;
const BUMPS = 6;

const home = await temporaryDirectory(t);
const original = join(home, "original");
const journalLengths: number[] = [];
let id: Principal;
{
  const network = await startLocalNetwork({ port: 0, state: original });
  const agent = await agentFor(network);
  id = await deploy(agent, TINY);
  const journal = join(original, "canisters", id.toText(), "journal");
  journalLengths.push((await readFile(journal)).length);
  for (let i = 0; i < BUMPS; i++) {
    await agent.call(id, { methodName: "bump", arg: NO_ARGUMENT });
    journalLengths.push((await readFile(journal)).length);
  }
  await network.close();
}
const inCanister = (name: string) => join("canisters", id.toText(), name);

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

let copies = 0;
/** Changes a copy of the directory, and starts a network with it. @returns how often TINY was bumped */
async function bumpsAfter(change: (state: string) => Promise<void>): Promise<number> {
  const state = join(home, `copy-${copies++}`);
  await cp(original, state, { recursive: true });
  try {
    await change(state);
    const network = await startLocalNetwork({ port: 0, state });
    try {
      const peek = await (await agentFor(network)).query(id, { methodName: "peek", arg: NO_ARGUMENT });
      if (!("reply" in peek)) throw new Error(peek.reject_message);
      return peek.reply.arg[GLOBAL]! - 7;
    } finally {
      await network.close();
    }
  } finally {
    await rm(state, { recursive: true });
  }
}

async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at]! ^= 0x10;
  await writeFile(file, bytes);
}

t.test("an unfinished record is cut off, wherever it ends", async (t) => {
  t.equal(await bumpsAfter(async () => {}), BUMPS);
  for (const [bumps, length] of journalLengths.entries()) {
    const next = journalLengths[bumps + 1];
    const ends = next === undefined ? [length] : [length, length + 1, length + 31, length + 32, next - 1];
    for (const end of ends) {
      t.equal(
        await bumpsAfter((state) => truncate(join(state, inCanister("journal")), end)),
        bumps,
        `${end}`,
      );
    }
  }
});

t.test("the journal continues after a record has been cut off", async (t) => {
  const state = join(home, "cut");
  await cp(original, state, { recursive: true });
  await truncate(join(state, inCanister("journal")), journalLengths[3]! + 1000);
  for (const wanted of [3, 4, 5]) {
    const network = await startLocalNetwork({ port: 0, state });
    const agent = await agentFor(network);
    const peek = await agent.query(id, { methodName: "peek", arg: NO_ARGUMENT });
    t.equal("reply" in peek && peek.reply.arg[GLOBAL]! - 7, wanted);
    await agent.call(id, { methodName: "bump", arg: NO_ARGUMENT });
    await network.close();
  }
});

t.test("any other damage is an error that names the file", async (t) => {
  const journal = inCanister("journal");
  const damaged = async (file: string, change: (path: string) => Promise<void>, message = "cut short") => {
    const start = bumpsAfter((state) => change(join(state, file)));
    await t.rejects(
      start,
      { message: new RegExp(`^the local network's state is damaged: \\S*${file}: `) },
      message,
    );
  };
  const first = journalLengths[0]!;
  // Offsets of an inner record's fields: magic, header's checksum, number, length, content's checksum, value's length, value, page.
  for (const at of [0, 4, 8, 16, 20, 24, 28, 100, 40_000]) {
    await damaged(journal, (path) => flip(path, first + at), `journal, byte ${at}`);
  }
  await damaged(journal, (path) => flip(path, journalLengths.at(-2)! + 16), "the last record's length");
  await damaged(journal, (path) => flip(path, journalLengths.at(-1)! - 1), "the last record's last byte");
  await damaged(journal, (path) => appendFile(path, Buffer.alloc(100)), "zeros at the end");
  await damaged(
    journal,
    async (path) => {
      const bytes = await readFile(path);
      const [from, to] = [journalLengths[1]!, journalLengths[2]!];
      await writeFile(path, Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]));
    },
    "a record is missing",
  );
  await damaged(journal, (path) => rm(path), "no journal");
  for (const name of ["keys", "next-id", inCanister("checkpoint")]) {
    const { length } = await readFile(join(original, name));
    for (const at of [0, 4, length - 1]) await damaged(name, (path) => flip(path, at), `${name}, byte ${at}`);
    await damaged(name, (path) => truncate(path, 5));
  }
  await damaged("keys", (path) => rm(path), "no keys");
  await damaged(inCanister("checkpoint"), (path) => rm(path), "no checkpoint");
  await damaged("icfs-localnet", (path) => writeFile(path, ""), "an empty marker");
  await damaged("lock", (path) => writeFile(path, "x".repeat(4096)), "a lock that is none");
  const module = inCanister(`module-${sha256(TINY).toString("hex")}.wasm`);
  await damaged(module, (path) => flip(path, 20), "the module");
  await damaged(module, (path) => rm(path), "no module");
});

t.test("leftovers of an interrupted start, creation or removal do no harm", async (t) => {
  const bumps = await bumpsAfter(async (state) => {
    await mkdir(join(state, "canisters", "rrkah-fqaaa-aaaaa-aaaaq-cai.new"));
    await writeFile(join(state, "keys.new"), "half");
    await writeFile(join(state, inCanister("checkpoint.new")), "half");
    await writeFile(join(state, inCanister(`module-${"0".repeat(64)}.wasm`)), "old");
  });
  t.equal(bumps, BUMPS);
  const state = join(home, "interrupted");
  await mkdir(state);
  for (const name of ["lock", "process", "icfs-localnet.new"]) await writeFile(join(state, name), "");
  await (await startLocalNetwork({ port: 0, state })).close();
});

t.test("a directory that others own or can write in is not used, as its keys would be theirs", async (t) => {
  const state = join(home, "of-another");
  await mkdir(state, { mode: 0o777 });
  await chmod(state, 0o777);
  await t.rejects(startLocalNetwork({ port: 0, state }), {
    name: "UserError",
    message: /others can write to/,
  });
  await chmod(state, 0o700);
  await chown(state, 65534, 65534);
  await t.rejects(startLocalNetwork({ port: 0, state }), {
    name: "UserError",
    message: /of-another belongs to another user: choose another with --state/,
  });
  t.same(await readdir(state), []);
});

t.test("checkpoints", async (t) => {
  const heapPages = 300;
  const directory = join(home, "store");
  const state = emptyState();
  state.heap = new SharedArrayBuffer(heapPages * PAGE);
  state.heapLength = heapPages * PAGE;
  state.stable.pages = 1000;
  const heap = new Uint8Array(state.heap);
  const moduleHash = new Uint8Array(sha256(TINY));
  const kept = (version: number): KeptCanister => ({
    controllers: [],
    status: "running",
    cycles: 1n,
    version: BigInt(version),
    certifiedData: new Uint8Array(),
    globalTimer: 0n,
    moduleHash,
    heapLength: state.heapLength,
    globals: [1, 2n, Number.NaN],
    stablePages: state.stable.pages,
  });
  const store = createStore(directory, { ...kept(0), moduleHash: undefined });
  store.addModule(TINY, moduleHash);
  let version = 0;
  /** A "message" that changes 200 pages, others than the last one did. */
  const change = (isFresh = false) => {
    version += 1;
    const pages = Array.from({ length: 200 }, (_, index) => (index + version * 37) % heapPages);
    if (isFresh) heap.fill(0);
    for (const page of pages) heap.fill((version * 7 + page) % 256, page * PAGE, (page + 1) * PAGE);
    const none = { isFresh: false, pages: [] };
    store.append(kept(version), { heap: { isFresh, pages }, stable: none }, state);
  };
  const asWritten = async (from: string, message: string) => {
    const opened = new CanisterStore(from);
    const loaded = opened.load();
    opened.close();
    t.equal(loaded.kept.version, BigInt(version), message);
    t.same(loaded.state!.globals, [1, 2n, Number.NaN]);
    t.ok(Buffer.from(loaded.state!.heap).equals(Buffer.from(state.heap)), `${message}: the heap`);
  };
  const journal = join(directory, "journal");
  /** Makes changes until there is a checkpoint. @returns a copy of the directory right before it */
  const untilCheckpoint = async () => {
    const copy = join(home, `before-${version}`);
    for (;;) {
      change(version % 4 === 3);
      await rm(copy, { recursive: true, force: true });
      await cp(directory, copy, { recursive: true });
      store.compact(state);
      if ((await readFile(journal)).length === 0) return copy;
    }
  };
  await asWritten(await untilCheckpoint(), "from a journal alone");
  await asWritten(directory, "from a checkpoint alone");
  change();
  await asWritten(directory, "from a checkpoint and a journal");
  const before = await untilCheckpoint();
  await asWritten(directory, "from the second checkpoint");
  store.close();
  await asWritten(before, "from what was there before it");
  const fullJournal = await readFile(join(before, "journal"));

  const [oldHeap, newHeap] = [await readFile(join(before, "heap")), await readFile(join(directory, "heap"))];
  t.notOk(oldHeap.equals(newHeap));
  for (const end of [100 * PAGE, 150 * PAGE + 5000, newHeap.length]) {
    await writeFile(join(before, "heap"), Buffer.concat([newHeap.subarray(0, end), oldHeap.subarray(end)]));
    await asWritten(before, `recovery from a checkpoint that was interrupted at byte ${end}`);
  }
  await truncate(join(before, "journal"), 0);
  t.throws(() => new CanisterStore(before).load(), /damaged: \S*heap: page \d+ is not as it was written/);

  // The new checkpoint, beside a journal that was not emptied yet.
  await writeFile(journal, fullJournal);
  await asWritten(directory, "recovery from a checkpoint that did not empty the journal");

  const file = join(directory, "heap");
  await flip(file, 5 * PAGE + 3);
  t.throws(() => new CanisterStore(directory).load(), /damaged: \S*heap: page 5 is not as it was written/);
  await flip(file, 5 * PAGE + 3);
  await truncate(file, 290 * PAGE);
  t.throws(() => new CanisterStore(directory).load(), /damaged: \S*heap: page \d+ is not as it was written/);
  await rename(file, `${file}-away`);
  t.throws(() => new CanisterStore(directory).load(), /damaged: \S*heap: it is missing/);
});
