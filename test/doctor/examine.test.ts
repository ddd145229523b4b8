/** The checks end, whatever one of them does. */
import t from "tap";
import { type Check, type Examined, examine, ok } from "../../lib/doctor/check.ts";
import { hostWith } from "../support/hosts.ts";

t.test("the checks' lines come in their order, and no check holds up another", async (t) => {
  const last = Promise.withResolvers<void>();
  const checks: Check[] = [
    { name: "hanging", run: () => new Promise(() => {}) },
    { name: "failing", run: async () => Promise.reject(new Error("no such thing\nand more")) },
    { name: "none", run: async () => [] },
    { name: "waiting for the last", run: () => last.promise.then(() => [ok("it has begun")]) },
    {
      name: "two",
      run: async () => {
        last.resolve();
        return [ok("first"), ok("second")];
      },
    },
  ];
  const found: Examined[] = [];
  for await (const one of examine(checks, await hostWith(t, {}), 300)) found.push(one);
  t.same(found, [
    { check: "hanging", level: "fail", message: "no answer within 0.3 s" },
    { check: "failing", level: "fail", message: "no such thing" },
    { check: "waiting for the last", level: "ok", message: "it has begun" },
    { check: "two", level: "ok", message: "first" },
    { check: "two", level: "ok", message: "second" },
  ]);
});
