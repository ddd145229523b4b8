/** The commands of icfs, to run them or to describe them (packaging/commands.ts). */
import { type AddHelpTextContext, Command } from "commander";
import { VERSION } from "../package-files.ts";

/** The line for a command in `icfs --help`, and the command itself. */
type Listed = readonly [summary: string, load: () => Promise<Command>];

/** In the order of the help. Only the command that is run is loaded: the others are large. */
const COMMANDS: Readonly<Record<string, Listed>> = {
  mount: [
    "mount a canister as a read-only directory",
    async () => (await import("./mount.ts")).mountCommand(),
  ],
  umount: [
    "unmount, and wait until the mount's daemon has ended",
    async () => (await import("./umount.ts")).umountCommand(),
  ],
  publish: [
    "publish a directory as a canister's newest release",
    async () => (await import("./publish.ts")).publishCommand(),
  ],
  ls: ["list a release, or a path in it", async () => (await import("./ls.ts")).lsCommand()],
  cat: ["write a file of a release to stdout", async () => (await import("./cat.ts")).catCommand()],
  verify: ["check a release as a whole", async () => (await import("./verify.ts")).verifyCommand()],
  lint: [
    "look for what would keep machines from booting",
    async () => (await import("./lint.ts")).lintCommand(),
  ],
  url: [
    "print the URL of a canister, or of a file in it",
    async () => (await import("./url.ts")).urlCommand(),
  ],
  example: [
    "print tested configurations for other programs",
    async () => (await import("./example.ts")).exampleCommand(),
  ],
  mirror: [
    "make a directory from which hosts mount",
    async () => (await import("./mirror.ts")).mirrorCommand(),
  ],
  serve: [
    "serve a release by HTTP, without a mount",
    async () => (await import("./serve.ts")).serveCommand(),
  ],
  releases: ["list a canister's releases", async () => (await import("./releases.ts")).releasesCommand()],
  rollback: [
    "publish the tree of an old release again",
    async () => (await import("./rollback.ts")).rollbackCommand(),
  ],
  channel: [
    "list a canister's channels, which are names for releases",
    async () => (await import("./channel.ts")).channelCommand(),
  ],
  promote: [
    "have a channel stand for another release",
    async () => (await import("./promote.ts")).promoteCommand(),
  ],
  keep: ["hold a release for good", async () => (await import("./keep.ts")).keepCommand()],
  grant: ["give somebody a role on a canister", async () => (await import("./grant.ts")).grantCommand()],
  revoke: [
    "take away somebody's roles on a canister",
    async () => (await import("./revoke.ts")).revokeCommand(),
  ],
  roles: ["list who may do what with a canister", async () => (await import("./roles.ts")).rolesCommand()],
  configure: [
    "print or change a canister's settings",
    async () => (await import("./configure.ts")).configureCommand(),
  ],
  deploy: ["create or upgrade an icfs canister", async () => (await import("./deploy.ts")).deployCommand()],
  identity: [
    "print the principal that deploys and publishes",
    async () => (await import("./identity.ts")).identityCommand(),
  ],
  status: [
    "say what mounts serve, or what a canister holds",
    async () => (await import("./status.ts")).statusCommand(),
  ],
  doctor: [
    "check that this host can mount, read and serve",
    async () => (await import("./doctor.ts")).doctorCommand(),
  ],
  boots: ["list what machines got, boot by boot", async () => (await import("./boots.ts")).bootsCommand()],
  explain: [
    "prove what a machine got when it booted",
    async () => (await import("./explain.ts")).explainCommand(),
  ],
  cache: [
    "look after what this host keeps of canisters on disk",
    async () => (await import("./cache.ts")).cacheCommand(),
  ],
  trust: [
    "look after the releases that this host has accepted",
    async () => (await import("./trust.ts")).trustCommand(),
  ],
  localnet: [
    "run a local network for development",
    async () => (await import("./localnet.ts")).localnetCommand(),
  ],
};

/** @param args the command line. Commands that are not in it have only a name and a summary */
export async function icfsProgram(args: readonly string[]): Promise<Command> {
  const [first, second] = args.filter((arg) => !arg.startsWith("-"));
  const named = (first === "help" ? second : first) ?? "";
  if (Object.hasOwn(COMMANDS, named)) return programOf([await COMMANDS[named]![1]()]);
  return programOf(Object.entries(COMMANDS).map(([name, [summary]]) => new Command(name).summary(summary)));
}

/** The program with all commands loaded, to describe them. */
export async function wholeProgram(): Promise<Command> {
  return programOf(await Promise.all(Object.values(COMMANDS).map(([, load]) => load())));
}

function programOf(commands: readonly Command[]): Command {
  const program = new Command("icfs")
    .description("Mounts an Internet Computer canister as a read-only directory, to boot machines from.")
    .version(VERSION)
    .addHelpText("beforeAll", refuseUnknown)
    .addHelpText(
      "after",
      "\nBegin with `icfs doctor`, which says what this host lacks. `icfs localnet` runs a network to try everything on.\n`icfs COMMAND --help` shows a command's options, each with its environment variable. An empty variable counts as not set",
    );
  for (const command of commands) program.addCommand(command);
  return program;
}

/** Makes help for an unknown command an error with a suggestion. (Commander would print the general help.) */
function refuseUnknown({ command }: AddHelpTextContext): string {
  // Commander's own help command takes one name. Only its parent knows what follows.
  const words = command.parent?.args[0] === "help" ? command.parent.args.slice(2) : command.args;
  const name = words.find((word) => word !== "help");
  const isKnown = name === undefined || command.commands.some((child) => child.name() === name);
  if (!isKnown && command.commands.length > 0 && !name.startsWith("-"))
    command.parse([name], { from: "user" });
  return "";
}
