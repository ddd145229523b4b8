/**
 * Reads the passphrase of an encrypted key from a file, a file descriptor or the terminal, but never from an argument or a
 * variable: other users of the host can see those.
 */
import { fstatSync, readFileSync, type Stats, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { messageOf, UsageError, UserError } from "../errors.ts";
import { isAttended } from "./confirm.ts";

/** The limit of a file with a passphrase. */
const MOST_BYTES = 4096;

/**
 * The passphrase for the key in `file`.
 *
 * @param source a file's name, or fd:N; undefined: ask on the terminal
 * @throws UserError when there is no passphrase or no terminal; UsageError
 */
export async function passphraseFor(file: string, source: string | undefined): Promise<string> {
  if (source !== undefined) return readPassphrase(source);
  if (!isAttended()) {
    throw new UserError(
      `${file} is encrypted, and there is no terminal to ask for its passphrase: give it in a file with --identity-passphrase-file FILE`,
    );
  }
  return ask(`Passphrase of ${file}: `);
}

/** The content of a file or a descriptor, without its line ending. @throws UserError, UsageError */
function readPassphrase(source: string): string {
  const descriptor = /^fd:(.*)$/.exec(source)?.[1];
  if (descriptor !== undefined && !/^\d{1,6}$/.test(descriptor))
    throw new UsageError(`"${source}" is not a file descriptor: write fd:3, say`);
  let bytes: Buffer;
  try {
    const status = descriptor === undefined ? statSync(source) : fstatSync(Number(descriptor));
    mustBePrivate(source, status, descriptor !== undefined);
    bytes = readFileSync(descriptor === undefined ? source : Number(descriptor));
  } catch (error) {
    if (error instanceof UserError) throw error;
    const how = descriptor === undefined ? "" : `: is it open, as by \`${descriptor}<FILE\` in a shell?`;
    throw new UserError(`cannot read the passphrase from ${source} (${messageOf(error)})${how}`);
  }
  const passphrase = bytes.toString().replace(/\r?\n$/, "");
  if (passphrase === "") throw new UserError(`there is no passphrase in ${source}: it is empty`);
  if (bytes.length > MOST_BYTES || passphrase.includes("\n"))
    throw new UserError(`there is no passphrase in ${source}: it has more than one line`);
  return passphrase;
}

/** @throws UserError when others can read the file, or it is not a file */
function mustBePrivate(source: string, status: Stats, isDescriptor: boolean): void {
  // A pipe that a program writes to, such as a shell's `<(command)`. A device has no end.
  const isStream = status.isFIFO() || (isDescriptor && (status.isSocket() || status.isCharacterDevice()));
  if (isStream) return;
  if (!status.isFile()) throw new UserError(`${source} is not a file that has a passphrase in it`);
  if (status.size > MOST_BYTES) throw new UserError(`there is no passphrase in ${source}: it is too large`);
  if (!isDescriptor && (status.mode & 0o077) !== 0)
    throw new UserError(`${source} can be read by users other than its owner: run \`chmod 600 ${source}\``);
}

/** Asks on the terminal, without showing the answer. @throws UserError when there is none */
async function ask(question: string): Promise<string> {
  // In raw mode the terminal does not echo, and what readline would echo is discarded.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  process.stderr.write(question);
  const answer = await new Promise<string | undefined>((resolve) => {
    terminal.once("close", () => resolve(undefined));
    // In raw mode the terminal does not turn Ctrl-C into a signal.
    terminal.once("SIGINT", () => {
      terminal.close();
      process.stderr.write("\n");
      process.kill(process.pid, "SIGINT");
    });
    terminal.once("line", resolve);
  });
  terminal.close();
  process.stderr.write("\n");
  if (answer === undefined || answer === "") throw new UserError("no passphrase was given");
  return answer;
}
