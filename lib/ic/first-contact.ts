/** Whether a network is there at all: asked before anything patient begins, and guessed at when it is another that was meant. */
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
 * Whatever answers will do: what is wrong with it shows when it is used. So does a connection that ends, as on a bad line: somebody
 * has taken it.
 *
 * @returns gateways that say they have another root key than the one that answers by the network's: nobody need ask them
 * @throws NetworkUnreachableError within seconds, when no gateway answers; UsageError when the environment names a proxy that is none
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

/** What to say of a network from which no answer came. @param why of all of it, or by its gateways */
export function unreachable(network: Network, why: NoAnswerError | GatewayStatuses): NetworkUnreachableError {
  const problems =
    why instanceof Error
      ? [networkProblem(network, why)]
      : [...why].map(([url, error]) => networkProblem({ ...network, url }, error));
  const text = `${problems.map(({ message }) => message).join("; ")}: ${problems[0]!.advice}`;
  return new NetworkUnreachableError(text, network.url);
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
  if (url.split(",").includes(local.url)) return undefined;
  try {
    await networkStatus(local.url, HINT_LIMIT_MS);
    return `A local network answers at ${local.url}: did you mean --network local?`;
  } catch {
    return undefined;
  }
}
