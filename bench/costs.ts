/**
 * Measures what a release costs on the IC, in cycles: `node bench/costs.ts [--json]`; `make bench-costs`; a minute or two. It
 * publishes Debian's netboot tree to an icfs canister and to an asset canister: the first release, one with another kernel and
 * another initrd, and one with another line in a configuration.
 *
 * Counted: update calls and their bytes as sent, and instructions as in bench/instruction-count.ts. Computed: cycles, with the
 * prices of localnet/prices.ts.
 */
import { randomBytes } from "node:crypto";
import { appendFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compileMotoko } from "../canister/compile.ts";
import { deploy, publish } from "../demo/icfs.ts";
import { interruptible } from "../demo/interruptible.ts";
import { run } from "../demo/process.ts";
import { makeTree } from "../demo/tree.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { parseCanisterId } from "../lib/ic/canister-id.ts";
import { loadIdentity } from "../lib/ic/identity/identity.ts";
import { PRICES } from "../localnet/prices.ts";
import { assetsWasm } from "../test/support/assets.ts";
import type { CanisterMemory } from "../test/support/canister-memory.ts";
import { installCanister } from "../test/support/networks.ts";
import { assetsOf, filesOf } from "./costs/assets.ts";
import { type Counted, startCountingNetwork } from "./costs/counting.ts";
import { cyclesFor, cyclesForAYear, USD_PER_T, type Work } from "./costs/prices.ts";
import { countInstructions } from "./instruction-count.ts";
import { print } from "./result.ts";

const ICFS = new URL("../bin/icfs", import.meta.url).pathname;
const MAIN = new URL("../canister/main.mo", import.meta.url).pathname;
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
const BOOT = "debian-installer/amd64";
const T = 1e12;
const MB = 1e6;
/** The approximate number of Debian's point updates. */
const UPDATES_A_YEAR = 6;

const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });

/** Changes the tree. Resolves to the keys of the changed files. */
type Change = (tree: string) => Promise<readonly string[]>;

/** After the first difference, everything in a gzip file differs, so the new files share nothing with the old ones. */
const renew =
  (...names: string[]): Change =>
  async (tree) => {
    for (const name of names) {
      const path = join(tree, BOOT, name);
      await writeFile(path, randomBytes((await stat(path)).size));
    }
    return names.map((name) => `/${BOOT}/${name}`);
  };

const RELEASES: Readonly<Record<string, Change>> = {
  "the first": async (tree) => [...(await filesOf(tree)).keys()],
  "another kernel and initrd": renew("linux", "initrd.gz"),
  "a line in a configuration": async (tree) => {
    await appendFile(join(tree, BOOT, "pxelinux.cfg/default"), "# another line\n");
    // It is also reached through the link at the top.
    return [`/${BOOT}/pxelinux.cfg/default`, "/pxelinux.cfg/default"];
  },
};

interface Line {
  readonly release: string;
  readonly icfs: Counted;
  readonly assets: Counted;
  /** Bytes of the canisters' memory afterwards. For the asset canister, those of its files: a lower bound. */
  readonly stored: { readonly icfs: CanisterMemory; readonly assets: number };
}

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const { directory, env } = stack.use(await makeWorkspace("icfs-bench"));
  const tree = join(directory, "tree");
  await makeTree(tree);
  // This creates an identity, which owns what it deploys.
  await run(ICFS, ["identity"], { env, signal });
  const identity = await loadIdentity(join(env.XDG_CONFIG_HOME!, "icfs", "identity.pem"));
  const network = await startCountingNetwork(identity, stack);
  const wasm = join(directory, "counting.wasm");
  await writeFile(wasm, countInstructions(compileMotoko(MAIN).wasm));
  await deploy(CANISTER, network.url, { env, signal }, ["--wasm", wasm]);
  const icfs = parseCanisterId(CANISTER);
  const assets = await installCanister(network.agent, countInstructions(assetsWasm()));
  const { upload } = assetsOf(tree, network.agent, assets);

  const lines: Line[] = [];
  for (const [release, change] of Object.entries(RELEASES)) {
    signal.throwIfAborted();
    const changed = await change(tree);
    const line = {
      release,
      icfs: await network.count(icfs, () => publish(tree, CANISTER, network.url, { env, signal })),
      assets: await network.count(assets, () => upload(changed)),
      stored: { icfs: await network.memoryOf(icfs), assets: sum((await filesOf(tree)).values()) },
    };
    console.error(`${release}: icfs: ${line.icfs.methods}; assets: ${line.assets.methods}`);
    lines.push(line);
  }
  report(lines);
});

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}

