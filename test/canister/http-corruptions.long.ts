/**
 * Ten thousand answers, changed at random between canister and gateway. The main network's verification refuses each of them, or passes on
 * exactly what the canister has certified for that path.
 */
import { randomBytes } from "node:crypto";
import t from "tap";
import type { Entry } from "../../lib/tree/manifest.ts";
import { askHttp, gatewayAgent, type HttpAnswer, verifyHttp } from "../support/http.ts";
import { sha256, startIcfsCanister } from "../support/icfs-canister.ts";
import { newSeed, random } from "../support/random.ts";

const MIB = 1024 * 1024;
const CORRUPTIONS = 10_000;

const seed = newSeed();
const randomInt = random(seed);
const pick = <T>(items: readonly T[]): T => items[randomInt(items.length)]!;

/** Changes some bytes, or their number. The result always differs. */
function corrupted(bytes: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(bytes);
  if (bytes.length === 0 || randomInt(8) === 0) {
    return Buffer.concat([
      bytes,
      Buffer.from(Array.from({ length: 1 + randomInt(3) }, () => randomInt(256))),
    ]);
  }
  if (randomInt(8) === 0) return changed.subarray(0, randomInt(bytes.length));
  for (let i = 0; i <= randomInt(3); i++) changed[randomInt(bytes.length)]! ^= 1 + randomInt(255);
  return Buffer.compare(changed, bytes) === 0 ? corrupted(bytes) : changed;
}

type Header = [string, string];

const PROOF = "ic-certificate";
const PARTS = ["certificate", "tree", "expr_path"] as const;

function partOf({ headers }: HttpAnswer, part: string): string {
  return new RegExp(`${part}=:([^:]*):`).exec(headers.find(([name]) => name === PROOF)![1])![1]!;
}

function withPart(answer: HttpAnswer, part: string, base64: string): HttpAnswer {
  const headers = answer.headers.map(
    ([name, value]): Header =>
      name === PROOF
        ? [name, value.replace(new RegExp(`${part}=:[^:]*:`), () => `${part}=:${base64}:`)]
        : [name, value],
  );
  return { ...answer, headers };
}

/** Ways to change an answer. The other answer is of another path, piece or release. */
const WAYS: Record<string, (answer: HttpAnswer, other: HttpAnswer) => HttpAnswer> = {
  body: (answer) => ({ ...answer, body: corrupted(answer.body) }),
  "another's body": (answer, other) => ({ ...answer, body: other.body }),
  status: (answer) => ({ ...answer, status: pick([200, 204, 206, 301, 304, 404, 405, 500]) }),
  "a header's value": (answer) => {
    const at = randomInt(answer.headers.length);
    return {
      ...answer,
      headers: answer.headers.map(
        ([name, value], i): Header =>
          i === at
            ? [
                name,
                Buffer.from(corrupted(Buffer.from(value)))
                  .toString("latin1")
                  .replace(/[^\x20-\x7e]/g, "~"),
              ]
            : [name, value],
      ),
    };
  },
  "a header less": (answer) => {
    const at = randomInt(answer.headers.length);
    return { ...answer, headers: answer.headers.filter((_, i) => i !== at) };
  },
  "a header more": (answer) => ({ ...answer, headers: [...answer.headers, ["x-more", "1"]] }),
  "part of the proof": (answer) => {
    const part = pick(PARTS);
    const bytes = Buffer.from(partOf(answer, part), "base64");
    return withPart(answer, part, Buffer.from(corrupted(bytes)).toString("base64"));
  },
  "part of another's proof": (answer, other) => {
    const part = pick(PARTS);
    return withPart(answer, part, partOf(other, part));
  },
  "another's proof": (answer, other) =>
    PARTS.reduce((changed, part) => withPart(changed, part, partOf(other, part)), answer),
  "another's answer": (_, other) => other,
};

