/** A canister's own interface: a reply that would keep a general decoder busy is refused before it is decoded; good replies are decoded. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { actorOf } from "../../lib/ic/actor.ts";
import { exactly } from "../support/exactly.ts";

const canisterId = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");

interface Methods {
  status(): Promise<{ cycles: bigint; held: BigUint64Array }>;
  roles(): Promise<[Principal, unknown][]>;
  nothing(): Promise<undefined>;
}

const STATUS = IDL.Record({ cycles: IDL.Nat, held: IDL.Vec(IDL.Nat64) });
const ROLES = IDL.Vec(IDL.Tuple(IDL.Principal, IDL.Variant({ reader: IDL.Null })));

/** The methods of a canister whose nodes answer every query with this Candid. */
function answering(reply: Uint8Array): Methods {
  const query = async () => ({ status: "replied", reply: { arg: reply } });
  return actorOf<Methods>(
    () =>
      IDL.Service({
        status: IDL.Func([], [STATUS], ["query"]),
        roles: IDL.Func([], [ROLES], ["query"]),
        nothing: IDL.Func([], [], ["query"]),
      }),
    { agent: { query } as unknown as HttpAgent, canisterId },
  );
}

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const byte = (value: number) => value.toString(16).padStart(2, "0");
/** An unsigned LEB128 of so many bytes. */
const longNumber = (bytes: number) => Buffer.concat([Buffer.alloc(bytes - 1, 0xff), Buffer.from([1])]);

t.test("a reply is decoded as the interface declares", async (t) => {
  const cycles = 2n ** 127n;
  const { status } = answering(IDL.encode([STATUS], [{ cycles, held: [1n, 2n] }]));
  t.match(await status(), { cycles, held: exactly(1n, 2n) });
  const { roles } = answering(IDL.encode([ROLES], [[[canisterId, { reader: null }]]]));
  t.equal((await roles())[0]![0].toText(), canisterId.toText());
  t.equal(await answering(IDL.encode([], [])).nothing(), undefined);
  // Fields that a later version of the canister may add are ignored.
  const more = IDL.Record({ cycles: IDL.Nat, held: IDL.Vec(IDL.Nat64), new: IDL.Int });
  const later = answering(IDL.encode([more], [{ cycles, held: [], new: -5n }]));
  t.match(await later.status(), { cycles });
});

t.test("replies that would keep a decoder busy for seconds are refused before it gets them", async (t) => {
  const many = { cycles: 1n, held: Array.from({ length: 90_000 }, (_, i) => BigInt(i)) };
  t.equal(
    (await answering(IDL.encode([STATUS], [many])).status()).held.length,
    90_000,
    "a reply of 90,000 numbers is decoded",
  );
  const status = "4449444c 02 6c02 dac8f69b02 7d dd97f7b10a 01 6d78 01 00";
  const bombs: Record<string, Buffer> = {
    "a number of cycles of 900 KB": Buffer.concat([
      IDL.encode([IDL.Record({ cycles: IDL.Nat })], [{ cycles: 0n }]).slice(0, -1),
      longNumber(900_000),
    ]),
    "another number, which nobody asked for": Buffer.concat([hex("4449444c 00 01 7c"), longNumber(900_000)]),
    "a vector of 2^31 nulls": hex("4449444c 01 6d7f 01 00 ffffffff07"),
    "a thousand vectors of 100,000 nulls": hex(`4449444c 02 6d01 6d7f 01 00 e807 ${"a08d06".repeat(1000)}`),
    "300,000 empty vectors": Buffer.concat([
      hex("4449444c 03 6d01 6d02 6d7e 01 00 03"),
      ...Array.from({ length: 3 }, () => Buffer.concat([hex("a08d06"), Buffer.alloc(100_000)])),
    ]),
    "a record that holds itself": hex("4449444c 01 6c01 0000 01 00"),
    "30,000 fields of records that nothing is of": Buffer.concat([
      hex("4449444c 64"),
      // 100 records of 300 fields, each a null.
      ...Array.from({ length: 100 }, () =>
        Buffer.concat([
          hex("6c ac02"),
          ...Array.from({ length: 300 }, (_, i) =>
            hex(i < 128 ? byte(i) : `${byte((i & 127) | 128)}${byte(i >> 7)}`),
          ).flatMap((field) => [field, hex("7f")]),
        ]),
      ),
      hex("00"),
    ]),
    "more than a megabyte": Buffer.concat([hex("4449444c 01 6d7b 01 00 80897a"), Buffer.alloc(2_000_000)]),
    "no Candid": hex("00"),
    "half a status": hex(status),
  };
  // The error of a reply that was decoded would be another one: a bomb is refused before that.
  const before = { name: "FormatError", message: /^(?!the reply is of another type)/ };
  for (const [name, reply] of Object.entries(bombs)) {
    await t.rejects(answering(reply).status(), before, name);
    await t.rejects(answering(reply).roles(), before, name);
  }
  await t.rejects(answering(IDL.encode([IDL.Text], ["no"])).status(), {
    name: "FormatError",
    message: "the reply is of another type than the method's",
  });
});
