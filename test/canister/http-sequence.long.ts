/** A random sequence of operations on a canister, compared with a model: every answer over HTTP verifies, and is of the right release. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { type HttpAnswer, headerOf } from "../support/http.ts";
import { startIcfsCanister } from "../support/icfs-canister.ts";
import { newSeed, random } from "../support/random.ts";
import { type Content, publishTree, siteOf, smallLimits } from "../support/site.ts";

const MIB = 1024 * 1024;
const STEPS = 40;
const IN_A_ROW = 100;

const seed = newSeed();
const randomInt = random(seed);
const pick = <T>(items: readonly T[]): T => items[randomInt(items.length)]!;

type Tree = Readonly<Record<string, Content>>;

/** The bytes of the file at a path. */
function at(tree: Tree, path: string): Buffer | undefined {
  const content = tree[path.replace(/^link\//, "d/")];
  return Buffer.isBuffer(content) ? content : undefined;
}

t.test(
  `every answer is right during a random sequence of operations; SEED=${seed}`,
  { timeout: 1_800_000 },
  async (t) => {
    const wasm = smallLimits(t);
    const canister = await startIcfsCanister(t, { api: "both" }, wasm);
    const { get } = siteOf(canister);
    const { owner, network, id } = canister;
    const long = [randomBytes(MIB + 5), randomBytes(MIB + 1)];
    const text = () => Buffer.from(`${randomInt(1000)}`);
    /** Each release's tree. */
    const trees = new Map<number, Tree>();
    let newest = 0;
    const { settings } = await owner.status();
    await owner.configure({ ...settings, hold_newest: 3, hold_nanoseconds: 0n });

    /** A copy of a tree in which some files are added, removed or changed. */
    const changed = (tree: Tree): Tree => {
      const next: Record<string, Content> = { ...tree, d: null, link: { link: "d" } };
      const some = randomInt(3) === 0 ? 60 : 3;
      for (let i = 0; i < some; i++) next[`${pick(["", "d/"])}f${100 + randomInt(60)}`] = text();
      for (const path of Object.keys(next)) if (path.includes("f1") && randomInt(20) === 0) delete next[path];
      if (randomInt(3) === 0) next.long = pick(long);
      else if (randomInt(6) === 0) delete next.long;
      if (randomInt(4) === 0) next["index.html"] = text();
      return next;
    };

    const publish = async () => {
      const tree = changed(trees.get(pick([newest, Math.max(newest - 1, 0)])) ?? {});
      t.equal(await publishTree(canister, tree), BigInt(newest + 1));
      newest += 1;
      trees.set(newest, tree);
    };
    const steps = {
      publish,
      async "publish twice"() {
        await publish();
        await publish();
      },
      async rollback() {
        const { held } = await owner.status();
        if (held.length === 0) return;
        const to = pick([...held]);
        const parent: [] | [Uint8Array] = [(await reader.head())!.hash];
        t.match(await owner.rollback({ to, parent, note: "" }), { ok: BigInt(newest + 1) });
        newest += 1;
        trees.set(newest, trees.get(Number(to))!);
      },
      async keep() {
        const { held, kept } = await owner.status();
        if (held.length === 0) return;
        const number = pick([...held]);
        await owner.keep(number, !kept.includes(number));
      },
      async unkeep() {
        for (const number of (await owner.status()).kept) await owner.keep(number, false);
      },
      async private() {
        await owner.restrict(!(await owner.status()).is_private);
      },
      async switch() {
        await owner.serve_http(!(await owner.status()).http[0]!.on);
      },
      async upgrade() {
        await network.replace(id, "upgrade", wasm);
      },
      async settle() {
        await settle();
      },
    };
    const reader = canister.source;

    /** The part of the canister's status that decides what it serves. */
    const state = async () => {
      const { held, kept, http, is_private: isPrivate } = await owner.status();
      const { on, release, bytes } = http[0]!;
      return {
        held: Array.from(held, Number),
        kept: Array.from(kept, Number),
        shown: Number(release),
        isServed: on && !isPrivate,
        isPrivate,
        bytes,
      };
    };
    type State = Awaited<ReturnType<typeof state>>;
    /** The releases below /.icfs/at/ once all pages are made. */
    const pinned = ({ held, kept, shown }: State) =>
      [...trees.keys()].filter(
        (number) =>
          number === shown ||
          number === newest ||
          (held.includes(number) && (number + 1 === shown || kept.includes(number))),
      );

    /** Checks some URLs. Pages may become ready meanwhile, so an answer may be of the state before or after. */
    const look = async (what: string) => {
      const before = await state();
      if (!before.isPrivate) t.equal((await reader.head())?.header.number ?? 0, newest, `${what}: the head`);
      const paths = [
        ...new Set([...Object.keys(trees.get(newest) ?? {}), "f100", "d/f101", "link/f102", "none"]),
      ];
      const asked = ["index.html", "long", ...Array.from({ length: 4 }, () => pick(paths))];
      const numbers = [newest, newest - 1, before.shown, ...before.kept, Math.max(newest - 2, 1)];
      const answers: { path: string; live: HttpAnswer; number: number; held: HttpAnswer }[] = [];
      for (const path of asked) {
        const number = pick(numbers);
        answers.push({
          path,
          live: await get(`/${path}`),
          number,
          held: await get(`/.icfs/at/${number}/${path}`),
        });
      }
      const after = await state();
      const isRight = (path: string, answer: HttpAnswer, { shown, isServed }: State) => {
        if (!isServed) return answer.status === 403;
        if (shown === 0) return answer.status === (newest === 0 ? 404 : 503);
        const bytes = at(trees.get(shown)!, path);
        if (bytes === undefined) return answer.status === 404;
        if (bytes.length > MIB) {
          return answer.status === 307 && headerOf(answer, "location") === `/.icfs/at/${shown}/${path}`;
        }
        return answer.status === 200 && bytes.equals(answer.body);
      };
      for (const { path, live, number, held } of answers) {
        const states = [before, after];
        if (!states.some((one) => isRight(path, live, one)))
          t.fail(`${what}: /${path}: ${live.status}, of ${before.shown} or ${after.shown}`);
        const bytes = trees.has(number) ? at(trees.get(number)!, path) : undefined;
        const { status, body } = held;
        const where = `${what}: /.icfs/at/${number}/${path}: ${status}`;
        if (status === 200 || status === 206) {
          if (!states.some((one) => one.isServed && pinned(one).includes(number)))
            t.fail(`${where}: it is not held`);
          if (!bytes?.subarray(0, MIB).equals(body)) t.fail(`${where}: other bytes`);
        } else if (
          bytes !== undefined &&
          states.every(({ isServed, shown }) => isServed && shown === number)
        ) {
          t.fail(`${where}: it is at /`);
        }
      }
    };
    const settle = async () => {
      for (;;) {
        const now = await state();
        if (!now.isServed) {
          t.ok(now.bytes < 200n, "pages take fewer than 200 bytes while nothing is served");
          return;
        }
        const missing = [];
        for (const number of newest === 0 ? [] : pinned(now)) {
          const path = Object.keys(trees.get(number)!).find(
            (one) => at(trees.get(number)!, one) !== undefined,
          );
          if (path !== undefined && ![200, 206].includes((await get(`/.icfs/at/${number}/${path}`)).status))
            missing.push(number);
        }
        if (now.shown === newest && missing.length === 0) return;
        await sleep(20);
      }
    };

    const often = [
      ...["publish", "publish", "publish", "publish twice", "rollback", "rollback", "keep", "keep", "unkeep"],
      ...["private", "switch", "upgrade", "upgrade", "settle", "settle"],
    ] as (keyof typeof steps)[];
    await look("nothing yet");
    const done: string[] = [];
    for (let i = 0; i < STEPS; i++) {
      // While nothing is served there is little to check, so every other step then ends that state.
      const { isServed, isPrivate } = await state();
      const step = isServed || randomInt(2) === 0 ? pick(often) : isPrivate ? "private" : "switch";
      done.push(step);
      // Publishing and rolling back read the head as anybody may, which a private canister refuses.
      if (step.startsWith("publish") || step === "rollback") await owner.restrict(false);
      await steps[step]();
      await look(`${i}: ${step}`);
    }
    t.comment(done.join(", "));
    await owner.restrict(false);
    await owner.serve_http(true);
    for (let i = 0; i < IN_A_ROW; i++) {
      await publish();
      if (i % 10 === 0) await look(`${i} of those in a row`);
    }
    await settle();
    await look("at the end");
    await owner.serve_http(false);
    await settle();
  },
);
