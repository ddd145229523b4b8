/**
 * The icfs canister's methods for publishers and owners (canister/main.mo). The agent checks the answers: updates by
 * their certificates, queries by the nodes' signatures. Readers use lib/source/icfs/query-reader.ts instead.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import { actorOf } from "./ic/actor.ts";
import { ERROR_CODES, RejectError } from "./ic/call-errors.ts";

export type PublishResult =
  | { readonly ok: bigint }
  | {
      readonly err:
        | { readonly conflict: { readonly number: bigint; readonly newest: [] | [Uint8Array] } }
        | { readonly missing: readonly Uint8Array[] }
        | { readonly invalid: string };
    };

/** A new record's serial, or why there is none. */
export type PromoteResult =
  | { readonly ok: bigint }
  | {
      readonly err: { readonly conflict: { readonly serial: [] | [bigint] } } | { readonly invalid: string };
    };

export type Role = { readonly publisher: null } | { readonly reader: null };

/** A role, or the right to promote in addition. Canisters from before channels have no promoters. */
export type Grant = Role | { readonly promoter: null };

export interface Settings {
  readonly quota: bigint;
  readonly loose_quota: bigint;
  readonly hold_newest: number;
  readonly hold_nanoseconds: bigint;
}

/** Field by field as Status in canister/types.mo, where each is described. */
export interface CanisterStatus {
  readonly owner: Principal;
  readonly is_private: boolean;
  readonly cycles: bigint;
  readonly newest: bigint;
  readonly held: BigUint64Array;
  readonly kept: BigUint64Array;
  readonly dropped: bigint;
  readonly freed_chunks: bigint;
  readonly chunks: bigint;
  readonly chunk_bytes: bigint;
  readonly loose_chunks: bigint;
  readonly hole_bytes: bigint;
  readonly region_bytes: bigint;
  /** None from canisters from before this field. */
  readonly backlog: [] | [bigint];
  /** None from canisters from before this field. */
  readonly memory_bytes: [] | [bigint];
  readonly settings: Settings;
  /** None from canisters from before this field, which serve nothing over HTTP. */
  readonly http: [] | [CanisterHttp];
  /** The version of icfs that the canister was compiled from. Canisters before 0.2.0 do not have it. */
  readonly version: [] | [string];
}

/** What a canister serves over HTTP. */
export interface CanisterHttp {
  /** Whether an owner allows it; a private canister serves nothing in any case. */
  readonly on: boolean;
  /** The newest release whose pages are ready; 0 when none is. */
  readonly release: bigint;
  /** Bytes of stable memory that all pages take. */
  readonly bytes: bigint;
}

/** What a canister serves over HTTP; undefined when that is nothing, to anybody. */
export function servedHttp({ http: [http], is_private }: CanisterStatus): CanisterHttp | undefined {
  return http?.on === true && !is_private ? http : undefined;
}

export interface IcfsCanister {
  /** Indexes of the hashes (at most MAX_HASHES_ASKED) whose chunks are missing. */
  missing(hashes: readonly Uint8Array[]): Promise<Uint32Array>;
  /** Stores chunks. Returns the SHA-256 of each, in the same order. */
  put(chunks: readonly Uint8Array[]): Promise<readonly Uint8Array[]>;
  /** Makes a release. `manifest`: the hashes of the manifest's pieces. `parent`: that of the newest release's header, if there is one. */
  publish(release: {
    readonly manifest: readonly Uint8Array[];
    readonly parent: [] | [Uint8Array];
    readonly note: string;
  }): Promise<PublishResult>;
  rollback(release: {
    readonly to: bigint;
    readonly parent: [] | [Uint8Array];
    readonly note: string;
  }): Promise<PublishResult>;
  /** Canisters from before channels have no such method. */
  promote(change: {
    readonly channel: string;
    /** 0: the channel is deleted. None is refused: a number of another type arrives as none. */
    readonly release: [] | [bigint];
    /** The serial of the channel's last record, as far as the caller knows; none before the first. */
    readonly serial: [] | [bigint];
    readonly note: string;
  }): Promise<PromoteResult>;
  /**
   * The channel's records from serial `from` downwards, up to `count`, as in source/icfs/header-list.ts. Canisters from before channels lack
   * it.
   */
  channel_history(name: string, from: bigint, count: number): Promise<Uint8Array>;
  /** Canisters from before channels have no such method. */
  promoters_granted(): Promise<readonly Principal[]>;
  grant(who: Principal, role: Grant): Promise<void>;
  revoke(who: Principal): Promise<void>;
  roles_granted(): Promise<readonly [Principal, Role][]>;
  restrict(isPrivate: boolean): Promise<void>;
  serve_http(on: boolean): Promise<void>;
  keep(release: bigint, kept: boolean): Promise<void>;
  configure(settings: Settings): Promise<void>;
  status(): Promise<CanisterStatus>;
}

