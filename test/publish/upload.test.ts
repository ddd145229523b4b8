/** How many puts are under way at once, and which are repeated. test/fault/publishing.long.ts has real ones. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { UserError } from "../../lib/errors.ts";
import { HttpStatusError } from "../../lib/ic/call-errors.ts";
import type { IcfsCanister } from "../../lib/icfs-canister.ts";
import type { UploadChunk } from "../../lib/publish/chunker.ts";
import { missingChunks, uploadChunks } from "../../lib/publish/upload.ts";
import { stopClock } from "../support/clock.ts";
import { bytesOf } from "./trees.ts";

const MiB = 1024 * 1024;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const busy = () => new HttpStatusError(503, "Busy");

/** Chunks that each need a put of their own. */
function chunksOf(count: number): UploadChunk[] {
  return Array.from({ length: count }, (_, i) => {
    const bytes = bytesOf(i, MiB);
    return { sha256: sha256(bytes), size: bytes.length, read: async () => bytes };
  });
}

/** A canister whose puts each take `moment` milliseconds, and then call `answer` with the number of earlier puts. */
function canisterOf(answer: (before: number) => void, moment = 5) {
  const seen = { puts: 0, underWay: 0, most: 0, stored: new Set<string>() };
  const put: IcfsCanister["put"] = async (chunks) => {
    const before = seen.puts++;
    seen.underWay += 1;
    seen.most = Math.max(seen.most, seen.underWay);
    await sleep(moment);
    seen.underWay -= 1;
    answer(before);
    return chunks.map((bytes) => {
      const hash = sha256(bytes);
      seen.stored.add(hash.toString("hex"));
      return hash;
    });
  };
  return { seen, canister: { put } as unknown as IcfsCanister };
}

t.test("each missing chunk is listed once, and an index out of range is refused", async (t) => {
  const chunks = chunksOf(3);
  const saying = (...indexes: number[]) => ({ missing: async () => Uint32Array.from(indexes) });
  t.strictSame(await missingChunks(saying(0, 2, 0, 2, 2), chunks), [chunks[0], chunks[2]]);
  await t.rejects(missingChunks(saying(0, 3), chunks), {
    name: "UserError",
    message: /does not have chunk 3, of 3 it was asked about/,
  });
});

t.test("more puts run at once while they succeed, up to a limit", async (t) => {
  const clock = stopClock(t);
  const { seen, canister } = canisterOf(() => {});
  let told = 0;
  const { done } = uploadChunks(canister, chunksOf(40), (bytes) => {
    told += bytes;
  });
  await clock.pass(1000);
  await done;
  t.equal(seen.stored.size, 40);
  t.equal(seen.puts, 40, "each once");
  t.equal(told, 40 * MiB);
  t.equal(seen.most, 16);
});

t.test("fewer puts run at once after many failures, and every chunk is sent", async (t) => {
  const clock = stopClock(t);
  const { seen, canister } = canisterOf((before) => {
    if (before < 4) throw busy();
    // Counts from here on.
    if (before === 4) seen.most = 0;
  });
  const { done } = uploadChunks(canister, chunksOf(4), () => {});
  await clock.pass(60_000);
  await done;
  t.equal(seen.stored.size, 4);
  t.equal(seen.puts, 8);
  t.ok(seen.most <= 2, `${seen.most} at once`);
});

t.test("a final error ends the upload, and waiting chunks are not sent", async (t) => {
  const clock = stopClock(t);
  const { seen, canister } = canisterOf((before) => {
    if (before === 1) throw new UserError("over quota");
    if (before < 4) throw busy();
  });
  const refused = t.rejects(uploadChunks(canister, chunksOf(30), () => {}).done, { message: "over quota" });
  await clock.pass(1000);
  await refused;
  const { puts } = seen;
  await clock.pass(10_000);
  t.equal(seen.puts, puts, "no chunk is sent later");
  t.ok(puts < 10, `${puts} puts`);
});

t.test("an answer with other hashes than were sent is an error", async (t) => {
  const canister = { put: async () => [Buffer.alloc(32)] } as unknown as IcfsCanister;
  await t.rejects(uploadChunks(canister, chunksOf(1), () => {}).done, {
    message: /stored other bytes than were sent/,
  });
});

t.test("the end is near when no chunk waits and no put has failed", async (t) => {
  const clock = stopClock(t);
  const isNear = async (answer: (before: number) => void) => {
    let done = false;
    let near: "before the end" | "after it" | "never" = "never";
    const { canister } = canisterOf(answer, 300);
    const upload = uploadChunks(canister, chunksOf(12), () => {});
    void upload.nearEnd.then(() => {
      near = done ? "after it" : "before the end";
    });
    void upload.done.then(() => {
      done = true;
    });
    await clock.pass(60_000);
    await upload.done;
    return near;
  };
  t.equal(await isNear(() => {}), "before the end");
  t.equal(
    await isNear((before) => {
      if (before === 0) throw busy();
    }),
    "never",
  );
});
