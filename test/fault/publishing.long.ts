/** Publishing over a bad network: failed requests are sent again, and whatever gets lost, a release is made once, and is right. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { createAgent } from "../../lib/ic/agent.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { type IcfsCanister, icfsCanister, type PublishResult } from "../../lib/icfs-canister.ts";
import { CALL_TIMEOUT_MS } from "../../lib/publish/lane.ts";
import { type Publication, publish } from "../../lib/publish/publish.ts";
import { makeRelease } from "../../lib/publish/release.ts";
import { openReader } from "../../lib/source/icfs/open-release.ts";
import { bytesOf, chunked, PLAINLY, reassembled, writeTree } from "../publish/trees.ts";
import { startCanister, type TestCanister } from "../support/canister-network.ts";
import { type Fault, type FaultProxy, faultFor, startFaultProxy } from "../support/fault-proxy.ts";
import type { Test } from "../support/icfs.ts";

const MiB = 1024 * 1024;
/** Milliseconds without an answer until a request fails. They are few, because some tests wait for them. */
const TIMEOUT = 2000;
/** These tests run at once, because they wait more than they work. */
const AT_ONCE = { buffered: true };
t.jobs = 5;

interface Publisher extends TestCanister {
  readonly proxy: FaultProxy;
  readonly tree: string;
  /** Publishes the tree through the proxy. */
  publish(note?: string): Promise<Publication>;
}

async function startPublisher(t: Test, weather: { updateLatency?: number } = {}): Promise<Publisher> {
  const c = await startCanister(t, weather);
  const proxy = await startFaultProxy(t as never, c.url);
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  const network = resolveNetwork(proxy.url);
  const { rootKey, canister, identity } = c;
  const agent = createAgent({
    network,
    rootKey,
    identity,
    verifyQuerySignatures: true,
    requestTimeout: TIMEOUT,
  });
  const source = openReader({ network, rootKey, canister }, TIMEOUT);
  return {
    ...c,
    proxy,
    tree,
    publish: (note = "") => publish({ ...PLAINLY, directory: tree, canister, agent, source, note }),
  };
}

/** Compares the files of the newest release, read without the proxy, with the tree, byte for byte. */
async function published({ source, tree }: Publisher): Promise<"as it is" | string> {
  const reader = source();
  const head = (await reader.head())!;
  const manifest = await reader.manifest(head.header);
  const local = await chunked(tree);
  if (manifest.entries.length !== local.manifest.entries.length) return "another number of entries";
  for (const [i, entry] of manifest.entries.entries()) {
    const expected = local.manifest.entries[i]!;
    if (entry.kind !== "file" || expected.kind !== "file") continue;
    const parts: Buffer[] = [];
    for (const { chunk, offset, length } of entry.extents) {
      parts.push((await reader.chunk(manifest.chunks[chunk]!)).subarray(offset, offset + length));
    }
    if (!Buffer.concat(parts).equals(await reassembled(local, expected))) return `${entry.path} differs`;
  }
  return "as it is";
}

/** Applies the faults in turn, one to each request to `method`. */
function inTurn(method: string, faults: readonly Fault[]): FaultProxy["fault"] {
  let requests = 0;
  return faultFor(method, () => faults[requests++ % faults.length]!);
}

const flipped = (answer: Buffer): Buffer => {
  answer[Math.floor(Math.random() * answer.length)]! ^= 1 << Math.floor(Math.random() * 8);
  return answer;
};

const BAD_LINE: readonly Fault[] = [
  { status: 429, headers: { "retry-after": "1" } },
  "none",
  { status: 503 },
  "none",
  flipped,
  "none",
  "drop",
  "none",
  { status: 400, body: "Invalid request expiry: Specified ingress_expiry not within expected range" },
  "lost",
  "none",
  "truncate",
  "none",
];

