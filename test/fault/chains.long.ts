/**
 * A host refuses releases that do not descend from the one that it has accepted, at every mount, until its trust is reset. It goes on
 * serving what it has kept of the accepted release.
 */
import { join } from "node:path";
import t from "tap";
import { headerHash } from "../../lib/tree/header.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { mountpointFor, sh } from "../mount/mounts.ts";
import { encodeChain, encodeHeader } from "../support/headers.ts";
import { sha256 } from "../support/icfs-canister.ts";
import { readerOf, startLiar } from "../support/liar.ts";
import { file, manifestOf } from "../support/manifests.ts";

const BYTES = Buffer.from("hello");
const HASH = sha256(BYTES);
const MANIFEST = Buffer.concat(
  encodeManifest(manifestOf([file("a", [{ chunk: 0, offset: 0, length: BYTES.length }], 5)], HASH)),
);

t.test("chains that do not lead to the release that this host has accepted are refused", async (t) => {
  const liar = await startLiar(t);
  const { icfs, id } = await readerOf(t, liar);
  await liar.serve(sha256(MANIFEST), MANIFEST);
  await liar.serve(HASH, BYTES);
  const reference = { sha256: sha256(MANIFEST), size: MANIFEST.length, chunks: [sha256(MANIFEST)] };
  const header = (number: number, parent?: Uint8Array, note = "") =>
    encodeHeader({ number, parent, note, manifest: reference });
  const first = header(1);
  const second = header(2, headerHash(first));
  const third = header(3, headerHash(second));
  const fourth = header(4, headerHash(third));
  await liar.tell(second, [first]);
  const mountpoint = await mountpointFor(t);
  const mount = (...options: string[]) => icfs("mount", id, mountpoint, ...options);
  const withoutKept = ["--max-cache-size", "0"];
  t.match(await mount(), { code: 0 });
  t.match(await icfs("umount", mountpoint), { code: 0 });

  const fork = header(2, headerHash(first), "another");
  const cases: Record<string, [newest: Buffer, page: Buffer[], message: RegExp]> = {
    "an old release replayed": [first, [], /release 1 is older than release 2, which this host accepted/],
    "a fork with the same number": [fork, [first], /release 2 is not the one that this host accepted.*fork/],
    "a fork with a higher one": [header(3, headerHash(fork)), [fork], /release 2 is not the one .*fork/],
    "no headers": [fourth, [], /does not give release 3's header/],
    "headers of another chain": [fourth, [encodeChain(3)[2]!], /release 3 is not the parent of release 4/],
    "the newest one again": [fourth, [fourth], /release 3 is not the parent of release 4/],
    "headers out of order": [fourth, [second, third], /more headers than asked for/],
    "what is no header": [fourth, [Buffer.from("x")], /release 3 is not the parent of release 4/],
    "a parent with another number": [
      header(4, headerHash(header(2, headerHash(first), "3"))),
      [header(2, headerHash(first), "3")],
      /release 3 calls itself 2/,
    ],
    "a number that leaps": [header(1_000_000, headerHash(second)), [second], /release 999999 calls itself 2/],
    "a parent that is no header": [
      header(4, headerHash(Buffer.from("x"))),
      [Buffer.from("x")],
      /does not begin as an icfs release header|ends after 1 bytes/,
    ],
  };
  for (const [name, [newest, page, message]] of Object.entries(cases)) {
    await liar.tell(newest, page);
    const refused = await mount(...withoutKept);
    t.match(refused, { code: 1, stdout: "", stderr: message }, name);
    t.match(await icfs("trust", "show"), { stdout: `${id} 2 ${headerHash(second).toString("hex")} ` });
  }
  t.equal((await sh("grep", mountpoint, "/proc/mounts")).stdout, "", "nothing is mounted");

  await liar.tell(fork, [first]);
  t.match(
    await mount(),
    {
      code: 0,
      stdout: /^mounted release 2 /,
      stderr: /serves what was kept on this host, .*: release 2 is not the one/,
    },
    "the mount serves the kept release",
  );
  t.match(await sh("cat", join(mountpoint, "a")), { stdout: "hello" });
  t.match(await icfs("umount", mountpoint), { code: 0 });

  await liar.tell(fourth, [third]);
  t.match(await mount(), { code: 0 }, "a successor of the accepted release can be mounted");
  t.match(await sh("cat", join(mountpoint, "a")), { stdout: "hello" });
  t.match(await icfs("umount", mountpoint), { code: 0 });
  await liar.tell(fork, [first]);
  t.match(await mount(...withoutKept), { code: 1, stderr: /icfs trust reset/ });
  t.match(await icfs("trust", "reset", id), { code: 0 });
  t.match(await mount(), { code: 0 }, "any release can be mounted after a reset");
  t.match(await icfs("umount", mountpoint), { code: 0 });
});
