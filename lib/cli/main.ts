/** The icfs program: its commands, and how errors end it. Exit codes: 0 done, 1 failed, 2 wrong usage. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { exitProcess } from "../fs/exit.ts";
import { describe } from "./failure.ts";

/** In the order of the help. Loaded when named, or when all are to be listed: most are not needed, and large. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  mount: async () => (await import("./mount.ts")).mountCommand(),
  umount: async () => (await import("./umount.ts")).umountCommand(),
  publish: async () => (await import("./publish.ts")).publishCommand(),
  ls: async () => (await import("./ls.ts")).lsCommand(),
  cat: async () => (await import("./cat.ts")).catCommand(),
  verify: async () => (await import("./verify.ts")).verifyCommand(),
  releases: async () => (await import("./releases.ts")).releasesCommand(),
  rollback: async () => (await import("./rollback.ts")).rollbackCommand(),
  keep: async () => (await import("./keep.ts")).keepCommand(),
  grant: async () => (await import("./grant.ts")).grantCommand(),
  revoke: async () => (await import("./revoke.ts")).revokeCommand(),
  roles: async () => (await import("./roles.ts")).rolesCommand(),
  configure: async () => (await import("./configure.ts")).configureCommand(),
  deploy: async () => (await import("./deploy.ts")).deployCommand(),
  identity: async () => (await import("./identity.ts")).identityCommand(),
  status: async () => (await import("./status.ts")).statusCommand(),
  doctor: async () => (await import("./doctor.ts")).doctorCommand(),
  cache: async () => (await import("./cache.ts")).cacheCommand(),
  trust: async () => (await import("./trust.ts")).trustCommand(),
  localnet: async () => (await import("./localnet.ts")).localnetCommand(),
};

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

const program = new Command("icfs")
  .description("Mounts an Internet Computer canister as a read-only directory, to boot machines from.")
  .version(version)
  .addHelpText("after", "\nEvery option with an environment variable shows it: icfs COMMAND --help");
const named = COMMANDS[process.argv[2] ?? ""];

try {
  for (const load of named === undefined ? Object.values(COMMANDS) : [named])
    program.addCommand(await load());
  throwUsageErrors(program);
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) {
    console.error(`icfs: ${describe(error)}`);
    // At once: whatever still runs, as a transport's threads may, would keep the process for ever.
    exitProcess(EXIT_FAILED);
  }
  process.exitCode = exitCodeOf(error);
}

/** Makes commander throw what it would exit with: 1 for wrong usage, which is 2 here. */
function throwUsageErrors(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwUsageErrors(child);
}

function exitCodeOf(error: CommanderError): number {
  return error.exitCode === 0 ? 0 : EXIT_USAGE;
}
