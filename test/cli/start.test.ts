/** Commands load only the modules that they need, because each module makes the start longer. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const LISTING = fileURLToPath(new URL("../support/loaded-modules.ts", import.meta.url));
const MAIN = fileURLToPath(new URL("../../lib/cli/main.ts", import.meta.url));
const ID = "oeagv-5qaaa-aaaah-aar4q-cai";
/** A network at which nothing answers. */
const NOWHERE = [
  "--network",
  "http://127.0.0.1:1",
  "--root-key",
  `308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100${"0".repeat(192)}`,
];
/** Node's own fetch() and WebSocket, which icfs does not use. */
const UNDICI = /undici/;

const home = await temporaryDirectory(t);

interface Loaded {
  /** Names of npm packages, each once. */
  readonly packages: readonly string[];
  /** Modules below lib/. */
  readonly own: readonly string[];
  readonly internal: readonly string[];
}

async function loadedBy(...args: readonly string[]): Promise<Loaded> {
  const file = join(home, "loaded.json");
  const env = { ...cleanEnvironment(home), LOADED_MODULES: file };
  await run(process.execPath, ["--import", LISTING, MAIN, ...args], { env });
  const { urls, internal }: { urls: string[]; internal: string[] } = JSON.parse(readFileSync(file, "utf8"));
  const packages = urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []);
  const own = urls.flatMap((url) => /^file:(?!.*\/node_modules\/).*\/lib\/(.*)\.ts$/.exec(url)?.[1] ?? []);
  return { packages: [...new Set(packages)].sort(), own, internal };
}

t.test("--version, --help and a typo load no command", async (t) => {
  for (const args of [["--version"], ["--help"], ["help"], [], ["muont"], ["help", "muont"]]) {
    const { packages, own, internal } = await loadedBy(...args);
    const text = `icfs ${args.join(" ")}`;
    t.same(packages, ["commander"], text);
    t.same(
      own.filter(
        (path) =>
          !/^(cli\/(main|program|failure|lost-output)|process\/exit|errors|log|package-files)$/.test(path),
      ),
      [],
      text,
    );
    t.notMatch(internal.join(), UNDICI, text);
  }
});

t.test("commands that use no network load no network code", async (t) => {
  const ledger = join(home, "boots.log");
  writeFileSync(ledger, "");
  for (const args of [
    ["mount", ID],
    ["umount", "/nothing/is/here"],
    ["status"],
    ["url", ID],
    ["example", "nginx", ID],
    ["boots", "--boot-log", ledger],
    ["identity", "--help"],
  ]) {
    const { packages, own, internal } = await loadedBy(...args);
    const text = `icfs ${args.join(" ")}`;
    // @icp-sdk/core needs @noble/hashes for the checksum in a principal's text.
    t.same(
      packages.filter((name) => !["commander", "@icp-sdk/core", "@noble/hashes"].includes(name)),
      [],
      text,
    );
    t.same(
      own.filter((path) =>
        /^(ic\/(agent|transport\/(?!loopback|connection-codes))|cache|serve|publish|source\/(icfs|assets))/.test(
          path,
        ),
      ),
      [],
      text,
    );
    t.notMatch(internal.join(), UNDICI, text);
  }
});

t.test("commands that read load no identities, and not Node's fetch()", async (t) => {
  const { packages, own, internal } = await loadedBy("ls", ID, ...NOWHERE);
  t.ok(own.includes("ic/transport/bounded-fetch"));
  t.notOk(packages.some((name) => name.startsWith("@scure/") || name === "asn1js"));
  t.same(
    own.filter((path) => path.startsWith("source/assets/")),
    [],
  );
  t.notMatch(internal.join(), UNDICI);
});
