/** Each method of the canister gets numbers at the limits of their types. It takes them or says what is wrong, and goes on working. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { IDL } from "@icp-sdk/core/candid";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import t from "tap";
import { messageOf } from "../../lib/errors.ts";
import { actorOf } from "../../lib/ic/actor.ts";
import type { Settings } from "../../lib/icfs-canister.ts";
import { type StartedCanister, startIcfsCanister, treeOf } from "../support/icfs-canister.ts";

const NAT32 = [0n, 1n, 2n ** 31n, 2n ** 32n - 1n];
const NAT64 = [0n, 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
const NAT = [...NAT64, 2n ** 64n, 2n ** 128n];
/** Messages of Motoko and the IC that show a fault of the canister, not of the request. */
const FAULT =
  /overflow|underflow|out of (?:bounds|memory)|unreachable|assert|exceeded|IC050[25]|IC0522|subscript|decode/i;

const { publishing, reading } = interfaces();
type Methods = Record<string, (...args: unknown[]) => Promise<unknown>>;

/** The canister's methods, with types as wide as its own. */
function interfaces() {
  const hash = IDL.Vec(IDL.Nat8);
  const result = IDL.Variant({
    ok: IDL.Nat64,
    err: IDL.Variant({
      conflict: IDL.Record({ number: IDL.Nat64, newest: IDL.Opt(hash) }),
      missing: IDL.Vec(hash),
      invalid: IDL.Text,
    }),
  });
  const settings = IDL.Record({
    quota: IDL.Nat64,
    loose_quota: IDL.Nat64,
    hold_newest: IDL.Nat32,
    hold_nanoseconds: IDL.Nat64,
  });
  const parent = IDL.Opt(hash);
  return {
    publishing: {
      put: IDL.Func([IDL.Vec(hash)], [IDL.Vec(hash)], []),
      publish: IDL.Func([IDL.Record({ manifest: IDL.Vec(hash), parent, note: IDL.Text })], [result], []),
      rollback: IDL.Func([IDL.Record({ to: IDL.Nat64, parent, note: IDL.Text })], [result], []),
      promote: IDL.Func(
        [
          IDL.Record({
            channel: IDL.Text,
            release: IDL.Opt(IDL.Nat64),
            serial: IDL.Opt(IDL.Nat64),
            note: IDL.Text,
          }),
        ],
        [IDL.Variant({ ok: IDL.Nat64, err: IDL.Reserved })],
        [],
      ),
      grant: IDL.Func(
        [IDL.Principal, IDL.Variant({ reader: IDL.Null, publisher: IDL.Null, promoter: IDL.Null })],
        [],
        [],
      ),
      revoke: IDL.Func([IDL.Principal], [], []),
      restrict: IDL.Func([IDL.Bool], [], []),
      serve_http: IDL.Func([IDL.Bool], [], []),
      keep: IDL.Func([IDL.Nat64, IDL.Bool], [], []),
      configure: IDL.Func([settings], [], []),
      work: IDL.Func([], [], ["oneway"]),
    },
    reading: {
      release: IDL.Func([], [hash], ["query"]),
      headers: IDL.Func([IDL.Nat64, IDL.Nat32], [hash], ["query"]),
      chunk: IDL.Func([hash], [hash], ["query"]),
      listing: IDL.Func([], [IDL.Vec(IDL.Tuple(IDL.Text, IDL.Nat))], ["query"]),
      get: IDL.Func(
        [IDL.Record({ filename: IDL.Text, sector_no: IDL.Nat, count: IDL.Nat })],
        [hash],
        ["query"],
      ),
      missing: IDL.Func([IDL.Vec(hash)], [IDL.Vec(IDL.Nat32)], ["query"]),
      http_request: IDL.Func(
        [
          IDL.Record({
            method: IDL.Text,
            url: IDL.Text,
            headers: IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text)),
            body: hash,
            certificate_version: IDL.Opt(IDL.Nat16),
          }),
        ],
        [IDL.Reserved],
        ["query"],
      ),
      status: IDL.Func([], [IDL.Reserved], ["query"]),
      roles_granted: IDL.Func([], [IDL.Reserved], ["query"]),
      promoters_granted: IDL.Func([], [IDL.Reserved], ["query"]),
      channels: IDL.Func([IDL.Opt(IDL.Text)], [hash], ["query"]),
      channel_history: IDL.Func([IDL.Text, IDL.Nat64, IDL.Nat32], [hash], ["query"]),
    },
  };
}

