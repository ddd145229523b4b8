/** icfs serve: serves a canister's releases to other hosts by HTTP, without a mount. */
import { resolve } from "node:path";
import { Command } from "commander";
import type { ListenAddress } from "../bounded-server.ts";
import { openDiskStore } from "../cache/disk-store.ts";
import { UsageError } from "../errors.ts";
import { takeNotifySocket } from "../live/report/systemd.ts";
import { createLog, jsonLine, limitRepeats } from "../log.ts";
import { exitProcess } from "../process/exit.ts";
import { AccessLog } from "../serve/access-log.ts";
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
  accessLogOption,
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

/** Longer than a mount's: no boot server is blocked while a chunk is fetched. */
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
        "where to listen: HOST:PORT, [::]:PORT, or PORT, which listens on 127.0.0.1 only; 0.0.0.0:PORT listens on all of this host's addresses",
      )
        .argParser(listenAddress)
        .makeOptionMandatory(),
    );
  withSource(command);
  addGroup(command, "Mirrors:", mirrorOptions());
  addGroup(command, "Caches:", [
    ...cacheOptions(", with room for two releases"),
    duration("--read-timeout <time>", "try to fetch a chunk for this long", DEFAULT_READ_TIMEOUT_S, 1),
  ]);
  addGroup(command, "Releases:", [
    ...followOptions(),
    maxStaleOption(
      "serve no files by path once the proof of the release is older than this, such as 12h or 7d; a mirror's proof counts up to this age, instead of 5 minutes",
    ),
    retryOption("0"),
    flag("--offline", "serve only what this host has kept, and never ask the network"),
  ]);
  addGroup(command, "The process:", [
    logLevelOption(),
    statsFileOption(),
    accessLogOption(),
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
  // If the disk is full or the pipe is closed, lines are lost, but not answers.
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
      accessLog: options.accessLog === undefined ? undefined : new AccessLog(resolve(options.accessLog), log),
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
