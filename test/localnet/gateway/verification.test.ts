/** Answers that are too old, or too new. gateway.test.ts has other faults of answers. */
import t from "tap";
import { type CanisterAnswer, type Header, queryHttp } from "../../../localnet/gateway/http-canister.ts";
import { verify } from "../../../localnet/gateway/verification.ts";
import { certifiedSite, startCertifier } from "../../support/certifier.ts";
import { ask } from "../../support/web.ts";

const MINUTE_NS = 60_000_000_000n;

t.test("an answer is valid for five minutes before and after the time of its certificate", async (t) => {
  const { canister, url, rootKey, actor, answer } = await startCertifier(t);
  const body = Buffer.from("hello");
  const hello = { status: 200, headers: [["Content-Type", "text/plain"]] as Header[], body };
  const site = certifiedSite([{ path: "/hello", answer: hello }]);
  await actor.certify(site.root);
  await answer("GET /hello", site.proved("/hello", hello));
  const { headers } = await ask(url, `${canister}.localhost`, "/hello");
  const names = ["content-type", "ic-certificateexpression", "ic-certificate"];
  const received: CanisterAnswer = {
    status: 200,
    headers: names.map((name): Header => [name, String(headers[name])]),
    body,
    upgrade: false,
    streaming: undefined,
  };
  const request = { method: "GET", url: "/hello", headers: [], body: new Uint8Array() };
  const now = BigInt(Date.now()) * 1_000_000n;
  const at = (minutes: bigint, key = rootKey) =>
    verify(request, received, canister.toUint8Array(), now + minutes * MINUTE_NS, key);
  t.match(await at(0n), { version: 2 });
  t.match(await at(4n), { version: 2 });
  t.match(await at(-4n), { version: 2 });
  await t.rejects(at(6n), /failed verification/, "too old");
  await t.rejects(at(-6n), /failed verification/, "a certificate from the future");
  const otherKey = Uint8Array.from(rootKey);
  otherKey[otherKey.length - 1]! ^= 1;
  await t.rejects(at(0n, otherKey), /failed verification/);
});

t.test("an answer that is not an HTTP response is refused", async (t) => {
  const request = { method: "GET", url: "/", headers: [], body: new Uint8Array() };
  const asked = queryHttp(async () => Buffer.from("DIDL\0\0"), new Uint8Array(), request);
  await t.rejects(asked, /is not an HTTP response/);
});
