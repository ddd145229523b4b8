/** icfs serve: a canister's releases for others, by HTTP, without a mount. */
import { resolve } from "node:path";
import { Command } from "commander";
import type { ListenAddress } from "../bounded-server.ts";
import { openDiskStore } from "../cache/disk-store.ts";
import { UsageError } from "../errors.ts";
import { createLog, jsonLine, limitRepeats } from "../log.ts";
import { takeNotifySocket } from "../mount/report/systemd.ts";
import { exitProcess } from "../process/exit.ts";
import { type ServeDescription, serveCanister } from "../serve/host/serve.ts";
import { namedInWords, VOUCHED } from "../source/words.ts";
import { sizeText } from "../units.ts";
import { addressWithKeptKey } from "./kept-key.ts";
import { mirrorsOf } from "./mirrors.ts";
import {
  flag,
  maxStaleOption,
  mirrorOptions,
  option,
  RELEASE_ARGUMENT,
  type ReadingOptions,
  withSource,
} from "./options.ts";
import {
  addGroup,
  cacheOptions,
  duration,
  followOptions,
  listenAddress,
  logLevelOption,
  metricsOption,
  retryOption,
  type ServingOptions,
  statsFileOption,
} from "./serving-options.ts";
import { warnOfTrust } from "./warnings.ts";

interface ServeCommandOptions extends ReadingOptions, ServingOptions {
  readonly listen: ListenAddress;
  readonly readTimeout: number;
  readonly maxStale: number;
  readonly offline?: boolean;
  readonly json?: boolean;
}

/** Nobody waits for a chunk that is fetched, as one waits for a mount's. */
const DEFAULT_READ_TIMEOUT_S = 30;

export function serveCommand(): Command {
  const command = new Command("serve")
    .description(
      "serve a canister's newest release by HTTP, verified, without a mount: other hosts mount from it with --mirror, and machines boot from it; stays in the foreground, logs to stderr",
    )
    .argument("<canister>", RELEASE_ARGUMENT)
    .addOption(
      option(
        "--listen <addr>",
        "where to listen: HOST:PORT, [::]:PORT, or PORT, which is 127.0.0.1's: only this host reaches it; 0.0.0.0:PORT listens on all of this host's addresses",
      )
        .argParser(listenAddress)
        .makeOptionMandatory(),
    );
  withSource(command);
  addGroup(command, "Mirrors:", mirrorOptions());
  addGroup(command, "Caches:", [
    ...cacheOptions(),
    duration("--read-timeout <time>", "try to fetch a chunk for this long", DEFAULT_READ_TIMEOUT_S, 1),
  ]);
  addGroup(command, "Releases:", [
    ...followOptions(),
    maxStaleOption(
      "serve no files by path once the proof of the release is older than this, such as 12h or 7d; also accept a mirror's proof up to this age, instead of 5 minutes",
    ),
    retryOption(),
    flag("--offline", "serve only what this host has kept, and never ask the network"),
  ]);
  addGroup(command, "The process:", [
    logLevelOption(),
    statsFileOption(),
    metricsOption(),
    flag(
      "--json",
      "print one object when it begins to serve: canister, url, source, release and header, or snapshot, verified, files, bytes, certifiedAt, warning, pid",
    ),
  ]);
  return command.action(serve);
}

async function serve(canister: string, options: ServeCommandOptions): Promise<void> {
  if (options.maxCacheSize === 0) {
    throw new UsageError("it serves from this host's disk: leave out --max-cache-size 0");
  }
  const notifySocket = takeNotifySocket();
  // A disk that is full, or a pipe that nobody reads any more, costs lines, and no answers.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const log = limitRepeats(createLog(options.logLevel));
  const store = openDiskStore(resolve(options.cacheDir), options.maxCacheSize, log);
  const announce = (served: ServeDescription) => report(served, options.json === true);
  await serveCanister(
    () => addressWithKeptKey(canister, options, store),
    {
      ...options,
      source: options.source,
      store,
      mirrors: mirrorsOf(options),
      offline: options.offline === true,
      statsFile: options.statsFile,
      metrics: options.metrics,
      notifySocket,
      log,
    },
    announce,
  );
  exitProcess(0);
}

function report(served: ServeDescription, json: boolean): void {
  const { canister, url, verified, files, bytes, warning } = served;
  if (json) {
    console.log(jsonLine({ ...served, pid: process.pid }));
    return;
  }
  if (warning !== undefined) console.error(`icfs: ${warning}`);
  warnOfTrust(canister, verified);
  console.log(
    `serving ${namedInWords(served)} of ${canister} at ${url}: ${files} files, ${sizeText(bytes)}, ${VOUCHED[verified]}`,
  );
}
