/** Whether the network answers, with which root key, and whether the clocks agree. */
import { NoAnswerError } from "../ic/call-errors.ts";
import { hintAtLocal, isProxied } from "../ic/first-contact.ts";
import { type Network, rootKeyOf } from "../ic/network.ts";
import { networkProblem } from "../ic/network-problem.ts";
import { ageText } from "../units.ts";
import { type Check, type Finding, fail, ok, warn } from "./check.ts";

/** Milliseconds. A certificate whose time is more than five minutes from this host's is refused (lib/ic/certificate/certificate.ts). */
const MOST_SKEW = 5 * 60_000;
/** A larger difference is no accident: one of the two clocks is not synchronized. */
const NOTABLE_SKEW = 30_000;
/** Milliseconds. An HTTP Date is truncated to the second, so it is behind by half a second on average. */
const HALF_A_SECOND = 500;

export const reachable: Check = {
  name: "network",
  async run({ network, statuses }) {
    const found = [];
    for (const [url, status] of await statuses()) {
      if (!(status instanceof Error)) found.push(ok(`${url} answers`));
      else found.push(await absent({ ...network, url }, status));
    }
    // The other gateways are enough.
    const isThere = found.some(({ level }) => level === "ok");
    return found.map((one) => (isThere && one.level === "fail" ? warn(one.message, one.advice!) : one));
  },
};

async function absent(gateway: Network, error: Error): Promise<Finding> {
  const { message, advice } = networkProblem(gateway, error);
  // A proxy's error has its own advice, and a local network does not help there.
  const isElsewhere =
    error instanceof NoAnswerError &&
    error.advice === undefined &&
    !gateway.loopback &&
    !(await isProxied(gateway.url));
  return fail(message, (isElsewhere ? await hintAtLocal(gateway.url) : undefined) ?? advice);
}

export const rootKey: Check = {
  name: "root key",
  async run({ network, rootKey: given, statuses }) {
    // Its message says what to do.
    const key = await rootKeyOf(network, given);
    const origin =
      given !== undefined
        ? "given with --root-key"
        : network.loopback
          ? "fetched from the network, as it is on this host"
          : "built in";
    const others = [...(await statuses())].filter(
      ([, one]) => !(one instanceof Error) && !Buffer.from(key).equals(one.rootKey),
    );
    if (others.length === 0) return [ok(origin)];
    return others.map(([url]) =>
      fail(
        `it is ${origin}, but ${url} says that it has another one: nothing from there will verify`,
        "correct --network or --root-key: they do not belong together",
      ),
    );
  },
};

export const clock: Check = {
  name: "clock",
  async run({ status }) {
    const answer = await status();
    // The missing answer has been reported already.
    if (answer === undefined) return [];
    if (answer.time === undefined) {
      return [
        warn(
          "the network's answers have no Date to compare this host's clock with",
          "look at it: date; timedatectl",
        ),
      ];
    }
    return [compared(answer.askedAt.getTime() - answer.time.getTime() - HALF_A_SECOND)];
  },
};

/** @param ahead milliseconds by which this host's clock is ahead of the network's */
function compared(ahead: number): Finding {
  const off = Math.abs(ahead);
  const source = "by the Date of its answer";
  if (off <= NOTABLE_SKEW) return ok(`within ${ageText(Math.max(1000, off))} of the network's, ${source}`);
  const message = `this host's clock is ${ageText(off)} ${ahead > 0 ? "ahead of" : "behind"} the network's, ${source}`;
  const advice = "set it, and keep it set: timedatectl set-ntp true, or chronyd";
  return off > MOST_SKEW ? fail(`${message}: no certificate is accepted`, advice) : warn(message, advice);
}
