import t from "tap";
import { UserError } from "../../lib/errors.ts";
import {
  ClockError,
  ERROR_CODES,
  HttpStatusError,
  isTransient,
  NoAnswerError,
  RejectError,
  SYS_TRANSIENT,
} from "../../lib/ic/call-errors.ts";

t.test("whether an error is transient depends on its class and code, not on its words", async (t) => {
  const words = "HTTP status 404 Not Found: Canister not found, out of cycles";
  for (const error of [
    new NoAnswerError(words),
    new ClockError(words),
    new RejectError(SYS_TRANSIENT, words),
    new RejectError(SYS_TRANSIENT, words, ERROR_CODES.outOfCycles),
    new RejectError(SYS_TRANSIENT + 3, words, ERROR_CODES.outOfCycles),
    new HttpStatusError(429, words),
    new HttpStatusError(500, words),
    new Error(words),
  ]) {
    t.ok(isTransient(error), `${error}`);
  }
  for (const error of [
    new RejectError(SYS_TRANSIENT + 1, "no answer within 5 s"),
    new HttpStatusError(400, "no answer within 5 s"),
    new HttpStatusError(499, "no answer within 5 s"),
    new UserError("a file changed"),
    undefined,
  ]) {
    t.notOk(isTransient(error), `${error}`);
  }
});
