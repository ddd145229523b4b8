/** Whether a network is there at all: asked before anything patient begins, and guessed at when it is another that was meant. */
import { UserError } from "../errors.ts";
import { NoAnswerError, NoSuchCanisterError } from "./call-errors.ts";
import { type Network, NetworkUnreachableError, networkStatus, resolveNetwork } from "./network.ts";
import { networkProblem } from "./network-problem.ts";

/** A network on this machine answers at once, or is not there. */
const HINT_LIMIT_MS = 1000;

/**
 * Whatever answers will do: what is wrong with it shows when it is used. So does a connection that ends, as on a bad line: somebody
 * has taken it. @throws NetworkUnreachableError within seconds; UsageError when the environment names a proxy that is none
 */
export async function mustAnswer(network: Network): Promise<void> {
  try {
    await networkStatus(network.url);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof NoAnswerError && !isCutOff(error)) throw unreachable(network, error);
  }
}

function isCutOff({ cause }: NoAnswerError): boolean {
  return ["ECONNRESET", "EPIPE"].includes((cause as NodeJS.ErrnoException | undefined)?.code ?? "");
}

/** What to say of a network from which no answer came. */
export function unreachable(network: Network, error: NoAnswerError): NetworkUnreachableError {
  const { message, advice } = networkProblem(network, error);
  return new NetworkUnreachableError(`${message}: ${advice}`, network.url);
}

/**
 * The error; when it may come from a forgotten --network local, since no network answered or it has no such canister, one that says
 * so if a local network runs on this machine.
 *
 * @param local where that would be
 */
export async function withHint(error: unknown, local?: Network): Promise<unknown> {
  if (!(error instanceof NetworkUnreachableError || error instanceof NoSuchCanisterError)) return error;
  const hint = await hintAtLocal(error.url, local);
  return hint === undefined ? error : new UserError(`${error.message}. ${hint}`);
}

/** Asks whether another network was meant, if a local one runs on this machine. @param url of the one that was asked */
export async function hintAtLocal(
  url: string,
  local: Network = resolveNetwork("local"),
): Promise<string | undefined> {
  if (url === local.url) return undefined;
  try {
    await networkStatus(local.url, HINT_LIMIT_MS);
    return `A local network answers at ${local.url}: did you mean --network local?`;
  } catch {
    return undefined;
  }
}
