/** Asks whoever sits at the terminal. */
import { createInterface } from "node:readline";

/** Whether there is somebody to be asked: a script has no terminal, or none to read from. */
export function isAttended(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** @param question is answered with y or n, on stderr and stdin; the end of the input is a no */
export function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    // The end of the input, where nobody has ended the line of the question.
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
    // In raw mode the terminal makes no signal of it.
    terminal.once("SIGINT", () => {
      terminal.off("close", leave);
      terminal.close();
      process.kill(process.pid, "SIGINT");
    });
  });
}
