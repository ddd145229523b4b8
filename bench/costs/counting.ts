/** A local network whose canisters count instructions, behind a proxy that counts the update calls sent to them. */

import * as cbor from "@dfinity/cbor";
import { HttpAgent, type SignIdentity } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { startLocalNetwork } from "../../localnet/index.ts";
import { type CanisterMemory, memoryOf } from "../../test/support/canister-memory.ts";
import { startFaultProxy } from "../../test/support/fault-proxy.ts";
import { instructionsOf } from "../instruction-count.ts";
import type { Work } from "./prices.ts";

/** Counting makes canisters several times slower, and an asset canister hashes a whole file in one message. */
const MESSAGE_LIMIT_MS = 600_000;
const MANAGEMENT = "aaaaa-aa";

export interface Counted extends Work {
  /** Calls by method, such as "put 55, publish 1". */
  readonly methods: string;
}

export interface CountingNetwork {
  /** The proxy's URL; calls sent there are counted. */
  readonly url: string;
  readonly agent: HttpAgent;
  /** What the canister receives and executes during `work`. */
  count(canister: Principal, work: () => Promise<unknown>): Promise<Counted>;
  /** `identity` must be a controller of the canister. */
  memoryOf(canister: Principal): Promise<CanisterMemory>;
}

/** Starts it until the stack ends. @param identity signs for `agent` */
export async function startCountingNetwork(
  identity: SignIdentity,
  stack: AsyncDisposableStack,
): Promise<CountingNetwork> {
  const network = await startLocalNetwork({ port: 0, messageTimeLimit: MESSAGE_LIMIT_MS });
  stack.defer(() => network.close());
  const proxy = await startFaultProxy(
    { teardown: (work) => stack.defer(async () => void (await work())) },
    network.url,
  );
  let [messages, bytes] = [0, 0];
  let methods = new Map<string, number>();
  proxy.fault = (path, body) => {
    if (!path.endsWith("/call") || path.includes(MANAGEMENT)) return "none";
    const { content } = cbor.decode<{ content: { method_name: string } }>(body);
    messages += 1;
    bytes += body.length;
    methods.set(content.method_name, (methods.get(content.method_name) ?? 0) + 1);
    return "none";
  };
  const agent = HttpAgent.createSync({
    host: proxy.url,
    rootKey: network.rootKey,
    retryTimes: 0,
    identity,
  });
  return {
    url: proxy.url,
    agent,
    async count(canister, work) {
      [messages, bytes, methods] = [0, 0, new Map()];
      const before = await instructionsOf(agent, canister);
      await work();
      const instructions = Number((await instructionsOf(agent, canister)) - before);
      const named = [...methods].map(([name, count]) => `${name} ${count}`);
      return { messages, bytes, instructions, methods: named.join(", ") };
    },
    memoryOf: (canister) => memoryOf(agent, canister),
  };
}
