/**
 * A hostile mirror: whatever it sends, no reader gets a wrong byte or an old release. The next mirror is asked, and where there is none
 * there is an error.
 */
import { mkdir, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import t, { type Test } from "tap";
import { FormatError } from "../../../lib/errors.ts";
import { decodeHashTree, rootHash } from "../../../lib/ic/certificate/hash-tree.ts";
import { resolveNetwork } from "../../../lib/ic/network.ts";
import { trustingReader } from "../../../lib/source/icfs/accepted-releases.ts";
import { releasePath } from "../../../lib/source/icfs/mirror-paths.ts";
import { MirroredReader } from "../../../lib/source/icfs/mirrored-reader.ts";
import { type EqualMirrors, Mirrors } from "../../../lib/source/icfs/mirrors.ts";
import type { NetworkReader } from "../../../lib/source/icfs/release-reader.ts";
import { decodeHeader, headerHash } from "../../../lib/tree/header.ts";
import {
  type CertificateFields,
  canisterId,
  certify,
  idBytes,
  newBlsKey,
} from "../../support/certificates.ts";
import { encodeHeader } from "../../support/headers.ts";
import { HUNG, temporaryDirectory } from "../../support/icfs.ts";
import { sha256 } from "../../support/icfs-canister.ts";
import { type MirrorFault, startMirrorServer } from "../../support/mirror-server.ts";
import { proofOf, sourceOfReply, witnessOf } from "../../support/proofs.ts";

t.setTimeout(10 * HUNG);

const root = newBlsKey();
const canister = canisterId(1);
const directory = await temporaryDirectory(t);
process.env.XDG_STATE_HOME = join(directory, "state");

function proof(header: Buffer, fields: Partial<CertificateFields> = {}): Buffer {
  const witness = witnessOf(header);
  const data = rootHash(decodeHashTree(witness));
  return proofOf({ header, witness, certificate: certify({ canister, data, root, ...fields }) });
}

const first = encodeHeader({ number: 1, note: "first" });
const second = encodeHeader({ number: 2, parent: headerHash(first), note: "second" });
const chunk = Buffer.alloc(100_000, "a chunk's bytes ");
const hash = sha256(chunk);
const reference = { sha256: hash, size: chunk.length };
const good = join(directory, "good");
const files: Record<string, Buffer> = {
  release: proof(second),
  "headers/1": Buffer.concat([Buffer.from([0x81, 0x58, first.length]), first]),
  [`chunk/${hash.toString("hex")}`]: chunk,
};
for (const [name, bytes] of Object.entries(files)) {
  await mkdir(dirname(join(good, ".icfs", name)), { recursive: true });
  await writeFile(join(good, ".icfs", name), bytes);
}

const gone = () => Promise.reject(new Error("the network is gone"));
type Restore = NetworkReader["restore"];
const restore: Restore = (bytes) => sourceOfReply(bytes, canister, root.publicKey).restore(bytes);
/** Does not check signatures: the bytes are either the good ones or worthless. */
const recognize: Restore = async (bytes) => {
  if (!files.release!.equals(bytes)) throw new FormatError("no proof");
  return { header: decodeHeader(second), hash: headerHash(second), certifiedAt: new Date(), proof: bytes };
};

interface Reading {
  /** Milliseconds. */
  readonly limit?: number;
  readonly restore?: Restore;
}

function readerOf(urls: readonly EqualMirrors[], reading: Reading = {}) {
  const mirrors = new Mirrors(urls, { only: true, maxStale: 0 });
  const network: NetworkReader = {
    proofPath: releasePath,
    head: gone,
    headers: gone,
    manifest: gone,
    chunk: gone,
    piece: gone,
    restore,
    ...reading,
  };
  return { mirrors, reader: new MirroredReader(mirrors, network, reading.limit ?? 10_000) };
}

/** A hostile mirror with this fault, and a good one after it. */
async function stage(t: Test, fault: MirrorFault, reading?: Reading) {
  const enemy = await startMirrorServer(t, good);
  enemy.fault = () => fault;
  const both = readerOf([enemy.url, `file://${good}`], reading);
  const told: string[] = [];
  both.mirrors.tell = (event) => told.push(event);
  /** The reasons why it was put aside, which may have been only for a second. */
  const asides = () => told.filter((event) => event.startsWith(`the mirror ${enemy.url} is put aside: `));
  return { ...both, asides, alone: readerOf([enemy.url], reading).reader };
}

const answers =
  (status: number, headers: Record<string, string | number> = {}, body?: string | Buffer): MirrorFault =>
  (response, right) =>
    void response.writeHead(status, headers).end(body ?? right);

/** Goes on sending for as long as a client reads. */
function forever(response: ServerResponse, part: Buffer, pause: number): void {
  response.writeHead(200);
  const timer = setInterval(() => response.write(part), pause);
  response.on("close", () => clearInterval(timer));
}

const ENEMIES: Record<string, MirrorFault> = {
  "sends one to a file": answers(302, { location: `file://${good}/.icfs/release` }),
  "sends one elsewhere": answers(301, { location: "http://127.0.0.1:9/" }),
  "says that nothing has changed": answers(304),
  "sends a part": answers(206, { "content-range": "bytes 0-9/100" }),
  "sends nothing": answers(200, {}, ""),
  "says that there is nothing": answers(204, {}, ""),
  "sends a page": answers(200, { "content-type": "text/html" }, "<html><title>Login</title></html>"),
  "packs right bytes": (response, right) =>
    void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(right)),
  "packs a gigabyte": answers(200, { "content-encoding": "gzip" }, gzipSync(Buffer.alloc(16_000_000))),
  "sends half": (response, right) => void response.end(right.subarray(0, right.length >> 1)),
  "sends half of what it announces": (response, right) => {
    response.writeHead(200, { "content-length": right.length });
    response.write(right.subarray(0, right.length >> 1), () => response.destroy());
  },
  "sends more": (response, right) => void response.end(Buffer.concat([right, Buffer.from("x")])),
  "announces more than there can be": answers(200, { "content-length": 2 ** 50 }),
  "sends other bytes, as many": (response, right) => void response.end(Buffer.alloc(right.length, "x")),
  "sends without an end": (response) => forever(response, Buffer.alloc(100_000), 1),
  "sends headers without an end": (response, right) => {
    for (let i = 0; i < 1000; i++) response.setHeader(`x-${i}`, "x".repeat(1000));
    response.end(right);
  },
  "is not a web server": (response) => {
    response.socket!.end("SSH-2.0-OpenSSH_9.2\r\n");
  },
  "changes the protocol": (response) => {
    response.socket!.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
  },
  "forbids it": answers(403),
  "asks for a login": answers(401, { "www-authenticate": 'Basic realm="x"' }),
  "wants to be asked next year": answers(503, { "retry-after": "31536000" }),
};

