/** Asks the user at the terminal. */
import { createInterface } from "node:readline";

/** Whether a user can be asked: a script has no terminal, or none to read from. */
export function isAttended(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** @param question printed to stderr; answered with y or n on stdin; the end of input means no */
export function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    // At the end of input, nobody has ended the line of the question.
    const leave = () => {
      process.stderr.write("\n");
      resolve(false);
    };
    terminal.once("close", leave);
    terminal.question(`${question} [y/N] `, (answer) => {
      terminal.off("close", leave);
      terminal.close();
      resolve(/^y(es)?$/i.test(answer.trim()));
    });
    // In raw mode the terminal does not turn Ctrl-C into a signal.
    terminal.once("SIGINT", () => {
      terminal.off("close", leave);
      terminal.close();
      process.kill(process.pid, "SIGINT");
    });
  });
}
