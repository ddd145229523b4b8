/** The icfs canister as a publisher calls it (canister/main.mo). Its replies are checked by the agent's certificates. */
import { Actor, type ActorSubclass, type HttpAgent } from "@dfinity/agent";
import type { IDL } from "@dfinity/candid";
import type { Principal } from "@dfinity/principal";

export type PublishResult =
  | { readonly ok: bigint }
  | {
      readonly err:
        | { readonly conflict: { readonly number: bigint; readonly newest: [] | [Uint8Array] } }
        | { readonly missing: readonly Uint8Array[] }
        | { readonly invalid: string };
    };

export interface PublisherCanister {
  /** Indexes of the hashes (at most MAX_HASHES_ASKED) whose chunks are not there. */
  missing(hashes: readonly Uint8Array[]): Promise<Uint32Array>;
  put(chunks: readonly Uint8Array[]): Promise<readonly Uint8Array[]>;
  publish(release: {
    readonly manifest: readonly Uint8Array[];
    readonly parent: [] | [Uint8Array];
    readonly note: string;
  }): Promise<PublishResult>;
}

/** What `missing` takes at once (canister/main.mo). */
export const MAX_HASHES_ASKED = 10_000;

export function publisherCanister(agent: HttpAgent, canisterId: Principal): ActorSubclass<PublisherCanister> {
  return Actor.createActor<PublisherCanister>(publisherInterface, { agent, canisterId });
}

const publisherInterface: IDL.InterfaceFactory = ({ IDL }) => {
  const hash = IDL.Vec(IDL.Nat8);
  const error = IDL.Variant({
    conflict: IDL.Record({ number: IDL.Nat64, newest: IDL.Opt(hash) }),
    missing: IDL.Vec(hash),
    invalid: IDL.Text,
  });
  return IDL.Service({
    missing: IDL.Func([IDL.Vec(hash)], [IDL.Vec(IDL.Nat32)], ["query"]),
    put: IDL.Func([IDL.Vec(hash)], [IDL.Vec(hash)], []),
    publish: IDL.Func(
      [IDL.Record({ manifest: IDL.Vec(hash), parent: IDL.Opt(hash), note: IDL.Text })],
      [IDL.Variant({ ok: IDL.Nat64, err: error })],
      [],
    ),
  });
};
