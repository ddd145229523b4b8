/** How often a release is requested when chunks are missing. test/fault/publishing.long.ts has answers that get lost. */
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { NoAnswerError, RejectError } from "../../lib/ic/call-errors.ts";
import type { PublishResult } from "../../lib/icfs-canister.ts";
import type { ChunkedTree } from "../../lib/publish/chunker.ts";
import { makeRelease } from "../../lib/publish/release.ts";
import type { ReleaseReader } from "../../lib/source/icfs/release-reader.ts";
import { hexOf } from "../../lib/tree/hash.ts";
import { stopClock } from "../support/clock.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { chunked, writeTree } from "./trees.ts";

const PUBLISHER = Principal.anonymous();

/** The fields of every request for a release of a tree. */
const requestFor = (tree: ChunkedTree) => ({
  tree,
  publisher: PUBLISHER,
  parent: undefined,
  ready: async () => {},
});

t.test("missing chunks are uploaded, and the release is requested again", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, { file: "content" });
  const tree = await chunked(directory);
  const made = { number: 1, manifest: { chunks: tree.manifestPieces }, publisher: PUBLISHER.toUint8Array() };
  const head = { header: { ...made, parent: undefined, note: "" }, hash: Buffer.alloc(32) };
  const [chunk, piece] = tree.chunks.map(({ sha256 }) => sha256);

  /** Requests the release. The canister says in turn that `missing` are missing, and then makes it. */
  const released = async (missing: readonly (readonly Uint8Array[])[]) => {
    const uploaded: string[][] = [];
    let calls = 0;
    const publish = async (): Promise<PublishResult> => {
      const absent = missing[calls++];
      return absent === undefined ? { ok: 1n } : { err: { missing: absent } };
    };
    const source = { head: async () => head } as unknown as ReleaseReader;
    const upload = async (chunks: readonly { sha256: Uint8Array }[]) => {
      uploaded.push(chunks.map(({ sha256 }) => hexOf(sha256)));
    };
    const request = { ...requestFor(tree), canister: { publish }, source, note: "", upload };
    const { header } = await makeRelease(request);
    return { number: header.number, calls, uploaded };
  };

  t.same(await released([]), { number: 1, calls: 1, uploaded: [] });
  const both = [hexOf(chunk!), hexOf(piece!)];
  // The first request was too early. Then the piece was gone after all, and then the chunk that it names.
  t.same(await released([[chunk!, piece!], [piece!], [chunk!]]), {
    number: 1,
    calls: 4,
    uploaded: [both, [both[1]], [both[0]]],
  });
  await t.rejects(released(Array(4).fill([piece!])), {
    name: "UserError",
    message: "the canister has lost 1 chunks that were uploaded: publish again",
  });
});

t.test(
  "after a lost answer, the release on top of the parent is recognised as ours or as another's",
  async (t) => {
    const directory = await temporaryDirectory(t);
    await writeTree(directory, { file: "content" });
    const tree = await chunked(directory);
    const ours = {
      ...{ number: 1, parent: undefined, note: "mine", publisher: PUBLISHER.toUint8Array() },
      manifest: { chunks: tree.manifestPieces },
    };
    /** The result of a request when a release with this header has already been made, by whomever. */
    const askedWhen = async (header: object) => {
      let calls = 0;
      const publish = async (): Promise<PublishResult> => {
        calls += 1;
        if (calls === 1) throw new Error("the connection was closed");
        return { err: { conflict: { number: 1n, newest: [Buffer.alloc(32)] } } };
      };
      const source = { head: async () => ({ header, hash: Buffer.alloc(32) }) } as unknown as ReleaseReader;
      const upload = async () => {};
      const request = { ...requestFor(tree), canister: { publish }, source, note: "mine", upload };
      const result = await makeRelease(request).then(
        (made) => made.header,
        (error: Error) => error.message.split(" ", 1)[0],
      );
      return { result, calls };
    };
    const [own, ...others] = await Promise.all([
      askedWhen(ours),
      askedWhen({ ...ours, publisher: Buffer.alloc(29, 1) }),
      askedWhen({ ...ours, note: "another" }),
      askedWhen({ ...ours, manifest: { chunks: [Buffer.alloc(32)] } }),
      askedWhen({ ...ours, manifest: { chunks: [] } }),
      askedWhen({ ...ours, parent: Buffer.alloc(32) }),
    ]);
    t.same(own, { result: ours, calls: 1 }, "our own release is recognised without a second call");
    for (const other of others) t.same(other, { result: "conflict:", calls: 2 });
  },
);

t.test(
  "when neither the call nor the head is answered, the error says that the outcome is unknown",
  async (t) => {
    const directory = await temporaryDirectory(t);
    await writeTree(directory, { file: "content" });
    const tree = await chunked(directory);
    const clock = stopClock(t);
    let calls = 0;
    const publish = async (): Promise<PublishResult> => {
      calls += 1;
      throw new NoAnswerError("no answer within 120 s");
    };
    // A canister's refusal is final in other places, but not here.
    const head = async () => {
      throw new RejectError(5, "it is private now");
    };
    const made = makeRelease({
      canister: { publish },
      source: { head } as unknown as ReleaseReader,
      publisher: Principal.anonymous(),
      tree,
      parent: undefined,
      note: "",
      upload: async () => {},
      ready: async () => {},
    }).catch((error: unknown) => error);
    await clock.pass(120_000);
    t.match(await made, {
      name: "UserError",
      message:
        "no answer to the request for a release (it is private now): publish again, which changes nothing if it was made",
    });
    t.equal(calls, 1, "the call is not repeated while the newest release is unknown");
  },
);