for (const [what, fault] of Object.entries(ENEMIES)) {
  t.test(`a mirror that ${what}`, async (t) => {
    const { reader, mirrors, asides, alone } = await stage(t, fault, { restore: recognize });
    t.same(await reader.chunk(reference), chunk);
    t.equal((await reader.head())!.header.number, 2);
    t.same((await reader.headers(1, 1)).map(headerHash), [headerHash(first)]);
    const [enemy, last] = mirrors.health();
    t.match(enemy, { chunks: 0, bytes: 0 });
    t.ok(asides().length > 0);
    t.match(last, { chunks: 1, wrong: 0 });
    await t.rejects(alone.chunk(reference));
    await t.rejects(alone.head());
  });
}

const HANGING: Record<string, MirrorFault> = {
  "says nothing": "silence",
  drips: (response) => forever(response, Buffer.from("x"), 20),
  "begins, and says no more": (response, right) => void response.write(right.subarray(0, 10)),
};

for (const [what, fault] of Object.entries(HANGING)) {
  t.test(`a mirror that ${what}`, async (t) => {
    const { reader, mirrors, alone } = await stage(t, fault, { restore: recognize, limit: 1000 });
    t.same(await reader.chunk(reference), chunk);
    t.equal((await reader.head())!.header.number, 2);
    const [enemy] = mirrors.health();
    t.ok(enemy!.late > 0 && enemy!.chunks === 0, JSON.stringify(enemy));
    await t.rejects(alone.chunk(reference), { name: "Error", message: /^no mirror answers: .* within / });
  });
}

t.test("proofs of anything but the canister's newest release are refused", async (t) => {
  const other = canisterId(2);
  const others: Record<string, Buffer> = {
    "by another root key": proof(second, { root: newBlsKey() }),
    "of another canister": proof(second, { canister: other }),
    "by a subnet that has other canisters": proof(second, {
      shards: [[[idBytes(5), idBytes(9)]]],
    }),
    "by no subnet": proof(second, { withoutDelegation: true, root: newBlsKey() }),
    "of tomorrow": proof(second, { time: Date.now() + 86_400_000 }),
    "of an hour ago": proof(second, { time: Date.now() - 3_600_000 }),
    "whose header is another": Buffer.concat([proof(second).subarray(0, -40), Buffer.alloc(40)]),
    "with something behind it": Buffer.concat([proof(second), Buffer.from([0])]),
    "that is too large": Buffer.alloc(300_000),
  };
  for (const [what, bytes] of Object.entries(others)) {
    const { reader, alone } = await stage(t, answers(200, {}, bytes));
    t.equal((await reader.head())!.header.note, "second", what);
    await t.rejects(alone.head(), what);
  }
});

t.test("an older release and another history are refused, even if freshly signed", async (t) => {
  const address = {
    network: resolveNetwork("http://127.0.0.1:9"),
    rootKey: root.publicKey,
    canister,
  };
  t.equal((await trustingReader(readerOf([`file://${good}`]).reader, address).head())!.header.number, 2);
  const fork = encodeHeader({ number: 2, parent: headerHash(first), note: "fork" });
  for (const [header, message] of [
    [first, /release 1 is older than release 2, which this host accepted/],
    [fork, /release 2 is not the one that this host accepted before: this is a fork/],
  ] as const) {
    const { reader, alone, mirrors } = await stage(t, answers(200, {}, proof(header)));
    t.equal((await trustingReader(reader, address).head())!.header.note, "second");
    t.match(
      mirrors.health()[0],
      { missing: 1, wrong: 0 },
      "the mirror is not blamed for a proof that the subnet signed",
    );
    await t.rejects(trustingReader(alone, address).head(), { name: "VerificationError", message });
  }
});
