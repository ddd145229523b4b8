/** The releases that this host has accepted, over readers of the test's own. test/cli/trust.long.ts has canisters that were reinstalled. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import {
  chmod,
  chown,
  lchown,
  readdir,
  readFile,
  rename,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { resolveNetwork } from "../../../lib/ic/network.ts";
import {
  acceptedAfter,
  acceptedReleases,
  hasAccepted,
  rememberKept,
  resetTrust,
  trustingReader,
} from "../../../lib/source/icfs/accepted-releases.ts";
import type { ReleaseReader } from "../../../lib/source/icfs/release-reader.ts";
import { headerHash } from "../../../lib/tree/header.ts";
import { canisterId } from "../../support/certificates.ts";
import { runInContainer } from "../../support/containers.ts";
import { exactly } from "../../support/exactly.ts";
import { encodeChain } from "../../support/headers.ts";
import { temporaryDirectory } from "../../support/icfs.ts";
import { readerOf } from "./chain-reader.ts";

const canister = canisterId(1);
const rootKey = Buffer.alloc(133, 7);
const network = resolveNetwork("http://192.0.2.1:8080");

const trusting = (headers: readonly Buffer[], remember = true) =>
  trustingReader(readerOf(headers), { canister, rootKey, network }, remember);

/** A host that has accepted nothing. @returns the path where it records accepted releases */
async function newHost(t: Test): Promise<string> {
  const directory = await temporaryDirectory(t);
  process.env.XDG_STATE_HOME = directory;
  return join(directory, "icfs", "trust");
}

const chain = encodeChain(6);
const other = encodeChain(6, "another history");
const refused = (message: RegExp) => ({ name: "VerificationError", message });

t.test(
  "a successor is accepted; an older release, a fork or no release is refused and changes nothing",
  async (t) => {
    await newHost(t);
    const accepted = () => acceptedReleases().map(({ number, header }) => [number, header]);
    await trusting(chain.slice(0, 2)).head();
    await trusting(chain.slice(0, 4)).head();
    const fourth = [[4, headerHash(chain[3]!).toString("hex")]];
    t.strictSame(accepted(), fourth);

    await t.rejects(trusting(chain.slice(0, 3)).head(), refused(/release 3 is older than release 4/));
    await t.rejects(
      trusting(other.slice(0, 4)).head(),
      refused(/release 4 is not the one .* this is a fork/),
    );
    await t.rejects(
      trusting(other).head(),
      refused(/release 4 is not the one .* this is a fork.*trust reset/),
    );
    await t.rejects(trusting([]).head(), refused(/has no release, but this host accepted release 4/));
    t.strictSame(accepted(), fourth);

    await trusting(chain, false).head();
    t.strictSame(accepted(), fourth, "a reader that only looks changes nothing");
    t.notOk(
      hasAccepted(canister, Buffer.alloc(133, 8)),
      "nothing is accepted of a canister with the same id on another network",
    );
  },
);

t.test("the advice names the canister that was asked for, whatever the file says", async (t) => {
  const directory = await newHost(t);
  await trusting(chain.slice(0, 4)).head();
  const [file] = (await readdir(directory)).filter((name) => name.endsWith(".json"));
  const accepted = JSON.parse(await readFile(join(directory, file!), "utf8"));
  for (const name of [undefined, "\u001b[31m; reboot"]) {
    await writeFile(join(directory, file!), JSON.stringify({ ...accepted, canister: name }));
    await t.rejects(trusting(chain.slice(0, 3)).head(), {
      message: new RegExp(`run \`icfs trust reset ${canister.toText()}\`$`),
    });
  }
});

t.test("a kept release is known only while it, or a later one, is accepted", async (t) => {
  await newHost(t);
  const restore = (headers: readonly Buffer[]) => trusting(headers).restore(Buffer.alloc(0));
  await t.rejects(restore(chain), refused(/was kept on this host, and is not what it has accepted/));
  await trusting(chain.slice(0, 4)).head();
  t.equal((await restore(chain.slice(0, 4))).header.number, 4);
  t.equal(
    (await restore(chain.slice(0, 3))).header.number,
    3,
    "a release below the accepted one is restored",
  );
  await t.rejects(restore(chain.slice(0, 5)), refused(/release 5 was kept/));
  await t.rejects(restore(other.slice(0, 4)), refused(/release 4 was kept/));
  t.match(await resetTrust(canister), exactly({ number: 4, url: "http://192.0.2.1:8080" }));
  t.same(await resetTrust(canister), [], "a second reset finds nothing");
  await t.rejects(
    restore(chain.slice(0, 4)),
    refused(/release 4 was kept/),
    "a forgotten release is refused",
  );
  t.equal((await trusting(other).head())!.header.number, 6, "another history is accepted after the reset");
});