function bytesOf({ heap, stable }: CanisterMemory): number {
  return heap + stable;
}

function cyclesOf(work: Work): number {
  return sum(Object.values(cyclesFor(work)));
}

function tera(cycles: number): string {
  return (cycles / T).toFixed(4);
}

function report(lines: readonly Line[]): void {
  const [first, update] = lines as [Line, Line, Line];
  const updates = lines.flatMap(({ release, icfs, assets }) => {
    const ways: [string, Work & { methods: string }][] = [
      ["icfs", icfs],
      ["assets, the files that differ", assets],
    ];
    // The same files again, except for the changed parts.
    if (release !== first.release)
      ways.push(["assets, every file", { ...first.assets, methods: "as the first" }]);
    return ways.map(([way, work]) => {
      const { ingress, execution } = cyclesFor(work);
      const figures = [work.messages, (work.bytes / MB).toFixed(2), (work.instructions / MB).toFixed(0)];
      const cycles = [ingress, execution, ingress + execution].map(tera);
      return [release, way, ...figures, ...cycles, work.methods];
    });
  });
  const megabytes = (bytes: number) => (bytes / MB).toFixed(1);
  const stored = lines.map(({ release, stored: { icfs, assets } }) => [
    release,
    ...[icfs.heap, icfs.stable].map(megabytes),
    tera(cyclesForAYear(bytesOf(icfs))),
    megabytes(assets),
    tera(cyclesForAYear(assets)),
  ]);
  // icfs holds the newest eight releases; an asset canister only the newest.
  const grown = bytesOf(update.stored.icfs) - bytesOf(first.stored.icfs);
  const year: [string, number, number][] = [
    [
      "icfs",
      cyclesOf(first.icfs) + UPDATES_A_YEAR * cyclesOf(update.icfs),
      cyclesForAYear(bytesOf(first.stored.icfs) + (UPDATES_A_YEAR / 2) * grown),
    ],
    [
      "assets, the files that differ",
      cyclesOf(first.assets) + UPDATES_A_YEAR * cyclesOf(update.assets),
      cyclesForAYear(update.stored.assets),
    ],
    [
      "assets, every file",
      cyclesOf(first.assets) * (1 + UPDATES_A_YEAR),
      cyclesForAYear(update.stored.assets),
    ],
  ];
  const about = [
    "Debian's netboot tree in a canister of ours, and in an asset canister; then with another kernel and another initrd of the same",
    "size, which share nothing with the old ones; then with one line more in a configuration. Calls, their bytes and instructions were",
    "counted, on a local network; cycles are computed from them, at the prices of a 13-node subnet as far as we know them",
    `(${PRICES.ingressMessage / MB} M for taking in a call and ${PRICES.ingressByte} a byte, ${PRICES.execution / MB} M for executing one and ${PRICES.instruction} an instruction,`,
    `${PRICES.gibSecond} for a GiB and second; look them up). Each instruction counts as one; the IC weighs some of them more. The asset canister is a twin in`,
    "Motoko that hashes as ours does; the real one is in Rust, and makes more of each file (HTTP headers, their certificates).",
  ];
  print(
    {
      title: "Cycles for Debian's netboot tree",
      about: about.join(" "),
      tables: [
        {
          columns: [
            ...["release", "stored as", "update calls", "MB sent", "M instructions"],
            ...["T cycles, ingress", "execution", "together", "calls"],
          ],
          rows: updates,
        },
        {
          columns: [
            ...["after", "icfs, MB of heap", "MB of stable memory", "T a year"],
            ...["assets, MB of files", "T a year"],
          ],
          rows: stored,
        },
        {
          columns: [`a year with ${UPDATES_A_YEAR} kernels`, "T, releases", "T, storage", "T", "USD"],
          rows: year.map(([way, releases, storage]) => [
            way,
            ...[releases, storage, releases + storage].map(tera),
            (((releases + storage) / T) * USD_PER_T).toFixed(2),
          ]),
        },
      ],
      goals: [],
    },
    values.json,
  );
}
