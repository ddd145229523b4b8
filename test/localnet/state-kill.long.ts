/**
 * bin/icfs localnet --state, killed at random moments while clients change two canisters: after each start, everything that was
 * answered is there, and the canisters' own invariants hold.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Actor, HttpAgent } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { openReader } from "../../lib/source/icfs/open-release.ts";
import type { ChunkReference } from "../../lib/tree/manifest.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { mountpointFor, sh } from "../mount/mounts.ts";
import { bytesOf, writeTree } from "../publish/trees.ts";
import { compiled } from "../support/compiled.ts";
import { BIN, cleanEnvironment, HUNG, run, temporaryDirectory } from "../support/icfs.ts";
import { ICFS_WASM, treeOf } from "../support/icfs-canister.ts";
import { NO_INSTALL_ARGUMENTS } from "../support/networks.ts";
import { management, owner } from "./setup.ts";

t.setTimeout(1_800_000);

const KILLS = 10;
/** The network is killed within so many milliseconds. */
const LONGEST_RUN = 1500;
const MiB = 1024 * 1024;

const counter = compiled(fileURLToPath(new URL("./canisters/counter/main.mo", import.meta.url)));
const counterService = IDL.Service({
  get: IDL.Func([], [IDL.Nat], ["query"]),
  increment: IDL.Func([], [IDL.Nat], []),
  load: IDL.Func([IDL.Nat64, IDL.Nat], [IDL.Vec(IDL.Nat8)], ["query"]),
  store: IDL.Func([IDL.Nat64, IDL.Vec(IDL.Nat8)], [], []),
});

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  readonly agent: HttpAgent;
}

const directory = await temporaryDirectory(t);
const state = join(directory, "state");
const env = cleanEnvironment(directory);

/** Starts bin/icfs. The end of the test kills it, unless it was killed before. */
async function start(rootKey?: Uint8Array, port = 0): Promise<Running> {
  const child = spawn(BIN, ["localnet", "--port", String(port), "--state", state], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => void child.kill("SIGKILL"));
  const [line] = (await once(createInterface(child.stdout!), "line")) as [string];
  const url = /http:\S+/.exec(line)![0];
  const agent = await HttpAgent.create({
    host: url,
    identity: owner,
    retryTimes: 0,
    ...(rootKey === undefined ? { shouldFetchRootKey: true } : { rootKey }),
  });
  return { child, url, agent };
}

async function kill({ child }: Running): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

async function install(agent: HttpAgent, wasm: Uint8Array): Promise<Principal> {
  const { canister_id } = await management(agent).provisional_create_canister_with_cycles!({
    amount: [],
    settings: [],
    specified_id: [],
  });
  const code = { canister_id, wasm_module: wasm, arg: new Uint8Array(NO_INSTALL_ARGUMENTS) };
  await management(agent).install_code!({ mode: { install: null }, ...code });
  return canister_id;
}

const sourceOf = ({ url, agent }: Running, canister: Principal) =>
  openReader({ network: resolveNetwork(url), rootKey: agent.rootKey!, canister }, HUNG);

// biome-ignore lint/suspicious/noExplicitAny: the test's own assertions check what it returns
const counterOn = (agent: HttpAgent, canisterId: Principal): any =>
  Actor.createActor(() => counterService, { agent, canisterId });