t.test("a release kept from a forgotten history is not mounted as part of the next one", async (t) => {
  await newHost(t);
  const at = (time: number, headers: readonly Buffer[]) => {
    const head = async () => ({ ...(await readerOf(headers).head())!, certifiedAt: new Date(time) });
    return trustingReader({ ...readerOf(headers), head, restore: head }, { canister, rootKey, network });
  };
  const restore = (time: number, headers: readonly Buffer[]) => at(time, headers).restore(Buffer.alloc(0));
  const now = Date.now();
  await at(now - 3000, chain.slice(0, 3)).head();
  t.equal((await restore(now - 3000, chain.slice(0, 3))).header.number, 3);
  await resetTrust(canister);
  await at(now, other.slice(0, 5)).head();
  await t.rejects(
    restore(now - 3000, chain.slice(0, 3)),
    refused(/release 3 was kept on this host, and is not/),
  );
  await t.rejects(
    restore(now - 1, other.slice(0, 5)),
    refused(/release 5 was kept/),
    "a proof from before the first accepted one is refused",
  );
  t.equal((await restore(now, other.slice(0, 5))).header.number, 5);
  await at(now - 1000, other.slice(0, 5)).head();
  t.equal(
    (await restore(now - 1000, other.slice(0, 5))).header.number,
    5,
    "an earlier proof is restored once it was accepted",
  );
  await at(now + 1000, other).head();
  t.equal((await restore(now - 1000, other.slice(0, 5))).header.number, 5, "it stays");
  await t.rejects(restore(now - 1001, other.slice(0, 5)), refused(/release 5 was kept/));
});

t.test("while the file is damaged, no release is accepted", async (t) => {
  const directory = await newHost(t);
  await trusting(chain).head();
  const [name] = (await readdir(directory)).filter((one) => one.endsWith(".json"));
  for (const damaged of [
    "",
    "\0\0\0",
    "null",
    '{"number":0,"header":"00"}',
    '{"number":1,"header":"00","kept":"2"}',
    '{"number":1,"header":"00","since":"tomorrow"}',
    "{}",
    '{"number":1.5,"header":"00"}',
    "not JSON",
  ]) {
    writeFileSync(join(directory, name!), damaged);
    await t.rejects(trusting(chain).head(), { name: "UserError", message: /cannot be read.*trust reset/ });
  }
  t.same(await resetTrust(canister), [undefined], "a damaged record can still be reset");
  for (const program of ["mkfifo", "mkdir", "ln -s /dev/zero"]) {
    execFileSync("sh", ["-c", `${program} "$1"`, "sh", join(directory, name!)]);
    await t.rejects(
      trusting(chain).head(),
      { name: "UserError", message: /is not a file.*trust reset/ },
      program,
    );
    t.same(await resetTrust(canister), [undefined], `${program}: the record can be reset`);
  }
});

/** A reader that holds up its first answer to one of its questions. */
function heldUp(reader: ReleaseReader, what: "head" | "headers") {
  const asked = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const held: ReleaseReader = {
    ...reader,
    [what]: async (from: number, count: number) => {
      const answer = await (what === "head" ? reader.head() : reader.headers(from, count));
      asked.resolve();
      await goOn.promise;
      return answer;
    },
  };
  return { held, asked: asked.promise, goOn: goOn.resolve };
}

