/** Whether a network is there at all: asked before anything patient begins, and guessed at when it is another that was meant. */
import { messageOf, UserError } from "../errors.ts";
import { retrying } from "../retry.ts";
import { NoAnswerError, NoSuchCanisterError } from "./call-errors.ts";
import { type Network, NetworkUnreachableError, networkStatus, resolveNetwork } from "./network.ts";

/** One more attempt, for a connection that was dropped; not for a network that took longer than this to say nothing. */
const ATTEMPTS = 2;
const PATIENCE_MS = 2000;
const PAUSE_MS = 200;
/** A network on this machine answers at once, or is not there. */
const HINT_LIMIT_MS = 1000;

/** Whatever answers will do: what is wrong with it shows when it is used. @throws NetworkUnreachableError within seconds */
export async function mustAnswer(network: Network): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  try {
    await retrying(() => networkStatus(network.url), {
      firstPause: PAUSE_MS,
      longestPause: PAUSE_MS,
      again: (error, attempts) =>
        error instanceof NoAnswerError && attempts < ATTEMPTS && performance.now() < until,
    });
  } catch (error) {
    if (error instanceof NoAnswerError) throw unreachable(network, error);
  }
}

/** What to say of a network from which no answer came. */
export function unreachable({ name, url }: Network, error: NoAnswerError): NetworkUnreachableError {
  const named = name === "ic" ? " (--network ic, the default)" : "";
  return new NetworkUnreachableError(
    `no network answers at ${url}${named}: ${messageOf(error)}; look at this host's resolver, routes and firewall`,
    url,
  );
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
