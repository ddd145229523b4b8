/**
 * The icfs program, and how errors end it. Exit codes: 0 success, 1 failure, 2 wrong usage, which would be wrong on any network
 * and with any file.
 */
import { type Command, CommanderError } from "commander";
import { UsageError } from "../errors.ts";
import { exitProcess } from "../process/exit.ts";
import { describe } from "./failure.ts";
import { failOnLostOutput } from "./lost-output.ts";
import { icfsProgram } from "./program.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Commands that do more than print. */
const SERVING = ["mount", "serve", "localnet"];

if (!SERVING.includes(process.argv[2] ?? "")) failOnLostOutput();
try {
  const program = await icfsProgram(process.argv.slice(2));
  throwUsageErrors(program);
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) {
    // Loaded only here, because it loads the network code.
    const { withHint } = await import("../ic/first-contact.ts");
    console.error(`icfs: ${describe(await withHint(error))}`);
    // Exit at once: anything that still runs, such as a transport's threads, would keep the process alive.
    exitProcess(error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED);
  }
  process.exitCode = exitCodeOf(error);
}

/** Makes commander throw instead of exiting, so that wrong usage exits with 2 rather than its 1. */
function throwUsageErrors(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwUsageErrors(child);
}

function exitCodeOf(error: CommanderError): number {
  return error.exitCode === 0 ? 0 : EXIT_USAGE;
}