t.test("a slow reader does not take back what others have accepted meanwhile", async (t) => {
  const numbers = () => acceptedReleases().map(({ number }) => number);
  for (const what of ["head", "headers"] as const) {
    await t.test(`held up by an answer to ${what}()`, async (t) => {
      await newHost(t);
      await trusting(chain.slice(0, 2)).head();
      const { held, asked, goOn } = heldUp(readerOf(chain.slice(0, 4)), what);
      const slow = trustingReader(held, { canister, rootKey, network }).head();
      slow.catch(() => {});
      await asked;
      await trusting(chain).head();
      goOn();
      await t.rejects(slow, refused(/release 4 is older than release 6/));
      t.strictSame(numbers(), [6]);
      await t.rejects(trusting(chain.slice(0, 4)).head(), refused(/release 4 is older/), "nor later");
    });
  }

  await t.test("it asks the canister again, and gets the newest release", async (t) => {
    await newHost(t);
    let newest = readerOf(chain.slice(0, 4));
    const { held, asked, goOn } = heldUp({ ...newest, head: () => newest.head() }, "head");
    const slow = trustingReader(held, { canister, rootKey, network }).head();
    await asked;
    newest = readerOf(chain);
    await trusting(chain).head();
    goOn();
    t.equal((await slow)!.header.number, 6);
  });

  await t.test("of two histories seen at first contact, only one is accepted", async (t) => {
    await newHost(t);
    const { held, asked, goOn } = heldUp(readerOf(other.slice(0, 3)), "head");
    const slow = trustingReader(held, { canister, rootKey, network }).head();
    slow.catch(() => {});
    await asked;
    await trusting(chain.slice(0, 2)).head();
    goOn();
    await t.rejects(slow, refused(/release 2 is not the one .* this is a fork/));
    t.strictSame(numbers(), [2]);
  });

  await t.test("trust that is reset while somebody looks stays reset", async (t) => {
    await newHost(t);
    await trusting(chain).head();
    const { held, asked, goOn } = heldUp(readerOf(chain), "head");
    const slow = trustingReader(held, { canister, rootKey, network }, false).head();
    await asked;
    await resetTrust(canister);
    goOn();
    await slow;
    t.strictSame(numbers(), [], "a reader that only looks accepts nothing");
  });
});

t.test(
  "in several containers over one slow disk, accepted releases only move forward and none is lost",
  async (t) => {
    const directory = await newHost(t);
    const LENGTH = 12;
    let isOver = false;
    /** All states of the file that a reader sees. */
    const watched = (async () => {
      const seen: number[] = [];
      while (!isOver) {
        const [one] = acceptedReleases().filter((accepted) => accepted.canister === canister.toText());
        if (one !== undefined) seen.push(one.number);
        await new Promise(setImmediate);
      }
      return seen;
    })();
    const containers = [2, 3, 4, 5].map((own) =>
      runInContainer(new URL("acceptor.ts", import.meta.url), [String(own), String(LENGTH)]),
    );
    for (const { code, stderr, stdout } of await Promise.all(containers)) {
      t.match({ code, stderr }, { code: 0, stderr: "" });
      const numbers = stdout.trim().split("\n").map(Number);
      t.strictSame(
        numbers,
        [...numbers].sort((a, b) => a - b),
        "releases only move forward for each container",
      );
    }
    isOver = true;
    const seen = await watched;
    t.strictSame(
      seen,
      [...seen].sort((a, b) => a - b),
      "releases only move forward for an onlooker",
    );
    t.strictSame(
      acceptedReleases().map((accepted) => accepted.number),
      Array.from({ length: 5 }, () => LENGTH),
    );
    t.strictSame(
      (await readdir(directory)).filter((name) => !name.endsWith(".json")),
      [],
      "no unfinished file is left",
    );
  },
);

t.test("files that a killed process has left are removed after a day, and not before", async (t) => {
  const directory = await newHost(t);
  await trusting(chain.slice(0, 1)).head();
  const [name] = (await readdir(directory)).filter((one) => one.endsWith(".json"));
  const [old, young] = [`${name}.00.new`, `${name}.11.new`];
  for (const left of [old, young]) await writeFile(join(directory, left), "");
  const yesterday = Date.now() / 1000 - 25 * 3600;
  await utimes(join(directory, old), yesterday, yesterday);
  await trusting(chain.slice(0, 2)).head();
  const names = await readdir(directory);
  t.notOk(names.includes(old));
  t.ok(names.includes(young), "a recent file stays, as another container may be writing it");
});

