/** A host's record of a canister's channels. */
import t from "tap";
import { MOST_CHANNELS, mustBeFew } from "../../../lib/source/icfs/accepted-channels.ts";

const names = (count: number, prefix = "channel") => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const accepted = (all: readonly string[]) =>
  Object.fromEntries(all.map((name) => [name, { serial: 1, record: "00".repeat(32) }]));

t.test("a canister that keeps showing other channels cannot fill the file", async (t) => {
  mustBeFew(names(MOST_CHANNELS), undefined);
  mustBeFew(names(MOST_CHANNELS), accepted(names(MOST_CHANNELS)));
  const refused = { name: "VerificationError", message: /more than 200 channels/ };
  t.throws(() => mustBeFew(names(MOST_CHANNELS + 1), undefined), refused);
  t.throws(() => mustBeFew(["one more"], accepted(names(MOST_CHANNELS))), refused);
});