const methodsOf = ({ network, id }: StartedCanister): Methods =>
  actorOf<Methods>(() => IDL.Service({ ...publishing, ...reading }), {
    agent: network.agent,
    canisterId: id,
  });

const hasParent = (arg: unknown): arg is object => typeof arg === "object" && arg !== null && "parent" in arg;

const shown = (value: unknown): string =>
  JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}` : part)) ?? "nothing";

let count = 0;
/** Publishes a new small tree. @returns the release's number */
async function publishes(canister: StartedCanister): Promise<bigint> {
  count += 1;
  const { manifest, chunks } = treeOf({ a: `tree ${count}`, b: "the same in all" });
  await canister.owner.put(chunks);
  const result = await canister.publish(manifest);
  if (!("ok" in result)) throw new Error(JSON.stringify(result));
  return result.ok;
}

/** All lists with one item of each of `choices`. */
const all = <T>(...choices: readonly (readonly T[])[]): T[][] =>
  choices.reduce<T[][]>(
    (lists, items) => lists.flatMap((list) => items.map((item) => [...list, item])),
    [[]],
  );

t.test("each method takes any number, or says what is wrong with it", async (t) => {
  const canister = await startIcfsCanister(t);
  const methods = methodsOf(canister);
  const { settings } = await canister.owner.status();
  for (let i = 0; i < 3; i++) await publishes(canister);
  const somebody = Ed25519KeyIdentity.generate().getPrincipal();
  const blobs = [0, 1, 31, 32, 33, 1_048_576].map((size) => randomBytes(size));
  const cases: Record<string, readonly (readonly unknown[])[]> = {
    put: [[[]], ...[0, 1, 1_048_576, 1_048_577].map((size) => [[randomBytes(size)]])],
    publish: [
      ...[0, 1, 1000, 1001].map((pieces) => [
        { manifest: Array.from({ length: pieces }, () => randomBytes(32)), parent: null, note: "" },
      ]),
      ...blobs.map((blob) => [{ manifest: [blob], parent: null, note: "" }]),
      ...[1024, 1025, 1_000_000].map((bytes) => [{ manifest: [], parent: null, note: "x".repeat(bytes) }]),
    ],
    rollback: NAT64.map((to) => [{ to, parent: null, note: "" }]),
    keep: all<unknown>(NAT64, [true, false]),
    promote: [
      ...all<unknown>(NAT64, [...NAT64.map((serial) => [serial]), []]).map(([release, serial]) => ({
        channel: "stable",
        release: [release],
        serial,
      })),
      ...["", "x", "x".repeat(64), "x".repeat(65), "7".repeat(5000), "é"].map((channel) => ({ channel })),
      ...[1024, 1025, 1_000_000].map((bytes) => ({ release: [1n], note: "x".repeat(bytes) })),
      { serial: [1n] },
    ].map((what) => [{ channel: "noted", release: [], serial: [], note: "", ...what }]),
    grant: [
      [somebody, { reader: null }],
      [somebody, { promoter: null }],
    ],
    revoke: [[somebody]],
    restrict: [[true], [false]],
    serve_http: [[false], [true]],
    configure: [
      ...NAT64.map((quota) => [{ ...settings, quota }]),
      ...NAT64.map((loose_quota) => [{ ...settings, loose_quota }]),
      ...NAT32.map((hold_newest) => [{ ...settings, hold_newest }]),
      ...NAT64.map((hold_nanoseconds) => [{ ...settings, hold_newest: 1, hold_nanoseconds }]),
      // `icfs configure` takes 200,000 days.
      [{ ...settings, hold_newest: 1, hold_nanoseconds: 200_000n * 86_400_000_000_000n }],
    ],
    work: [[]],
    release: [[]],
    listing: [[]],
    status: [[]],
    roles_granted: [[]],
    promoters_granted: [[]],
    channels: [[[]], ...["", "stable", "x".repeat(100_000)].map((name) => [[name]])],
    channel_history: all<unknown>(["", "stable", "other"], NAT64, NAT32),
    http_request: [
      ...[0, 1, 2, 3, 65_535].map((version) => ({ certificate_version: [version] })),
      ...NAT.map((number) => ({ url: `/.icfs/at/${number}/a` })),
      ...NAT.map((number) => ({ headers: [["range", `bytes=${number}-${number}`]] })),
      ...NAT.map((number) => ({ headers: [["range", `bytes=-${number}`]] })),
      ...["", "x", "%", "%2", "%f0%9f", "/".repeat(5000), "/a".repeat(2500), `/${"%61".repeat(5000)}`].map(
        (url) => ({ url }),
      ),
      ...["", "/", "/stable", "/%00", "/%ff", "/a/b", `/${"x".repeat(5000)}`].map((end) => ({
        url: `/.icfs/channel${end}`,
      })),
      ...["", "bytes", "bytes=", "bytes=-", "bytes=x-1"].map((range) => ({ headers: [["range", range]] })),
    ].map((what) => [
      { method: "GET", url: "/.icfs/at/1/a", headers: [], body: [], certificate_version: [2], ...what },
    ]),
    headers: all<unknown>(NAT64, NAT32),
    chunk: blobs.map((blob) => [blob]),
    missing: [
      [[]],
      [blobs],
      ...[10_000, 10_001].map((n) => [Array.from({ length: n }, () => randomBytes(32))]),
    ],
    get: [
      ...all<bigint | string>(["a"], NAT, NAT),
      ...all<bigint | string>(["", "x".repeat(5000)], [0n], [1n]),
    ].map(([filename, sector_no, count]) => [{ filename, sector_no, count }]),
  };
  const declared = readFileSync(new URL("../../build/icfs.did", import.meta.url), "utf8")
    .split(/^type Icfs =/m)[1]!
    .split(/^ *};?$/m)[0]!;
  const names = [...declared.matchAll(/^ {3}(\w+): \(/gm)].map(([, name]) => name);
  t.same(Object.keys(cases).sort(), names.toSorted(), "there are cases for every method");

  for (const [name, calls] of Object.entries(cases)) {
    const call = async (args: readonly unknown[]) => {
      const given = args.map((arg) => (hasParent(arg) ? { ...arg, parent } : arg));
      const said = await methods[name]!(...given).then(shown, messageOf);
      if (FAULT.test(said)) t.fail(`${name} ${shown(args).slice(0, 200)}: ${said.slice(0, 300)}`);
    };
    // A release needs the newest one as its parent.
    let parent = [(await canister.source.head())!.hash];
    if (name in reading) await Promise.all(calls.map(call));
    else {
      for (const args of calls) {
        await call(args);
        if (name === "configure") {
          const next = await publishes(canister).catch(messageOf);
          if (typeof next === "string" && !/over quota/.test(next)) {
            t.fail(`after ${name} ${shown(args)}: ${next.slice(0, 300)}`);
          }
          await canister.owner.configure(settings);
        }
        if (name === "rollback") parent = [(await canister.source.head())!.hash];
      }
    }
    t.ok(await publishes(canister), `a release can be made after ${calls.length} calls of ${name}`);
  }
});

t.test("unusable settings are refused", async (t) => {
  const { owner } = await startIcfsCanister(t);
  const { settings } = await owner.status();
  const refused: [Partial<Settings>, RegExp][] = [
    [{ quota: 0n }, /quotas of 0 bytes/],
    [{ loose_quota: 0n }, /quotas of 0 bytes/],
    [{ hold_newest: 0 }, /hold_newest is at least 1/],
    [{ hold_newest: 100_001 }, /hold_newest is at most 100000/],
  ];
  for (const [change, why] of refused) await t.rejects(owner.configure({ ...settings, ...change }), why);
  t.strictSame((await owner.status()).settings, settings, "the settings are unchanged");
});