t.test("a release older than the newest kept by a mount is mounted only by its number", async (t) => {
  const directory = await newHost(t);
  const address = { canister, rootKey, network };
  const restore = (headers: readonly Buffer[], release?: number) =>
    trustingReader(readerOf(headers), { ...address, ...(release && { release }) }).restore(Buffer.alloc(0));
  await rememberKept(address, { number: 3 });
  t.strictSame(acceptedReleases(), [], "nothing is remembered of a canister without accepted releases");
  await trusting(chain.slice(0, 4)).head();
  await rememberKept(address, { number: 3 });
  await rememberKept(address, { number: 2 });
  t.match(acceptedReleases(), exactly({ number: 4, kept: 3 }));
  await trusting(chain).head();
  t.match(acceptedReleases(), exactly({ number: 6, kept: 3 }), "it stays");
  t.equal(
    (await restore(chain.slice(0, 4))).header.number,
    4,
    "a release newer than the kept one is restored, though not the newest accepted",
  );
  t.equal((await restore(chain.slice(0, 3))).header.number, 3);
  t.equal(acceptedAfter(address, { number: 3 }), 6);
  t.equal(acceptedAfter(address, { number: 6 }), undefined);
  await t.rejects(
    restore(chain.slice(0, 2)),
    refused(/release 2 was kept, and this host has served release 3 since.*--cache-dir.*@2$/),
  );
  t.equal(
    (await restore(chain.slice(0, 2), 2)).header.number,
    2,
    "an older release is restored if asked for by its number",
  );
  t.equal((await readdir(directory)).filter((name) => name.endsWith(".json")).length, 1);
});

t.test("a state directory that others can write to is neither trusted nor written to", async (t) => {
  const directory = await newHost(t);
  await trusting(chain.slice(0, 2)).head();
  const parent = join(directory, "..");
  const [name] = (await readdir(directory)).filter((one) => one.endsWith(".json"));
  const content = await readFile(join(directory, name!), "utf8");
  const refusals = async (what: string, message: RegExp) => {
    const error = { name: "UserError", message };
    await t.rejects(trusting(chain).head(), error, what);
    t.throws(() => acceptedReleases(), error, `${what}: trust show`);
    t.throws(() => hasAccepted(canister, rootKey), error, `${what}: telling the canister's kind`);
    await t.rejects(resetTrust(canister), error, `${what}: trust reset`);
  };
  for (const place of [directory, parent]) {
    for (const mode of [0o777, 0o770, 0o702]) {
      // Older versions made this directory with the umask's mode: the next test.
      if (place === parent && mode === 0o770) continue;
      await chmod(place, mode);
      await refusals(
        `mode ${mode.toString(8)}`,
        /others can write to \S+: chmod 700 it, or set XDG_STATE_HOME/,
      );
    }
    await chmod(place, 0o700);
    await chown(place, 65534, 65534);
    await refusals("of another user", /\S+ belongs to another user: set XDG_STATE_HOME/);
    await chown(place, 0, 0);
  }
  await rename(directory, `${directory}.moved`);
  await symlink(`${directory}.moved`, directory);
  t.equal(acceptedReleases().length, 1, "a symbolic link that belongs to root is trusted");
  await lchown(directory, 65534, 65534);
  await refusals(
    "a link of another user's",
    /is a symbolic link, and others may have made it: set XDG_STATE_HOME/,
  );
  t.equal(await readFile(join(`${directory}.moved`, name!), "utf8"), content, "the record is unchanged");
});

t.test(
  "a state directory that an older version made writable to its group is still read, and tightened",
  async (t) => {
    const directory = await newHost(t);
    await trusting(chain.slice(0, 2)).head();
    const parent = join(directory, "..");
    for (const mode of [0o775, 0o770, 0o2775]) {
      await chmod(parent, mode);
      t.equal(acceptedReleases().length, 1);
      t.equal(
        (await stat(parent)).mode & 0o7777,
        mode & ~0o022,
        "the directory is no longer writable by its group and others",
      );
    }
  },
);

t.test("while the state directory cannot be read, no release is accepted", async (t) => {
  await newHost(t);
  process.env.XDG_STATE_HOME = "/dev/null/below";
  await t.rejects(trusting(chain).head(), {
    name: "UserError",
    message: /cannot (read what was accepted before|remember which release was accepted): ENOTDIR/,
  });
});

t.test("trust can be reset for some networks and kept for others", async (t) => {
  await newHost(t);
  const there = { canister, rootKey: Buffer.alloc(133, 8), network: resolveNetwork("https://ic.example") };
  await trusting(chain).head();
  await trustingReader(readerOf(other), there).head();
  t.match(
    await resetTrust(canister, (_, accepted) => accepted?.url === "https://ic.example"),
    exactly({ url: "https://ic.example" }),
  );
  t.match(acceptedReleases(), exactly({ url: network.url }));
  const [one] = acceptedReleases();
  t.equal((await resetTrust(canister, (key) => key === one!.network.slice(0, 16))).length, 1);
});