t.test("publishing succeeds when half of the requests fail", AT_ONCE, async (t) => {
  const p = await startPublisher(t);
  await writeTree(p.tree, {
    large: bytesOf(1, 10 * MiB),
    small: bytesOf(2, 1000),
    "d/middle": bytesOf(3, MiB),
  });
  const puts = inTurn("put", BAD_LINE);
  const others = ["release", "headers", "chunk", "missing"].map((method) =>
    inTurn(method, ["drop", "none", flipped, "none"]),
  );
  p.proxy.fault = (path, body) =>
    [puts, ...others].map((fault) => fault(path, body)).find((fault) => fault !== "none") ?? "none";
  t.match(await p.publish(), { release: 1, chunksUploaded: 13 });
  t.equal(await published(p), "as it is");
});

t.test("when the answer to `publish` is lost, the release is made once", AT_ONCE, async (t) => {
  const p = await startPublisher(t);
  const released = async (faults: readonly Fault[], content: string, note = "") => {
    await writeTree(p.tree, { file: content });
    p.proxy.fault = inTurn("publish", faults);
    const before = p.proxy.calls;
    const publication = await p.publish(note);
    const head = (await p.source().head())!;
    t.match(publication, { changed: true, release: head.header.number, header: head.hash.toString("hex") });
    t.equal(await published(p), "as it is");
    return { number: head.header.number, calls: p.proxy.calls - before };
  };
  t.same(
    await released(["lost", "none"], "first"),
    { number: 1, calls: 2 },
    "the release is found after the answer is lost, without a second call",
  );
  t.same(
    await released(["lost"], "second"),
    { number: 2, calls: 2 },
    "a release that has a parent is found without a second call",
  );
  t.same(
    await released(["drop", "none"], "third"),
    { number: 3, calls: 3 },
    "a call that was dropped is sent again",
  );
  t.same(
    await released([flipped, "none"], "fourth"),
    { number: 4, calls: 2 },
    "an answer with a flipped bit needs no second call",
  );
  t.same(
    await released(["silence", "none"], "fifth"),
    { number: 5, calls: 3 },
    "a call that gets no answer is sent again",
  );

  await t.test(
    "when the head is stale meanwhile, a repeated call gets a conflict, and its release is found",
    async (t) => {
      await writeTree(p.tree, { file: "sixth" });
      const publishing = inTurn("publish", ["lost", "none"]);
      let conflicted = false;
      p.proxy.fault = (path, body) => {
        const fault = publishing(path, body);
        if (fault === "none" && path.endsWith("/call")) conflicted = body.includes("publish");
        return fault;
      };
      // A node that is behind answers with the release before.
      const real = p.source();
      const stale = await real.head();
      const agent = createAgent({
        network: resolveNetwork(p.proxy.url),
        rootKey: p.rootKey,
        identity: p.identity,
        verifyQuerySignatures: true,
        requestTimeout: TIMEOUT,
      });
      let heads = 0;
      const source = {
        restore: real.restore.bind(real),
        headers: real.headers.bind(real),
        manifest: real.manifest.bind(real),
        chunk: real.chunk.bind(real),
        head: async () => (heads++ < 3 ? stale : real.head()),
      };
      const options = { ...PLAINLY, directory: p.tree, canister: p.canister, agent, source, note: "" };
      t.match(await publish(options), { changed: true, release: 6 });
      t.ok(conflicted, "the call is sent a second time");
      t.match((await real.head())?.header, { number: 6 }, "the release is made only once");
    },
  );

  await t.test(
    "when another publisher's release was made meanwhile, publishing ends in a conflict",
    async (t) => {
      await writeTree(p.tree, { file: "mine" });
      const theirs = join(p.directory, "theirs");
      await mkdir(theirs);
      await writeTree(theirs, { file: "theirs" });
      let other: Promise<unknown> | undefined;
      let done = false;
      p.proxy.fault = faultFor("publish", () => {
        // The proxy drops these requests until the other release is there.
        other ??= p.icfs(["publish", theirs, p.canister.toText()]).then(() => {
          done = true;
        });
        return done ? "none" : "drop";
      });
      await t.rejects(p.publish(), {
        name: "UserError",
        message: /^conflict: somebody else published release 7/,
      });
      await other;
      await rm(theirs, { recursive: true });
      p.proxy.fault = () => "none";
      t.match(await p.publish(), { release: 8, chunksUploaded: 0 });
      t.equal(await published(p), "as it is");
    },
  );
});

