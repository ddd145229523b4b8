/** icfs cache: shows, checks and clears what this host keeps of canisters on disk. */
import { Command } from "commander";
import { checkPrivate } from "../cache/cache-directory.ts";
import { removeChunk, stored } from "../cache/disk-space.ts";
import { DiskStore } from "../cache/disk-store.ts";
import { Pins } from "../cache/pins.ts";
import { cacheDirectory } from "../directories.ts";
import { UserError } from "../errors.ts";
import { createLog, jsonLine } from "../log.ts";
import { createProgress, stopOnSignals } from "../publish/progress.ts";
import { sizeText } from "../units.ts";
import { flag, named, option } from "./options.ts";

interface CacheOptions {
  readonly cacheDir: string;
  readonly json?: boolean;
}

export function cacheCommand(): Command {
  const command = new Command("cache").description("manage what this host keeps of canisters on disk");
  const add = (
    name: string,
    description: string,
    json: string,
    action: (options: CacheOptions) => Promise<void>,
  ) =>
    command.addCommand(
      new Command(name)
        .description(description)
        .addOption(
          option("--cache-dir <dir>", "the cache").default(cacheDirectory()).argParser(named("a directory")),
        )
        .addOption(flag("--json", `print one object: ${json}`))
        .action((options: CacheOptions) => {
          checkPrivate(options.cacheDir);
          return action(options);
        }),
    );
  add(
    "ls",
    "say how much is kept, in the disk's blocks, and what mounts have pinned",
    "directory, chunks, bytes, pins",
    list,
  );
  add("clear", "throw away what no live mount has pinned", "chunks, bytes", clear);
  add(
    "verify",
    "read everything, and throw away what is damaged; exit code 1 when something was",
    "chunks, bytes, corrupt",
    verify,
  );
  return command;
}

async function list({ cacheDir, json }: CacheOptions): Promise<void> {
  const { chunks, taken: bytes } = await stored(cacheDir);
  const sizes = new Map(chunks.map(({ key, taken }) => [key, taken]));
  const pins = (await new Pins(cacheDir).read()).map(({ pid, keys }) => ({
    pid,
    chunks: keys.size,
    bytes: sum([...keys].map((key) => sizes.get(key) ?? 0)),
  }));
  if (json) {
    console.log(jsonLine({ directory: cacheDir, chunks: chunks.length, bytes, pins }));
    return;
  }
  console.log(`${cacheDir}: ${chunks.length} chunks, ${sizeText(bytes)}`);
  for (const pin of pins) {
    console.log(`pinned by process ${pin.pid}: ${pin.chunks} chunks, ${sizeText(pin.bytes)} of them here`);
  }
}

async function clear({ cacheDir, json }: CacheOptions): Promise<void> {
  const pinned = new Set((await new Pins(cacheDir).read()).flatMap(({ keys }) => [...keys]));
  const chunks = (await stored(cacheDir)).chunks.filter(({ key }) => !pinned.has(key));
  for (const chunk of chunks) await removeChunk(chunk);
  const bytes = sum(chunks.map(({ taken }) => taken));
  if (json) console.log(jsonLine({ chunks: chunks.length, bytes }));
  else console.log(`threw away ${chunks.length} chunks, ${sizeText(bytes)}`);
}

async function verify({ cacheDir, json }: CacheOptions): Promise<void> {
  const { chunks } = await stored(cacheDir);
  const bytes = sum(chunks.map(({ size }) => size));
  // Warnings are shown, so that each damaged chunk gets a line.
  const store = new DiskStore(cacheDir, Number.POSITIVE_INFINITY, createLog("warn"));
  const progress = createProgress(process.stderr);
  stopOnSignals(progress);
  progress.start("verifying", bytes);
  for (const { key, size } of chunks) {
    await store.read(key);
    progress.add(size);
  }
  progress.stop();
  const { corrupt } = store.statistics;
  if (json) console.log(jsonLine({ chunks: chunks.length, bytes, corrupt }));
  else if (corrupt === 0)
    console.log(`all ${chunks.length} chunks, ${sizeText(bytes)}, are what they should be`);
  if (corrupt > 0)
    throw new UserError(`${corrupt} of ${chunks.length} chunks were damaged, and have been removed`);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