t.test(`${KILLS} kills lose nothing that was acknowledged`, async (t) => {
  let network = await start();
  const rootKey = network.agent.rootKey!;
  const counterId = await install(network.agent, counter);
  const icfsId = await install(network.agent, ICFS_WASM);
  const chunks: ChunkReference[] = [];
  /** The counter's answers and stores. A call that was under way when the network was killed may or may not have happened. */
  let counted = 0n;
  let stored = 0;
  let published = 0;
  let killed = false;
  const untilKilled = async (work: () => Promise<void>) => {
    try {
      for (;;) await work();
    } catch (error) {
      if (!killed) throw error;
    }
  };
  for (let round = 0; round < KILLS; round++) {
    killed = false;
    const { agent } = network;
    const count = counterOn(agent, counterId);
    const store = icfsCanister(agent, icfsId);
    const before = sourceOf(network, icfsId);
    const clients = [
      untilKilled(async () => {
        counted = await count.increment();
      }),
      untilKilled(async () => {
        await count.store(BigInt(stored) * 1000n, Buffer.alloc(1000, `${stored}.`));
        stored += 1;
      }),
      untilKilled(async () => {
        const bytes = randomBytes(1 + randomInt(MiB));
        const [sha256] = await store.put([bytes]);
        chunks.push({ sha256: Buffer.from(sha256!), size: bytes.length });
      }),
      untilKilled(async () => {
        const tree = treeOf({ file: `release ${published + 1} ${randomBytes(8).toString("hex")}` });
        const pieces = await store.put([...tree.chunks, Buffer.concat(encodeManifest(tree.manifest))]);
        const { newest } = await store.status();
        const head = await before.head();
        t.equal(head?.header.number ?? 0, Number(newest));
        const parent: [] | [Uint8Array] = head === undefined ? [] : [head.hash];
        const result = await store.publish({ manifest: [pieces.at(-1)!], parent, note: "" });
        if (!("ok" in result)) throw new Error("not published");
        published = Number(result.ok);
      }),
    ];
    // In the first round, waits until there is something to lose, however slow this machine is.
    while (round === 0 && !(counted > 0n && stored > 0 && chunks.length > 0 && published > 0))
      await sleep(20);
    await sleep(randomInt(LONGEST_RUN));
    killed = true;
    await kill(network);
    await Promise.all(clients);
    network = await start(rootKey);

    const after = counterOn(network.agent, counterId);
    const now = (await after.get()) as bigint;
    t.ok(
      now === counted || now === counted + 1n,
      `round ${round}: the counter is at ${now}, ${counted} was acknowledged`,
    );
    counted = now;
    const expected = Buffer.concat(
      Array.from({ length: stored }, (_, index) => Buffer.alloc(1000, `${index}.`)),
    );
    for (let at = 0; at < expected.length; at += MiB) {
      const length = Math.min(MiB, expected.length - at);
      const found = Buffer.from(await after.load(BigInt(at), BigInt(length)));
      if (!found.equals(expected.subarray(at, at + length))) t.fail(`round ${round}: stable memory at ${at}`);
    }
    const icfs = icfsCanister(network.agent, icfsId);
    t.same(
      [...(await icfs.missing(chunks.map((chunk) => chunk.sha256)))],
      [],
      `round ${round}: no chunk is missing`,
    );
    const source = sourceOf(network, icfsId);
    const head = await source.head();
    const newest = head?.header.number ?? 0;
    t.ok(
      newest === published || newest === published + 1,
      `round ${round}: the newest release is ${newest}, ${published} was acknowledged`,
    );
    published = newest;
    t.equal(Number((await icfs.status()).newest), newest, "the certified head is the newest release");
    if (head !== undefined) await source.manifest(head.header);
    for (const chunk of chunks.slice(-5)) await source.chunk(chunk);
  }
  t.comment(`${counted} increments, ${stored} stores, ${chunks.length} chunks, ${published} releases`);
  await kill(network);
});

t.test("published releases survive a kill, for hosts that have accepted them", async (t) => {
  let network = await start();
  const icfs = (...args: string[]) => run(BIN, args, { env: { ...env, ICFS_NETWORK: network.url } });
  const succeed = async (...args: string[]) => {
    const { code, stdout, stderr } = await icfs(...args);
    if (code !== 0) throw new Error(`icfs ${args[0]}: ${stderr}`);
    return stdout.trim();
  };
  const id = await succeed("deploy");
  const tree = join(directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { boot: bytesOf(1, 3 * MiB), "d/later": bytesOf(2, 3 * MiB) });
  await succeed("publish", tree, id);
  const listing = await succeed("ls", "-lR", id);
  const mountpoint = await mountpointFor(t);
  await succeed("mount", id, mountpoint);
  t.equal((await sh("cmp", join(tree, "boot"), join(mountpoint, "boot"))).code, 0);
  const trusted = await succeed("trust", "show");
  t.match(trusted, id);

  await kill(network);
  network = await start(undefined, Number(new URL(network.url).port));
  t.equal(
    (await sh("cmp", join(tree, "d/later"), join(mountpoint, "d/later"))).code,
    0,
    "the mount keeps working after the kill",
  );
  t.equal((await sh("umount", mountpoint)).code, 0);
  t.equal(await succeed("ls", "-lR", id), listing);
  await writeFile(join(tree, "new"), "new");
  await succeed("publish", tree, id);
  await succeed("mount", id, mountpoint);
  t.equal((await sh("diff", "-r", tree, mountpoint)).code, 0, "the mount shows the next release");
  t.equal((await sh("umount", mountpoint)).code, 0);
  t.not(await succeed("trust", "show"), trusted, "the next release is accepted as the successor");

  const ended = once(network.child, "exit");
  network.child.kill("SIGTERM");
  t.same(await ended, [0, null], "SIGTERM ends the network cleanly");
  network = await start();
  t.match(await succeed("ls", id), /new/);
  await kill(network);
});
