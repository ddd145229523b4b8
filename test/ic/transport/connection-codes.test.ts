/** Which failures of connections pass by themselves, by Node's error codes. */
import t from "tap";
import { codeOf, isLastingCode } from "../../../lib/ic/transport/connection-codes.ts";

t.test("errors that another attempt would not fix", (t) => {
  const lasting = [
    "ENOTFOUND",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "CERT_REVOKED",
  ];
  const passing = ["EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EPROTO"];
  // This host's clock may not be set yet.
  const clocks = ["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"];
  for (const code of lasting) t.equal(isLastingCode(code), true, code);
  for (const code of [...passing, ...clocks]) t.equal(isLastingCode(code), false, code);
  t.end();
});

t.test("an error's code is its own or its cause's", (t) => {
  const coded = (code: string) => Object.assign(new Error(), { code });
  t.equal(codeOf(coded("A")), "A");
  t.equal(codeOf(new Error("", { cause: new Error("", { cause: coded("B") }) })), "B");
  t.equal(codeOf(new AggregateError([coded("C"), coded("D")])), "C");
  for (const none of [undefined, "text", new Error(), new AggregateError([])])
    t.equal(codeOf(none), undefined);
  t.end();
});
