/** The words by which icfs tells the canister's refusals apart: they stand in canister/main.mo and in the Wasm. */
import { readFileSync } from "node:fs";
import { AnonymousIdentity, HttpAgent } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { FormatError, messageOf } from "../lib/errors.ts";
import { HttpStatusError, NoAnswerError, RejectError, SignatureError } from "../lib/ic/call-errors.ts";
import { explained, isRefusedReader, isRefusedSender, REFUSALS, refusalToRead } from "../lib/refusals.ts";

import { BIN, cleanEnvironment, run, temporaryDirectory } from "./support/icfs.ts";

const main = readFileSync(new URL("../canister/main.mo", import.meta.url), "utf8");
const wasm = readFileSync(new URL("../build/icfs.wasm", import.meta.url));

const canister = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");
const anonymous = new AnonymousIdentity().getPrincipal();
/** A trap as the network reports it. */
const trapped = (words: string) => new RejectError(5, `canister x rejects "y": ${words}`, "IC0503", words);

t.test("the words of refusals are the canister's own", async (t) => {
  const traps = [...main.matchAll(/Runtime\.trap\("([^"]*)"/g)].map(([, words]) => words!);
  t.ok(traps.length > 5, "the canister's trap messages are found");
  t.ok(
    traps.some((words) => words.startsWith(REFUSALS.private)),
    "main.mo",
  );
  for (const words of [REFUSALS.private, REFUSALS.sender]) t.ok(wasm.includes(words), words);
});

t.test("a refused sender is recognised", async (t) => {
  t.ok(isRefusedSender(trapped(REFUSALS.sender)));
  t.ok(isRefusedSender(new RejectError(4, "Error from Canister x: Canister rejected the message", "IC0406")));
  t.notOk(isRefusedSender(trapped("over quota: the canister stores at most 1 bytes")));
  t.notOk(isRefusedSender(trapped(REFUSALS.private)));
  t.notOk(isRefusedSender(new HttpStatusError(403, REFUSALS.sender)));
  t.notOk(isRefusedSender(new Error(REFUSALS.sender)));
});

t.test("a reader refused by a private canister is recognised, and told what to do", async (t) => {
  const error = trapped(`${REFUSALS.private}, and 2vxsx-fae is not a reader`);
  t.ok(isRefusedReader(error));
  const home = await temporaryDirectory(t);
  process.env.XDG_CONFIG_HOME = home;
  const nobody = `${canister} is private, and no key was given: give a reader's or an owner's with --identity PEM`;
  t.equal(refusalToRead(error, anonymous, canister), nobody);
  const own = (await run(BIN, ["identity"], { env: { ...cleanEnvironment(home), XDG_CONFIG_HOME: home } }))
    .code;
  t.equal(own, 0);
  t.equal(
    refusalToRead(error, anonymous, canister),
    `${nobody}; your own is --identity ${home}/icfs/identity.pem`,
    "the host's own identity is suggested once it exists",
  );
  t.match(refusalToRead(error, canister, canister), /or have an owner run `icfs grant \S+ \S+ reader`$/);
  for (const other of [trapped(REFUSALS.sender), new Error(REFUSALS.private)]) {
    t.notOk(isRefusedReader(other));
    t.equal(refusalToRead(other, anonymous, canister), undefined);
  }
});

t.test("a quota is shown in units that people read", async (t) => {
  const agent = HttpAgent.createSync({ host: "http://127.0.0.1:1", identity: new AnonymousIdentity() });
  const refused = (words: string) =>
    explained(Promise.reject(trapped(words)), agent, canister, { what: "publish", by: "publisher" });
  const message = /: over quota: the canister stores at most (.*)$/;
  for (const [bytes, text] of [
    ["107_374_182_400 bytes", "100 GiB"],
    ["1_500_000 bytes", "1.5 MB"],
    ["1_000 bytes", "1_000 bytes"],
  ]) {
    const error: Error = await refused(`over quota: the canister stores at most ${bytes}`).catch((e) => e);
    t.equal(message.exec(error.message)?.[1], text);
  }
});

t.test("without a valid answer, the error does not say that nothing was done", async (t) => {
  const agent = HttpAgent.createSync({ host: "http://127.0.0.1:1", identity: new AnonymousIdentity() });
  const told = (error: Error, by: "owner" | "publisher") =>
    explained(Promise.reject(error), agent, canister, { what: "grant roles", by }).catch(messageOf);
  const unknown = /^no answer says whether the canister did grant roles \(.*\): run the command again/;
  for (const error of [
    new NoAnswerError("the connection was closed"),
    new FormatError("the answer certifies another call"),
    new SignatureError("another one's"),
    new HttpStatusError(502, "HTTP status 502"),
  ]) {
    t.match(await told(error, "owner"), unknown, error.name);
    t.match(await told(error, "publisher"), /^the canister did not grant roles/);
  }
  for (const error of [trapped("there are 1000 roles already"), new HttpStatusError(413, "too large")])
    t.match(await told(error, "owner"), /^the canister did not grant roles/, error.name);
});
