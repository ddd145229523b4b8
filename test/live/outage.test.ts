/** Waiting for a network that is late (--retry): for which errors, for how long, and until a signal. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { FormatError, UserError } from "../../lib/errors.ts";
import {
  ClockError,
  ERROR_CODES,
  HttpStatusError,
  NoAnswerError,
  NoWayError,
  RejectError,
} from "../../lib/ic/call-errors.ts";
import { UntimelyError, VerificationError } from "../../lib/ic/certificate/certificate.ts";
import { NetworkUnreachableError } from "../../lib/ic/network.ts";
import { isOutage, untilNetworkAnswers } from "../../lib/live/outage.ts";
import { eventually, mountpointFor } from "../mount/mounts.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const never = new AbortController().signal;

/** Makes attempts of which the nth succeeds. @returns the result, the number of attempts, and what was logged and told */
async function attempts(n: number, retry: number, error: Error) {
  const warnings: string[] = [];
  const nothing = () => {};
  const log = { debug: nothing, info: nothing, warn: (text: string) => warnings.push(text), error: nothing };
  let made = 0;
  const attempt = async () => {
    made += 1;
    if (made < n) throw error;
    return "open";
  };
  const said: string[] = [];
  const waiting = (reason: string) => void said.push(reason);
  const result = await untilNetworkAnswers(attempt, { retry, waiting, log }, never).catch((thrown) => thrown);
  return { result, made, warnings, said };
}

t.test("attempts go on for as long as --retry allows, and the wait is reported", async (t) => {
  const refused = new Error("connect ECONNREFUSED 192.0.2.1:443");
  const warning =
    "the network has no answer that counts yet, trying again: connect ECONNREFUSED 192.0.2.1:443";
  t.same(await attempts(1, 0, refused), { result: "open", made: 1, warnings: [], said: [] });
  t.same(
    await attempts(3, 60_000, refused),
    { result: "open", made: 3, warnings: [warning, warning], said: [refused.message] },
    "the wait is reported once",
  );
  t.same(await attempts(3, 0, refused), { result: refused, made: 1, warnings: [], said: [] });
  const { result, made } = await attempts(1000, 2000, refused);
  t.equal(result, refused);
  t.ok(made >= 2 && made <= 10, `${made} attempts`);
});

const unreachable = (cause: Error) =>
  new NetworkUnreachableError("no network answers: start one", "http://127.0.0.1:1", cause);

t.test("only errors that may soon be over are retried", async (t) => {
  const soon = [
    new NoAnswerError("no answer within 5 s"),
    new NoAnswerError("getaddrinfo EAI_AGAIN icp-api.io"),
    new Error("what the agent's decoders choke on"),
    new HttpStatusError(503, "Service Unavailable"),
    new HttpStatusError(429, "Too Many Requests"),
    new HttpStatusError(408, "Request Timeout"),
    // The kind of error counts, not its words.
    new NoAnswerError("HTTP status 404 is what it was about"),
    unreachable(new NoAnswerError("connect ECONNREFUSED 127.0.0.1:1")),
    new ClockError("the network refuses the time of this request: set this host's clock"),
    new UntimelyError("the certificate is refused: it is more than 5 minutes in the future"),
    new RejectError(2, "the subnet is busy"),
    // Any gateway can say this: nobody signs it.
    new RejectError(5, "it is out of cycles", ERROR_CODES.outOfCycles),
  ];
  const lasting = [
    new UserError("canister has no release yet"),
    new VerificationError("the certificate is refused"),
    new FormatError("what answers is not an IC network"),
    new RejectError(3, "canister not found"),
    new HttpStatusError(400, "Bad Request"),
    new HttpStatusError(404, "Not Found"),
    new HttpStatusError(407, "Proxy Authentication Required"),
    new NoWayError("getaddrinfo ENOTFOUND icp-api.oi"),
    unreachable(new HttpStatusError(404, "Not Found")),
  ];
  for (const error of soon) t.equal(isOutage(error), true, error.message);
  for (const error of lasting) {
    t.equal(isOutage(error), false, error.message);
    t.match(await attempts(2, 60_000, error), { result: error, made: 1 });
  }
});

t.test("a signal ends the wait", async (t) => {
  const directory = await temporaryDirectory(t);
  const env = cleanEnvironment(directory);
  const mountpoint = await mountpointFor(t);
  const key = `308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100${"00".repeat(96)}`;
  const args = [
    "oeagv-5qaaa-aaaah-aar4q-cai",
    mountpoint,
    "--network",
    "http://127.0.0.1:1",
    "--root-key",
    key,
  ];
  const log = join(directory, "log");
  // Longer than a test may take: only the signal ends the wait.
  const waiting = ["mount", ...args, "--retry", "1h", "--log-file", log];
  const foreground = await run(BIN, [...waiting, "--foreground"], {
    env,
    started: async (child) => {
      await once(child.stderr!, "data");
      child.kill("SIGTERM");
    },
  });
  t.match(foreground, {
    code: 1,
    stderr: /trying again[\s\S]*icfs: ended by a signal while it waited for the network\n$/,
  });
  // In the background the copy waits. The process that started it ends as shells expect.
  const background = await run(BIN, waiting, {
    env,
    started: async (child) => {
      await once(child.stderr!, "data");
      await eventually("it waits", async () =>
        /trying again/.test(await readFile(log, "utf8").catch(() => "")),
      );
      child.kill("SIGTERM");
    },
  });
  t.match(background, {
    code: 128 + 15,
    stderr: `icfs: no answer from the network http://127.0.0.1:1 yet (connect ECONNREFUSED 127.0.0.1:1): goes on trying for 60 min (retry); the log is ${log}\n`,
  });
});

t.test("the root key of a network on this host is waited for as well", async (t) => {
  const directory = await temporaryDirectory(t);
  const network = ["--network", "http://127.0.0.1:1", "--retry", "1h"];
  for (const [command, ...where] of [
    ["mount", await mountpointFor(t), "--foreground"],
    ["serve", "--listen", "127.0.0.1:0"],
  ] as const) {
    const { stderr } = await run(BIN, [command, "oeagv-5qaaa-aaaah-aar4q-cai", ...where, ...network], {
      env: cleanEnvironment(directory),
      started: async (child) => {
        await once(child.stderr!, "data");
        child.kill("SIGTERM");
      },
    });
    t.match(stderr, /trying again: connect ECONNREFUSED 127\.0\.0\.1:1\n/, command);
  }
});
