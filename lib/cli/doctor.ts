/** icfs doctor: checks whether this host can mount, read and serve, and says what to do where it cannot. */
import { resolve } from "node:path";
import { Command } from "commander";
import { cacheDirectory, stateDirectory } from "../directories.ts";
import { type Examined, examine } from "../doctor/check.ts";
import { CHECKS } from "../doctor/checks.ts";
import { contextOf } from "../doctor/context.ts";
import { resolveNetwork } from "../ic/network.ts";
import { jsonLine, oneLine } from "../log.ts";
import { packageFile } from "../package-files.ts";
import { exitProcess } from "../process/exit.ts";
import { parseRelease } from "./addresses.ts";
import { checkOrder } from "./argument-order.ts";
import { flag, type NetworkOptions, named, option, RELEASE_ARGUMENT, withNetwork } from "./options.ts";
import { DEFAULT_CACHE_SIZE } from "./serving-options.ts";
import { givenIdentity } from "./signer.ts";

interface DoctorOptions extends NetworkOptions {
  readonly cacheDir: string;
  readonly json?: boolean;
}

export function doctorCommand(): Command {
  const command = new Command("doctor")
    .description(
      "check whether this host can mount, read and serve, and say what to do if it cannot; changes nothing; exit code 1 if something fails",
    )
    .argument("[canister]", `${RELEASE_ARGUMENT}; default: none`)
    .argument("[mountpoint]", "where it is, or is to be; default: every icfs mount", named("a directory"));
  return withNetwork(command, "none, anonymous")
    .addOption(
      option("--cache-dir <dir>", "where verified chunks are kept")
        .default(cacheDirectory())
        .argParser(named("a directory")),
    )
    .addOption(flag("--json", "print an array of objects: check, level (ok, warn, fail), message, advice"))
    .action(doctor);
}

async function doctor(
  first: string | undefined,
  second: string | undefined,
  options: DoctorOptions,
): Promise<void> {
  const { network, rootKey, cacheDir, json } = options;
  if (first !== undefined) checkOrder(first, second, (id, directory) => `icfs doctor ${id} ${directory}`);
  // The mountpoint may be the only argument: no canister id contains a slash.
  const isPath = second === undefined && first?.includes("/");
  const canister = isPath ? undefined : first;
  const mountpoint = isPath ? first : second;
  const identity = await givenIdentity(options);
  const context = contextOf({
    network: resolveNetwork(network),
    cacheDirectory: resolve(cacheDir),
    cacheCapacity: DEFAULT_CACHE_SIZE,
    stateDirectory: stateDirectory("/var/lib/icfs"),
    program: packageFile("bin/icfs"),
    ...(rootKey === undefined ? {} : { rootKey }),
    ...(identity === undefined ? {} : { identity }),
    ...(canister === undefined ? {} : { canister: parseRelease(canister) }),
    ...(mountpoint === undefined ? {} : { mountpoint }),
  });
  const found: Examined[] = [];
  for await (const one of examine(CHECKS, context)) {
    found.push(one);
    if (!json) console.log(text(one));
  }
  if (json) console.log(jsonLine(found));
  // Exit at once: a check that timed out may occupy a thread for ever.
  exitProcess(found.some(({ level }) => level === "fail") ? 1 : 0);
}

function text({ check, level, message, advice }: Examined): string {
  const lines = [`${level.padEnd(5)} ${check}: ${message}`];
  if (advice !== undefined) lines.push(`      ${advice}`);
  return lines.map(oneLine).join("\n");
}
