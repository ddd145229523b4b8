/** A canister that lies: its data is certified, and broken. No reader believes it. */
import t from "tap";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { encodeHeader } from "../support/headers.ts";
import { sha256 } from "../support/icfs-canister.ts";
import { readerOf, startLiar } from "../support/liar.ts";
import { brokenManifests } from "../support/manifests.ts";

const MiB = 1024 * 1024;

t.test("manifests that break a rule are refused", async (t) => {
  const liar = await startLiar(t);
  for (const { name, manifest, message } of brokenManifests(sha256(Buffer.from("hello")))) {
    await liar.release(manifest);
    const { header } = (await liar.source.head())!;
    await t.rejects(liar.source.manifest(header), { name: "FormatError", message }, name);
  }
});

t.test("manifests that are too large, and headers that misstate their manifest, are refused", async (t) => {
  const liar = await startLiar(t);
  const proxy = await startFaultProxy(t, liar.network.url);
  const piece = Buffer.alloc(MiB, 7);
  const hash = sha256(piece);
  await liar.serve(hash, piece);
  const certified = (size: number, pieces: number, sum = hash) =>
    liar.tell(
      encodeHeader({ manifest: { sha256: sum, size, chunks: Array.from({ length: pieces }, () => hash) } }),
      [],
    );
  await certified(32 * MiB + 1, 33);
  await t.rejects(liar.source.head(), { name: "FormatError", message: /over the limits/ });
  await certified(MiB, 1001);
  await t.rejects(liar.source.head(), { name: "FormatError", message: /over the limits/ });

  await certified(2 * MiB, 1000);
  const { icfs, id } = await readerOf(t, liar);
  const listed = await icfs("ls", id, "--network", proxy.url);
  t.match(listed, { code: 1, stdout: "", stderr: /the manifest is longer than its header says/ });
  t.ok(proxy.queries < 100, `${proxy.queries} queries for 1,000 pieces`);

  await certified(2 * MiB, 1);
  const { header } = (await liar.source.head())!;
  await t.rejects(liar.source.manifest(header), { message: "the manifest is not the one in the header" });
  await certified(MiB, 1, Buffer.alloc(32));
  await t.rejects(liar.source.manifest((await liar.source.head())!.header), {
    message: "the manifest is not the one in the header",
  });
  await certified(0, 0);
  await t.rejects(liar.source.manifest((await liar.source.head())!.header), { name: /Error/ });
  await liar.tell(encodeHeader({ manifest: { sha256: hash, size: MiB, chunks: [Buffer.alloc(32, 1)] } }), []);
  await t.rejects(liar.source.manifest((await liar.source.head())!.header), {
    message: /the canister does not have chunk (01)+ of the manifest/,
  });
});

t.test("certified headers that are not valid are refused", async (t) => {
  const liar = await startLiar(t);
  const good = encodeHeader({ number: 1 });
  const cases: Record<string, [Buffer, RegExp]> = {
    "number 0": [encodeHeader({ number: 0 }), /a release numbered 0 without a parent/],
    "a first release with a parent": [
      encodeHeader({ number: 1, parent: Buffer.alloc(32) }),
      /a release numbered 1 with a parent/,
    ],
    "a second one without": [encodeHeader({ number: 2 }), /a release numbered 2 without a parent/],
    "a parent of 31 bytes": [encodeHeader({ number: 2, parent: Buffer.alloc(31) }), /a SHA-256 of 31 bytes/],
    "a note of 1025 bytes": [encodeHeader({ note: "x".repeat(1025) }), /longer than 1024 bytes/],
    "cut off": [good.subarray(0, -1), /ends after|does not fit/],
    "with more": [Buffer.concat([good, Buffer.alloc(3)]), /3 bytes too many/],
    "of version 2": [Buffer.concat([Buffer.from("ICFSHDR\x02", "latin1"), good.subarray(8)]), /version 1/],
    "a byte": [Buffer.from([0]), /ends after 1 bytes/],
  };
  for (const [name, [header, message]] of Object.entries(cases)) {
    await liar.tell(header, []);
    await t.rejects(liar.source.head(), { name: "FormatError", message }, name);
  }
});
