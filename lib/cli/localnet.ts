/** icfs localnet: runs a small Internet Computer on this machine. */
import { Command, InvalidArgumentError, type Option } from "commander";
import { makeDirectory } from "../directories.ts";
import { messageOf, UserError } from "../errors.ts";
import { LOCAL_PORT } from "../ic/network.ts";
import { type LocalnetKey, localnetFstabLine, localnetKeyFile, writeLocalnetKey } from "./localnet-key.ts";
import { named, option } from "./options.ts";

interface LocalnetOptions {
  readonly port: number;
  readonly latency: number;
  readonly bandwidth?: number;
  readonly updateLatency: number;
  readonly state?: string;
  readonly api: "old" | "new" | "both";
}

export function localnetCommand(): Command {
  return new Command("localnet")
    .description(
      "run a local network for development; Ctrl-C ends it, and its canisters are gone unless --state keeps them",
    )
    .addOption(
      option("--port <port>", "TCP port on 127.0.0.1; 0 takes a free one")
        .default(LOCAL_PORT)
        .argParser(port),
    )
    .addOption(amount("--latency <ms>", "round trip of every request").default(0))
    .addOption(
      amount("--bandwidth <MiB/s>", "limit that all replies share, and all requests; default: none", 0.001),
    )
    .addOption(
      amount("--update-latency <ms>", "additional latency of update calls, as consensus causes it").default(
        0,
      ),
    )
    .addOption(
      option(
        "--api <version>",
        "which endpoints to offer: those that the IC has deprecated (old), their replacements (new), or both",
      )
        .choices(["old", "new", "both"])
        .default("both"),
    )
    .addOption(
      option("--state <dir>", "keep keys and canisters in this directory, for the next start").argParser(
        named("a directory"),
      ),
    )
    .action(localnet);
}

async function localnet(options: LocalnetOptions): Promise<void> {
  if (options.state !== undefined) makeStateDirectory(options.state);
  // Late, since its libraries take a while to load.
  const { startLocalNetwork } = await import("../../localnet/index.ts");
  const network = await startLocalNetwork(options);
  // Listen before the key file is written, so that a signal always removes it.
  const signal = new Promise<string>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => resolve(name));
  });
  console.log(`local network ready at ${network.url}`);
  const key = await tellKey(network.url, network.rootKey);
  const reason = await Promise.race([signal, network.failed]);
  if (reason instanceof Error) {
    // End abruptly: pending calls must not be answered any more, and answered ones are kept.
    console.error(`icfs: ${reason.message}`);
    process.exit(1);
  }
  console.error(`${reason}: ending`);
  // With --state, the next start has the same key.
  if (options.state === undefined) key?.remove();
  await network.close();
  process.exit(0);
}

/** Writes the root key to a file, and prints how fstab names it. If it cannot be written, the network runs without the file. */
async function tellKey(url: string, rootKey: Uint8Array): Promise<LocalnetKey | undefined> {
  try {
    const key = await writeLocalnetKey(url, rootKey);
    console.log(`root key, for --root-key: ${key.file}`);
    console.log(`line for /etc/fstab: ${localnetFstabLine(url, key.file)}`);
    return key;
  } catch (error) {
    console.error(`icfs: the root key could not be written to ${localnetKeyFile(url)}: ${messageOf(error)}`);
    return undefined;
  }
}

/** @throws UserError */
function makeStateDirectory(path: string): void {
  try {
    makeDirectory(path, 0o700);
  } catch (error) {
    throw new UserError(`cannot keep anything in ${path} (${messageOf(error)}): choose another with --state`);
  }
}

function port(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError("Use a port, 0 to 65535.");
  return Number(text);
}

function amount(flags: string, description: string, least = 0): Option {
  return option(flags, description).argParser((text) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value) || value < least) {
      throw new InvalidArgumentError(`Use a number from ${least}.`);
    }
    return value;
  });
}
