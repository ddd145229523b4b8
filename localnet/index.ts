/**
 * A small Internet Computer for one machine: real canisters, the real HTTP interface, real certificates under a root
 * key of its own. It is for development and tests; docs/LOCALNET.md says what it does not do.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Api, httpHandler } from "./http.ts";
import { Network } from "./network.ts";
import { StateDirectory } from "./state-directory.ts";
import { Weather, type WeatherOptions } from "./weather.ts";

export interface LocalNetworkOptions extends Partial<WeatherOptions> {
  /** 0: any free port. */
  port: number;
  host?: string;
  /** The versions of the IC's HTTP interface; default: all of them. */
  api?: Api;
  /** Milliseconds by which the network's clock is ahead of this machine's (negative: behind). */
  timeOffset?: number;
  /** Milliseconds one message of a canister may run before it is ended. */
  messageTimeLimit?: number;
  /** A directory that keeps keys and canisters for the next start, and may contain those of an earlier one. */
  state?: string;
  /** Called with a line for each text that a canister prints, and each failure without a caller. */
  log?: (line: string) => void;
}

export interface LocalNetwork {
  readonly url: string;
  /** The root key, DER. */
  readonly rootKey: Uint8Array;
  /** Resolves with the reason when the state can no longer be kept: then the network has to end. */
  readonly failed: Promise<Error>;
  /** Ends every connection and every canister. */
  close(): Promise<void>;
}

/** The IC allows an update call 40 billion instructions, and takes about this long for them. */
const MESSAGE_TIME_LIMIT_MS = 30_000;
/** As gateways have it. Node's default of five seconds can end just when a client reuses a connection after a pause. */
const KEEP_ALIVE_MS = 75_000;

/**
 * Starts a network, with fresh keys and no canisters unless a state directory has some.
 *
 * @throws RangeError for an option that makes no sense
 * @throws Error when the port is taken, with what to do about it, or the state directory is in use or damaged
 */
export async function startLocalNetwork(options: LocalNetworkOptions): Promise<LocalNetwork> {
  const { port, host = "127.0.0.1", timeOffset = 0, messageTimeLimit = MESSAGE_TIME_LIMIT_MS } = options;
  const { api = "both", latency = 0, bandwidth = Number.POSITIVE_INFINITY, updateLatency = 0 } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new RangeError(`the port must be 0 to 65535, not ${port}`);
  if (!(latency >= 0)) throw new RangeError(`the latency must be 0 ms or more, not ${latency}`);
  if (!(updateLatency >= 0))
    throw new RangeError(`the update latency must be 0 ms or more, not ${updateLatency}`);
  if (!(bandwidth > 0)) throw new RangeError(`the bandwidth must be more than 0 MiB/s, not ${bandwidth}`);
  const weather = new Weather({ latency, bandwidth, updateLatency });
  const directory = options.state === undefined ? undefined : await StateDirectory.open(options.state);
  const consensus = () => weather.consensus();
  const log = options.log ?? (() => {});
  const network = new Network(messageTimeLimit, timeOffset, consensus, log, directory);
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, httpHandler(network, weather, api));
  try {
    network.restoreCanisters();
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(explain(error, host, port)));
      server.listen(port, host, resolve);
    });
  } catch (error) {
    await network.close();
    throw error;
  }
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    rootKey: network.rootKey,
    failed: network.failed,
    async close() {
      weather.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await network.close();
    },
  };
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const where = `${host}:${port}`;
  if (error.code === "EADDRINUSE") {
    const advice =
      "Another local network may be running there: stop it, or give another port (0: any that is free).";
    return new Error(`port ${port} is in use on ${host}. ${advice}`, { cause: error });
  }
  if (error.code === "EACCES") {
    return new Error(`this user cannot listen on ${where}. Give a port of 1024 or above.`, { cause: error });
  }
  return new Error(`cannot listen on ${where}: ${error.message}`, { cause: error });
}
