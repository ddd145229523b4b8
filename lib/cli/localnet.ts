/** icfs localnet: a small Internet Computer on this machine. */
import { Command, InvalidArgumentError, type Option } from "commander";
import { startLocalNetwork } from "../../localnet/index.ts";
import { makeDirectory } from "../directories.ts";
import { messageOf, UserError } from "../errors.ts";
import { LOCAL_PORT } from "../ic/network.ts";
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
      "run a local network for development; Ctrl-C ends it, and its canisters are gone then, but for --state",
    )
    .addOption(
      option("--port <port>", "TCP port on 127.0.0.1; 0 takes a free one")
        .default(LOCAL_PORT)
        .argParser(port),
    )
    .addOption(amount("--latency <ms>", "round trip of every request").default(0))
    .addOption(
      amount("--bandwidth <MiB/s>", "what all replies share, and all requests; default: no limit", 0.001),
    )
    .addOption(
      amount("--update-latency <ms>", "in addition, for update calls: what consensus takes").default(0),
    )
    .addOption(
      option(
        "--api <version>",
        "endpoints: those the IC has deprecated (old), those in their place (new), or both",
      )
        .choices(["old", "new", "both"])
        .default("both"),
    )
    .addOption(
      option("--state <dir>", "keep keys and canisters there, for the next start with it").argParser(
        named("a directory"),
      ),
    )
    .action(localnet);
}

async function localnet(options: LocalnetOptions): Promise<void> {
  if (options.state !== undefined) makeStateDirectory(options.state);
  const network = await startLocalNetwork(options);
  console.log(`local network ready at ${network.url}`);
  const signal = new Promise<string>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => resolve(name));
  });
  const reason = await Promise.race([signal, network.failed]);
  if (reason instanceof Error) {
    // Not in order: what is under way must not be answered any more, and what was answered is kept.
    console.error(`icfs: ${reason.message}`);
    process.exit(1);
  }
  console.error(`${reason}: ending`);
  await network.close();
  process.exit(0);
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
