/** Times how long the pages for HTTP take: the same tree of small files, published to a canister that certifies them and to one that does not. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { deploy, startLocalnet } from "../../demo/icfs.ts";
import { run } from "../../demo/process.ts";
import type { Workspace } from "../../demo/workspace.ts";
import { median, sorted, spread } from "../median.ts";
import type { Table } from "../result.ts";

const ICFS = new URL("../../bin/icfs", import.meta.url).pathname;
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
const FILES = 1000;
const FILE_BYTES = 4096;
const LAST = `file-${FILES - 1}`;
/** A local gateway answers at once; this is the precision of `served`. */
const LOOK_AGAIN_MS = 20;

/** Seconds, from the program's start. */
export interface PagesTaken {
  /** Until `icfs publish` ends, with and without pages. */
  readonly withPages: number;
  readonly withoutPages: number;
  /** Until a gateway serves the last file, verified. */
  readonly served: number;
}

/** Publishes the tree to a new canister of either kind, over a line without limits. */
export async function publishPages(workspace: Workspace, signal: AbortSignal): Promise<PagesTaken> {
  const tree = join(workspace.directory, "pages");
  await mkdir(tree, { recursive: true });
  for (let i = 0; i < FILES; i++) await writeFile(join(tree, `file-${i}`), randomBytes(FILE_BYTES));
  const withoutPages = await timed(tree, false, workspace, signal);
  const withPages = await timed(tree, true, workspace, signal);
  return { withoutPages: withoutPages.published, withPages: withPages.published, served: withPages.served! };
}

async function timed(tree: string, pages: boolean, { env }: Workspace, signal: AbortSignal) {
  const { localnet, url } = await startLocalnet({ env, signal });
  await using _ = localnet;
  const canister = await deploy(CANISTER, url, { env, signal });
  const configuration = ["configure", canister, pages ? "--http" : "--no-http", "--network", url];
  await run(ICFS, configuration, { env, signal, seconds: 60 });
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  await run(ICFS, ["publish", tree, canister, "--network", url, "--no-lint"], { env, signal, seconds: 180 });
  const published = seconds();
  if (!pages) return { published };
  while ((await fetch(`${url}/${LAST}?canisterId=${canister}`, { signal })).status !== 200) {
    await sleep(LOOK_AGAIN_MS, undefined, { signal });
  }
  return { published, served: seconds() };
}

/** @param taken one for each run */
export function pagesTable(taken: readonly PagesTaken[]): Table {
  const of = (what: keyof PagesTaken) => sorted(taken.map((one) => one[what]));
  const times = (what: keyof PagesTaken) => (median(of(what)) / median(of("withoutPages"))).toFixed(2);
  const row = (name: string, what: keyof PagesTaken) => [name, ...spread(of(what), 2), times(what)];
  return {
    columns: [
      `${FILES.toLocaleString("en-US")} files of ${FILE_BYTES / 1024} kiB, without a line`,
      "s, median",
      "least",
      "most",
      "times that without HTTP",
    ],
    rows: [
      row("to a canister without HTTP", "withoutPages"),
      row("to one that certifies its files for HTTP", "withPages"),
      row("the same, until a gateway serves them", "served"),
    ],
  };
}
