/** The icfs program: how errors end it. Exit codes: 0 done, 1 failed, 2 wrong usage, which no network and no file could make right. */
import { type Command, CommanderError } from "commander";
import { UsageError } from "../errors.ts";
import { exitProcess } from "../process/exit.ts";
import { describe } from "./failure.ts";
import { failOnLostOutput } from "./lost-output.ts";
import { icfsProgram } from "./program.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Commands whose work is not what they print. */
const SERVING = ["mount", "serve", "localnet"];

if (!SERVING.includes(process.argv[2] ?? "")) failOnLostOutput();
try {
  const program = await icfsProgram(process.argv[2]);
  throwUsageErrors(program);
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) {
    // Loaded here alone: it loads what talks to networks.
    const { withHint } = await import("../ic/first-contact.ts");
    console.error(`icfs: ${describe(await withHint(error))}`);
    // At once: whatever still runs, as a transport's threads may, would keep the process for ever.
    exitProcess(error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED);
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