/** The most hashes in a call of `missing` (canister/main.mo). */
export const MAX_HASHES_ASKED = 10_000;

/** The status by update call, certified by the subnet rather than reported by a single node. Only owners can make this call. */
export function certifiedStatus(agent: HttpAgent, canisterId: Principal): Promise<CanisterStatus> {
  const candid: IDL.InterfaceFactory = (types) => {
    const [, { retTypes }] = icfsInterface(types)._fields.find(([name]) => name === "status")!;
    return types.IDL.Service({ status: types.IDL.Func([], retTypes, []) });
  };
  return actorOf<Pick<IcfsCanister, "status">>(candid, { agent, canisterId }).status();
}

export function icfsCanister(agent: HttpAgent, canisterId: Principal): IcfsCanister {
  return actorOf<IcfsCanister>(icfsInterface, { agent, canisterId });
}

/** The principals that may promote; undefined when the canister is from before channels. */
export async function promotersOf(canister: IcfsCanister): Promise<readonly Principal[] | undefined> {
  try {
    return await canister.promoters_granted();
  } catch (error) {
    if (error instanceof RejectError && error.errorCode === ERROR_CODES.methodNotFound) return undefined;
    throw error;
  }
}

const icfsInterface: IDL.InterfaceFactory = ({ IDL }) => {
  const hash = IDL.Vec(IDL.Nat8);
  const error = IDL.Variant({
    conflict: IDL.Record({ number: IDL.Nat64, newest: IDL.Opt(hash) }),
    missing: IDL.Vec(hash),
    invalid: IDL.Text,
  });
  const result = IDL.Variant({ ok: IDL.Nat64, err: error });
  const promoted = IDL.Variant({
    ok: IDL.Nat64,
    err: IDL.Variant({ conflict: IDL.Record({ serial: IDL.Opt(IDL.Nat64) }), invalid: IDL.Text }),
  });
  const role = IDL.Variant({ publisher: IDL.Null, reader: IDL.Null });
  const grant = IDL.Variant({ publisher: IDL.Null, reader: IDL.Null, promoter: IDL.Null });
  const settings = IDL.Record({
    quota: IDL.Nat64,
    loose_quota: IDL.Nat64,
    hold_newest: IDL.Nat32,
    hold_nanoseconds: IDL.Nat64,
  });
  const status = IDL.Record({
    owner: IDL.Principal,
    is_private: IDL.Bool,
    cycles: IDL.Nat,
    newest: IDL.Nat64,
    held: IDL.Vec(IDL.Nat64),
    kept: IDL.Vec(IDL.Nat64),
    dropped: IDL.Nat64,
    freed_chunks: IDL.Nat64,
    chunks: IDL.Nat64,
    chunk_bytes: IDL.Nat64,
    loose_chunks: IDL.Nat64,
    hole_bytes: IDL.Nat64,
    region_bytes: IDL.Nat64,
    backlog: IDL.Opt(IDL.Nat64),
    memory_bytes: IDL.Opt(IDL.Nat64),
    settings,
    http: IDL.Opt(IDL.Record({ on: IDL.Bool, release: IDL.Nat64, bytes: IDL.Nat64 })),
    version: IDL.Opt(IDL.Text),
  });
  return IDL.Service({
    missing: IDL.Func([IDL.Vec(hash)], [IDL.Vec(IDL.Nat32)], ["query"]),
    put: IDL.Func([IDL.Vec(hash)], [IDL.Vec(hash)], []),
    publish: IDL.Func(
      [IDL.Record({ manifest: IDL.Vec(hash), parent: IDL.Opt(hash), note: IDL.Text })],
      [result],
      [],
    ),
    rollback: IDL.Func([IDL.Record({ to: IDL.Nat64, parent: IDL.Opt(hash), note: IDL.Text })], [result], []),
    promote: IDL.Func(
      [
        IDL.Record({
          channel: IDL.Text,
          release: IDL.Opt(IDL.Nat64),
          serial: IDL.Opt(IDL.Nat64),
          note: IDL.Text,
        }),
      ],
      [promoted],
      [],
    ),
    channel_history: IDL.Func([IDL.Text, IDL.Nat64, IDL.Nat32], [hash], ["query"]),
    promoters_granted: IDL.Func([], [IDL.Vec(IDL.Principal)], ["query"]),
    grant: IDL.Func([IDL.Principal, grant], [], []),
    revoke: IDL.Func([IDL.Principal], [], []),
    roles_granted: IDL.Func([], [IDL.Vec(IDL.Tuple(IDL.Principal, role))], ["query"]),
    restrict: IDL.Func([IDL.Bool], [], []),
    serve_http: IDL.Func([IDL.Bool], [], []),
    keep: IDL.Func([IDL.Nat64, IDL.Bool], [], []),
    configure: IDL.Func([settings], [], []),
    status: IDL.Func([], [status], ["query"]),
  });
};
