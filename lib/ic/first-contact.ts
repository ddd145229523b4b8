/** Checks whether a network is there at all before anything patient begins, and guesses whether another one was meant. */
import { UserError } from "../errors.ts";
import { NoAnswerError, NoSuchCanisterError } from "./call-errors.ts";
import {
  type GatewayStatuses,
  gatewayStatuses,
  type Network,
  type NetworkStatus,
  NetworkUnreachableError,
  networkStatus,
  resolveNetwork,
} from "./network.ts";
import { networkProblem } from "./network-problem.ts";

/** A network on this machine answers at once, or is not there. */
const HINT_LIMIT_MS = 1000;

/**
 * Throws unless some gateway answers. Any answer is enough: if something is wrong with it, later requests will show that. A connection that
 * is cut, as on a bad line, is enough as well, since somebody accepted it.
 *
 * @returns the URLs of gateways that report another root key, unless all do: they belong to another network, and need not be asked again
 * @throws NetworkUnreachableError within seconds, when no gateway answers; UsageError when the environment names something as a proxy that
 *   is not one
 */
export async function mustAnswer(network: Network, rootKey: Uint8Array): Promise<readonly string[]> {
  const statuses = await gatewayStatuses(network);
  const misuse = [...statuses.values()].find((status) => status instanceof UserError);
  if (misuse !== undefined) throw misuse;
  const isThere = (status: NetworkStatus | Error) => !(status instanceof NoAnswerError) || isCutOff(status);
  if (![...statuses.values()].some(isThere)) throw unreachable(network, statuses);
  const told = [...statuses].filter((one): one is [string, NetworkStatus] => !(one[1] instanceof Error));
  const others = told.filter(([, status]) => !Buffer.from(rootKey).equals(status.rootKey));
  return others.length < told.length ? others.map(([url]) => url) : [];
}

function isCutOff({ cause }: NoAnswerError): boolean {
  return ["ECONNRESET", "EPIPE"].includes((cause as NodeJS.ErrnoException | undefined)?.code ?? "");
}

/** The error about a network that has not answered. @param why the reason, for the network as a whole or for each gateway */
export function unreachable(network: Network, why: NoAnswerError | GatewayStatuses): NetworkUnreachableError {
  const problems =
    why instanceof Error
      ? [networkProblem(network, why)]
      : [...why].map(([url, error]) => networkProblem({ ...network, url }, error));
  const text = `${problems.map(({ message }) => message).join("; ")}: ${problems[0]!.advice}`;
  return new NetworkUnreachableError(text, network.url);
}

/**
 * The error, with a hint if --network local may have been forgotten: if no network answered, or it has no such canister, and a local
 * network runs on this machine.
 *
 * @param local the local network; default: the one that --network local names
 */
export async function withHint(error: unknown, local?: Network): Promise<unknown> {
  if (!(error instanceof NetworkUnreachableError || error instanceof NoSuchCanisterError)) return error;
  if (error instanceof NetworkUnreachableError && (await isProxied(error.url))) return error;
  const hint = await hintAtLocal(error.url, local);
  return hint === undefined ? error : new UserError(`${error.message}. ${hint}`);
}

/** Whether requests to a network go through a proxy: then that may be why no answer comes. @param url the network's, as Network.url */
export async function isProxied(url: string): Promise<boolean> {
  // Loaded only here: every error of a command comes through this module.
  const { choiceFor } = await import("./transport/connections.ts");
  return url.split(",").some((one) => choiceFor(new URL(one)).proxy !== undefined);
}

/**
 * The question whether the local network was meant, as a sentence; undefined when none runs on this machine, or it was asked already.
 *
 * @param url of the network that was asked
 */
export async function hintAtLocal(
  url: string,
  local: Network = resolveNetwork("local"),
): Promise<string | undefined> {
  if (url.split(",").includes(local.url)) return undefined;
  try {
    await networkStatus(local.url, HINT_LIMIT_MS);
    return `A local network answers at ${local.url}: did you mean --network local?`;
  } catch {
    return undefined;
  }
}
