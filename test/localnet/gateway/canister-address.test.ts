import type { IncomingMessage } from "node:http";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { targetOf } from "../../../localnet/gateway/canister-address.ts";

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";

/** The canister, as text, and the URL that the canister gets. */
function target(host: string | undefined, url: string) {
  const { canister, url: rest } = targetOf({ url, headers: { host } } as IncomingMessage);
  return [canister && Principal.fromUint8Array(canister).toText(), rest];
}

t.test("the canister is the first label of the host, below any domain", async (t) => {
  for (const host of [`${ID}.localhost:4943`, `${ID}.icp0.io`, ID, `${ID.toUpperCase()}.Boot.Example`])
    t.strictSame(target(host, "/a%20b?c=d"), [ID, "/a%20b?c=d"], host);
  t.strictSame(
    target(`${ID}.localhost`, "/?canisterId=aaaaa-aa"),
    [ID, "/?canisterId=aaaaa-aa"],
    "the canister in the query is ignored",
  );
});

t.test("the canister is taken from the query when the host names none", async (t) => {
  for (const host of ["127.0.0.1:4943", "localhost", "[::1]:80", "boot.example", undefined]) {
    t.strictSame(target(host, `/x?a=b&canisterId=${ID}`), [ID, `/x?a=b&canisterId=${ID}`], `${host}`);
    t.strictSame(target(host, "/x?canister=y"), [undefined, "/x?canister=y"]);
  }
  // One wrong letter makes the checksum wrong.
  const wrong = `/?canisterId=${ID.replace("oeagv", "oeagw")}`;
  t.throws(() => target("localhost", wrong), /is not a canister id/);
  t.strictSame(target(`${ID.replace("oeagv", "oeagw")}.localhost`, "/"), [undefined, "/"]);
});

t.test("an absolute URL in the request line takes precedence over Host", async (t) => {
  t.strictSame(target("proxy.example", `http://${ID}.localhost:80/a`), [ID, "/a"]);
  t.strictSame(target("proxy.example", `http://${ID}.localhost`), [ID, "/"]);
});

t.test("invalid paths and raw hosts are refused", async (t) => {
  t.throws(() => target(`${ID}.localhost`, "*"), /is not a path/);
  t.throws(() => target(`${ID}.raw.icp0.io`, "/"), /verified answers only/);
});
