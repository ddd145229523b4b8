/** The program's commands, parsed in the test's own process, because a start takes a second. */
import { type Command, CommanderError } from "commander";
import { icfsProgram } from "../../lib/cli/program.ts";

export interface Said {
  /** commander's exit code: 0 for help, 1 for wrong usage. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Does some work with these environment variables only. */
export async function withEnvironment<T>(environment: NodeJS.ProcessEnv, work: () => Promise<T>): Promise<T> {
  const before = process.env;
  process.env = environment;
  try {
    return await work();
  } finally {
    process.env = before;
  }
}

/** What the program prints about its usage. @throws Error when the usage is correct */
export function usageOf(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<Said> {
  return withEnvironment(environment, async () => {
    const program = await icfsProgram(args);
    let [stdout, stderr] = ["", ""];
    const capture = (command: Command): void => {
      command.exitOverride().configureOutput({
        writeOut: (text) => {
          stdout += text;
        },
        writeErr: (text) => {
          stderr += text;
        },
      });
      for (const child of command.commands) capture(child);
    };
    capture(program);
    const ended = await program.parseAsync(args, { from: "user" }).catch((error: unknown) => error);
    if (!(ended instanceof CommanderError)) throw new Error(`icfs ${args.join(" ")} is correct`);
    return { code: ended.exitCode, stdout, stderr };
  });
}