t.test(`no corrupted answer passes with other content; SEED=${seed}`, { timeout: 1_800_000 }, async (t) => {
  const canister = await startIcfsCanister(t, { api: "both" });
  const { network, id, owner } = canister;
  const agent = gatewayAgent(network);
  const long = randomBytes(MIB + 9);
  const publish = async (text: string) => {
    const chunks = [Buffer.from(text), long.subarray(0, MIB), long.subarray(MIB)];
    for (const chunk of chunks) await owner.put([chunk]);
    const file = (path: string, used: number[]): Entry => {
      const bytes = Buffer.concat(used.map((chunk) => chunks[chunk]!));
      const extents = used.map((chunk) => ({ chunk, offset: 0, length: chunks[chunk]!.length }));
      return {
        kind: "file",
        path,
        modified: 0n,
        size: bytes.length,
        sha256: sha256(bytes),
        executable: false,
        extents,
      };
    };
    const entries = [file("a", [0]), file("b", [0]), file("long", [1, 2])];
    const table = chunks.map((chunk) => ({ sha256: sha256(chunk), size: chunk.length }));
    t.ok("ok" in (await canister.publish({ chunks: table, entries })));
  };
  await publish("the first");
  const before = await askHttp(agent, id, "/a");
  await publish("the second");

  interface Known {
    readonly url: string;
    readonly answer: HttpAnswer;
    /** What a client gets, as handedOn() describes it. */
    readonly text: string;
  }
  /** What the client gets, as text: status, certified headers, body. */
  const handedOn = (url: string, answer: HttpAnswer): string | undefined => {
    try {
      const { response } = verifyHttp(url, answer, id, network.rootKey);
      if (response === undefined) return "not certified";
      const headers = response.headers.filter(([name]: Header) => name.toLowerCase() !== PROOF).sort();
      return JSON.stringify([response.statusCode, headers, sha256(response.body).toString("hex")]);
    } catch {
      return undefined;
    }
  };
  const known: Known[] = [];
  const know = (url: string, answer: HttpAnswer) => {
    const text = handedOn(url, answer);
    if (text === undefined || text === "not certified") throw new Error(`${url} does not verify`);
    const one = { url, answer, text };
    known.push(one);
    return one;
  };
  for (const url of [
    "/a",
    "/b",
    "/none",
    "/long",
    "/",
    "/.icfs/at/1/a",
    "/.icfs/at/2/a",
    "/.icfs/at/2/none",
  ]) {
    know(url, await askHttp(agent, id, url));
  }
  know("/a", await askHttp(agent, id, "/a", { headers: [["if-none-match", "*"]] }));
  know("/a", await askHttp(agent, id, "/a", { method: "POST" }));
  const whole: Known[] = [];
  for (const url of ["/.icfs/at/1/long", "/.icfs/at/2/long"]) {
    whole.push(know(url, await askHttp(agent, id, url)));
    know(url, await askHttp(agent, id, url, { headers: [["range", `bytes=${MIB}-`]] }));
  }
  const last = know("/a", before);
  // Answers of 1 MiB are left out: they take ten times as long, and show no more.
  const quick = known.filter((one) => !whole.includes(one));
  /** Whether this is another answer of the same path. As everywhere on the IC, it can be replayed while its certificate is valid. */
  const isReplayed = (url: string, text: string) => known.some((one) => one.url === url && one.text === text);

  const asItWas: Record<string, number> = {};
  let [refused, replayed, older] = [0, 0, 0];
  for (let i = 0; i < CORRUPTIONS; i++) {
    const { url, answer, text: own } = pick(randomInt(20) === 0 ? known : quick);
    const other = pick(quick).answer;
    const [name, way] = pick(Object.entries(WAYS));
    const text = handedOn(url, way(answer, other));
    if (text === undefined) refused += 1;
    else if (text === own) asItWas[name] = (asItWas[name] ?? 0) + 1;
    else if (name === "another's answer" && isReplayed(url, text)) {
      replayed += 1;
      if (text === last.text) older += 1;
    } else t.fail(`${url}, with ${name} changed: ${text}`);
  }
  t.comment(`${refused} refused; accepted, and passed on as they were: ${JSON.stringify(asItWas)}`);
  t.comment(`${replayed} are another whole answer of the same path, ${older} of these of the release before`);
  t.ok(refused > CORRUPTIONS / 2, "most of the corrupted answers are refused");
});