t.test(
  "chunks that the canister has freed meanwhile are uploaded, and the release is requested again",
  AT_ONCE,
  async (t) => {
    const p = await startPublisher(t);
    await writeTree(p.tree, { a: bytesOf(1, 300_000), b: bytesOf(2, 300_000) });
    const tree = await chunked(p.tree);
    const canister = icfsCanister(p.publisherAgent, p.canister);
    const publisher = p.identity.getPrincipal();
    const ready = async () => {};
    const request = { canister, source: p.source(), publisher, tree, parent: undefined, note: "", ready };

    await t.test("but no more than three times", async (t) => {
      let rounds = 0;
      const upload = async () => {
        rounds += 1;
      };
      await t.rejects(makeRelease({ ...request, upload }), { message: /^the canister has lost 1 chunks/ });
      t.equal(rounds, 3);
      t.equal(await p.source().head(), undefined);
    });

    // Nothing was uploaded before. So first the manifest is missing, and then the chunks that it names.
    const uploads: number[] = [];
    const { hash, header } = await makeRelease({
      ...request,
      upload: async (chunks) => {
        uploads.push(chunks.length);
        for (const chunk of chunks) await canister.put([await chunk.read()]);
      },
    });
    t.same(uploads, [1, 2]);
    t.equal(header.number, 1);
    t.ok((await p.source().head())?.hash.equals(hash));
    t.equal(await published(p), "as it is");
  },
);

t.test("a rejection is final", AT_ONCE, async (t) => {
  const p = await startPublisher(t);
  await writeTree(p.tree, { a: "a" });
  const tree = await chunked(p.tree);
  let calls = 0;
  const answer = (result: PublishResult): Pick<IcfsCanister, "publish"> => ({
    publish: async () => {
      calls += 1;
      return result;
    },
  });
  const upload = async () => {
    t.fail("nothing is to be uploaded");
  };
  const publisher = p.identity.getPrincipal();
  const ready = async () => {};
  const request = { source: p.source(), publisher, tree, parent: undefined, note: "", upload, ready };
  const canister = answer({ err: { invalid: "a: the path is empty" } });
  await t.rejects(makeRelease({ ...request, canister }), {
    name: "UserError",
    message: "the canister refused the release: a: the path is empty",
  });
  t.equal(calls, 1);
});

t.test(
  "when the network is gone, nothing is published, and the command says so and ends",
  AT_ONCE,
  async (t) => {
    const p = await startPublisher(t);
    await writeTree(p.tree, { a: "a" });
    await p.publish();
    await writeFile(join(p.tree, "a"), "b");
    p.proxy.fault = (path) => (path.endsWith("/call") ? { status: 503, body: "overloaded" } : "none");
    await t.rejects(p.publish(), {
      name: "UserError",
      message: /did not publish: HTTP status 503.*overloaded/,
    });
    t.match((await p.source().head())?.header, { number: 1 });
  },
);

t.test(
  "publishing ends once the release is made, even if the last answers never come",
  AT_ONCE,
  async (t) => {
    // As long as a subnet's, and long compared with the delays that a busy machine puts between the starts of two calls.
    const p = await startPublisher(t, { updateLatency: 1500 });
    const puts = 8;
    await writeTree(p.tree, { large: bytesOf(5, (puts - 1) * MiB) });
    let begun = 0;
    // The last call is carried out, and half of its answer comes.
    p.proxy.fault = faultFor("put", () => (++begun === puts ? "stall" : "none"));
    let hasWaited = false;
    const givingUp = setTimeout(() => {
      hasWaited = true;
      p.proxy.hangUp();
    }, CALL_TIMEOUT_MS / 4);
    t.teardown(() => clearTimeout(givingUp));
    const { code, stdout } = await p.icfs(["publish", p.tree, p.canister.toText(), "--network", p.proxy.url]);
    t.equal(code, 0);
    t.match(stdout, /^published release 1 /);
    t.notOk(hasWaited, "publishing does not wait for the last answers");
    t.equal(await published(p), "as it is");
  },
);
