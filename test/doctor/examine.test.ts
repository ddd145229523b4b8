/** That checks are made within their time, whatever one of them does. */
import t from "tap";
import { type Check, type Examined, examine, ok } from "../../lib/doctor/check.ts";
import { hostWith } from "../support/hosts.ts";

t.test("each check has its lines, in their order, and no check holds up another", async (t) => {
  const checks: Check[] = [
    { name: "hanging", run: () => new Promise(() => {}) },
    { name: "failing", run: async () => Promise.reject(new Error("no such thing\nand more")) },
    { name: "none", run: async () => [] },
    { name: "two", run: async () => [ok("first"), ok("second")] },
  ];
  const found: Examined[] = [];
  const started = performance.now();
  for await (const one of examine(checks, await hostWith(t, {}), 300)) found.push(one);
  t.ok(performance.now() - started < 5000);
  t.same(found, [
    { check: "hanging", level: "fail", message: "no answer within 0.3 s" },
    { check: "failing", level: "fail", message: "no such thing" },
    { check: "two", level: "ok", message: "first" },
    { check: "two", level: "ok", message: "second" },
  ]);
});
