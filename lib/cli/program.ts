/** What icfs understands: its commands, for those who run it, and for those who describe it (packaging/commands.ts). */
import { readFileSync } from "node:fs";
import { type AddHelpTextContext, Command } from "commander";
import { packageFile } from "../package-files.ts";

/** In the order of the help. Loaded when named, or when all are to be listed: most are not needed, and large. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  mount: async () => (await import("./mount.ts")).mountCommand(),
  umount: async () => (await import("./umount.ts")).umountCommand(),
  publish: async () => (await import("./publish.ts")).publishCommand(),
  ls: async () => (await import("./ls.ts")).lsCommand(),
  cat: async () => (await import("./cat.ts")).catCommand(),
  verify: async () => (await import("./verify.ts")).verifyCommand(),
  lint: async () => (await import("./lint.ts")).lintCommand(),
  url: async () => (await import("./url.ts")).urlCommand(),
  example: async () => (await import("./example.ts")).exampleCommand(),
  mirror: async () => (await import("./mirror.ts")).mirrorCommand(),
  serve: async () => (await import("./serve.ts")).serveCommand(),
  releases: async () => (await import("./releases.ts")).releasesCommand(),
  rollback: async () => (await import("./rollback.ts")).rollbackCommand(),
  channel: async () => (await import("./channel.ts")).channelCommand(),
  promote: async () => (await import("./promote.ts")).promoteCommand(),
  keep: async () => (await import("./keep.ts")).keepCommand(),
  grant: async () => (await import("./grant.ts")).grantCommand(),
  revoke: async () => (await import("./revoke.ts")).revokeCommand(),
  roles: async () => (await import("./roles.ts")).rolesCommand(),
  configure: async () => (await import("./configure.ts")).configureCommand(),
  deploy: async () => (await import("./deploy.ts")).deployCommand(),
  identity: async () => (await import("./identity.ts")).identityCommand(),
  status: async () => (await import("./status.ts")).statusCommand(),
  doctor: async () => (await import("./doctor.ts")).doctorCommand(),
  boots: async () => (await import("./boots.ts")).bootsCommand(),
  explain: async () => (await import("./explain.ts")).explainCommand(),
  cache: async () => (await import("./cache.ts")).cacheCommand(),
  trust: async () => (await import("./trust.ts")).trustCommand(),
  localnet: async () => (await import("./localnet.ts")).localnetCommand(),
};

const { version } = JSON.parse(readFileSync(packageFile("package.json"), "utf8"));

/** @param named when that is one of the commands, the others are not there */
export async function icfsProgram(named = ""): Promise<Command> {
  const program = new Command("icfs")
    .description("Mounts an Internet Computer canister as a read-only directory, to boot machines from.")
    .version(version)
    .addHelpText("beforeAll", refuseUnknown)
    .addHelpText(
      "after",
      "\nEvery option with an environment variable shows it: icfs COMMAND --help. An empty one is as one that is not set",
    );
  const load = Object.hasOwn(COMMANDS, named) ? COMMANDS[named] : undefined;
  for (const one of load === undefined ? Object.values(COMMANDS) : [load]) program.addCommand(await one());
  return program;
}

/** Help for a command that there is not is an error, with a suggestion. (Commander would print the help of all.) */
function refuseUnknown({ command }: AddHelpTextContext): string {
  // Commander's own help command takes one name; what stands behind it is known to the parent only.
  const words = command.parent?.args[0] === "help" ? command.parent.args.slice(2) : command.args;
  const name = words.find((word) => word !== "help");
  const isKnown = name === undefined || command.commands.some((child) => child.name() === name);
  if (!isKnown && command.commands.length > 0 && !name.startsWith("-"))
    command.parse([name], { from: "user" });
  return "";
}
