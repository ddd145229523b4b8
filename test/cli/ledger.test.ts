/** The times and machines of `icfs boots` and `icfs explain`. */
import t from "tap";
import { machineOf, momentOf } from "../../lib/cli/ledger.ts";

t.test("times", async (t) => {
  t.equal(momentOf("2026-11-30"), Date.UTC(2026, 10, 30));
  t.equal(momentOf("2026-11-30T07:00:00+01:00"), Date.UTC(2026, 10, 30, 6));
  t.ok(Math.abs(momentOf("1.5h") - Date.now() + 5_400_000) < 60_000);
  t.equal(momentOf("104249991d"), 0, "older than any time");
  for (const text of ["2026", "20261130", "noon", "", "2026-11", "2026-13-01", "2026-11-30 noon", "-1d"])
    t.throws(() => momentOf(text), { message: /Use a time such as/ }, text);
});

t.test("machines", async (t) => {
  for (const mac of ["52:54:00:69:63:6A", "52-54-00-69-63-6a", "5254.0069.636a", "52540069636A"])
    t.equal(machineOf(mac), "52:54:00:69:63:6a");
  t.equal(machineOf("FD69:0::2"), "fd69::2");
  for (const text of ["web-1", "", "52:54:00:69:63", "1.2.3"])
    t.throws(() => machineOf(text), { message: /Use a MAC such as/ }, text);
});
