/** Requests to a local network, put together by hand, so that tests can send wrong ones too. */
import * as cbor from "@dfinity/cbor";
import {
  type HttpAgent,
  IC_REQUEST_DOMAIN_SEPARATOR,
  requestIdOf,
  type SignIdentity,
} from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import type { LocalNetwork } from "../../localnet/index.ts";
import { GLOBAL } from "./assemble.ts";
import { NO_ARGUMENT, owner } from "./setup.ts";

const MINUTE_NS = 60_000_000_000n;

/** The fields of a request, or of an answer. */
export type Content = Record<string, unknown>;

/** Nanoseconds since 1970, so many minutes from now. */
export function inMinutes(minutes: number): bigint {
  return BigInt(Date.now()) * 1_000_000n + BigInt(minutes) * MINUTE_NS;
}

export async function signed(content: Content, identity: SignIdentity = owner): Promise<Uint8Array> {
  const message = Buffer.concat([IC_REQUEST_DOMAIN_SEPARATOR, requestIdOf(content)]);
  return cbor.encodeWithSelfDescribedTag({
    content,
    sender_pubkey: identity.getPublicKey().toDer(),
    sender_sig: await identity.sign(new Uint8Array(message)),
  });
}

export function anonymous(content: Content): Uint8Array {
  return cbor.encodeWithSelfDescribedTag({ content: { ...content, sender: Uint8Array.of(4) } });
}

/** Requests to one canister, which runs TINY. */
export function requestsTo(network: LocalNetwork, agent: HttpAgent, id: Principal) {
  /** A call by the owner, with some fields changed. */
  function callContent(method: string, changes: Content = {}): Content {
    return {
      request_type: "call",
      canister_id: id.toUint8Array(),
      method_name: method,
      arg: NO_ARGUMENT,
      sender: owner.getPrincipal().toUint8Array(),
      ingress_expiry: inMinutes(3),
      ...changes,
    };
  }

  /** The path of an endpoint, such as `query`. */
  function pathOf(version: number, endpoint: string): string {
    return `/api/v${version}/canister/${id.toText()}/${endpoint}`;
  }

  /** @returns the text of an error, or the fields of an answer */
  async function post(
    path: string,
    body: Uint8Array,
  ): Promise<{ status: number; text: string; body: Content }> {
    const response = await fetch(network.url + path, {
      method: "POST",
      headers: { "content-type": "application/cbor" },
      body: Uint8Array.from(body),
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    const isCbor = response.status === 200;
    return {
      status: response.status,
      text: isCbor ? "" : Buffer.from(bytes).toString(),
      body: isCbor ? (cbor.decode(bytes) as Content) : {},
    };
  }

  /** How often `bump` has run, plus 7. */
  async function bumps(): Promise<number> {
    const response = await agent.query(id, { methodName: "peek", arg: NO_ARGUMENT });
    if (!("reply" in response)) throw new Error(response.reject_message);
    return response.reply.arg[GLOBAL]!;
  }

  return { callContent, pathOf, post, bumps };
}
