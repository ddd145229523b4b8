/**
 * What is on the host already, beside a plain directory in memory (tmpfs), and the same through a file system in C that does nothing
 * but pass on (bindfs, libfuse): `node bench/warm.ts [--runs 9] [--json]`, as root; `make bench-warm`. All in turn, in each run:
 *
 * - by TFTP: a file of 32 MiB from one dnsmasq, in blocks of 1468 bytes, as boot ROMs ask
 * - read: a file of 256 MiB that is in the page cache
 * - cold in the page cache: the same when it is not there, and icfs has it in its own memory
 */
import { randomBytes } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startDnsmasq } from "../demo/dnsmasq.ts";
import { deploy, mount, publish, startLocalnet } from "../demo/icfs.ts";
import { interruptible } from "../demo/interruptible.ts";
import { HOST_ADDRESS, makeNamespace } from "../demo/namespace.ts";
import { mountsBelow, run } from "../demo/process.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { setReadAhead } from "../lib/fs/live-mount.ts";
import { mountAt, readMounts } from "../lib/fs/mounting/mountinfo.ts";
import { createLog } from "../lib/log.ts";
import { median, sorted, spread } from "./median.ts";
import { type Goal, print } from "./result.ts";

const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
const MIB = 1024 * 1024;
/** TFTP's blocks are counted in 16 bits. */
const FILES = { small: 32 * MIB, large: 256 * MIB };
const PLACES = ["tmpfs", "bindfs", "icfs"] as const;
type Place = (typeof PLACES)[number];

const { values } = parseArgs({
  options: { runs: { type: "string", default: "9" }, json: { type: "boolean", default: false } },
});

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const { directory, env } = stack.use(await makeWorkspace("icfs-bench"));
  const root = join(directory, "root");
  await mkdir(root);
  const at = (place: Place, file = "") => join(root, place, file);
  for (const place of PLACES) await mkdir(at(place));
  await run("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", at("tmpfs")]);
  stack.defer(async () => {
    for (const one of mountsBelow(root).reverse()) await run("umount", [one], { env });
  });
  for (const [name, bytes] of Object.entries(FILES)) {
    await using file = await open(at("tmpfs", name), "wx", 0o644);
    for (let i = 0; i < bytes; i += MIB) await file.write(randomBytes(MIB));
  }
  await run("bindfs", ["-r", at("tmpfs"), at("bindfs")], { env });
  // As icfs's, or the kernel would ask for an eighth at a time.
  await setReadAhead(mountAt(await readMounts(), at("bindfs"))!, createLog("debug"));

  const options = { env, signal };
  const { localnet, url } = await startLocalnet(options);
  stack.use(localnet);
  await deploy(CANISTER, url, options);
  await publish(at("tmpfs"), CANISTER, url, options);
  stack.use(await mount(CANISTER, at("icfs"), url, options, ["--ready", "hydrated", "--memory", "512MiB"]));

  const namespace = stack.use(await makeNamespace(`icfs-bench-${process.pid}`));
  stack.use(await startDnsmasq(namespace, root, options));

  // A reader in C that keeps nothing: what one in JavaScript takes for itself hides the difference.
  const read = async (place: Place) => {
    const dd = `dd if=${at(place, "large")} of=/dev/null bs=1M 2>&1`;
    const said = await run("sh", ["-c", dd], { env: { ...env, LC_ALL: "C" }, signal, seconds: 60 });
    return Number(/([\d.]+) s,/.exec(said)![1]);
  };
  const forget = (place: Place) =>
    run("dd", [`if=${at(place, "large")}`, "iflag=nocache", "count=0", "status=none"], { env });
  const measures: Record<
    string,
    { bytes: number; places: readonly Place[]; by(place: Place): Promise<number> }
  > = {
    "by TFTP": {
      bytes: FILES.small,
      places: ["tmpfs", "icfs"],
      async by(place) {
        const url = `tftp://${HOST_ADDRESS}/${place}/small`;
        const parameters = ["--silent", "--show-error", "--tftp-blksize", "1468", "--output", "/dev/null"];
        const curl = [...parameters, "--write-out", "%{time_total}", url];
        return Number(await run(...namespace.inside("curl", curl), { env, signal, seconds: 60 }));
      },
    },
    read: { bytes: FILES.large, places: PLACES, by: read },
    "cold in the page cache": {
      bytes: FILES.large,
      places: ["bindfs", "icfs"],
      async by(place) {
        await forget(place);
        return read(place);
      },
    },
  };
  const lines: { what: string; place: Place; rates: number[] }[] = [];
  for (const [what, { bytes, places, by }] of Object.entries(measures)) {
    const rates = new Map<Place, number[]>(places.map((place) => [place, []]));
    // The first is not counted: it fills caches.
    for (let i = 0; i <= Number(values.runs); i++) {
      for (const place of places) {
        const rate = bytes / MIB / (await by(place));
        if (i > 0) rates.get(place)!.push(rate);
      }
    }
    for (const place of places) lines.push({ what, place, rates: sorted(rates.get(place)!) });
  }
  const of = (what: string, place: Place) =>
    lines.find((line) => line.what === what && line.place === place)!;
  const ratio = (what: string, place: Place) =>
    median(of(what, "icfs").rates) / median(of(what, place).rates);
  const goal = (what: string, place: Place, least: number): Goal => ({
    what: `warm, ${what}: the rate, of that from ${place}`,
    goal: `at least ${least}`,
    measured: ratio(what, place).toFixed(2),
    met: ratio(what, place) >= least,
  });
  print(
    {
      title: "What is on the host already",
      about: `A file of ${FILES.small / MIB} MiB by TFTP from one dnsmasq, in blocks of 1468 bytes; one of ${FILES.large / MIB} MiB read through the page cache, and read when icfs has it in its own memory and the page cache has not. bindfs is a file system in C (libfuse) that only passes on, with icfs's read-ahead of 1 MiB. ${values.runs} runs, each of all.`,
      tables: [
        {
          columns: ["", "from", "MiB/s, median", "least", "most", "icfs, of this"],
          rows: lines.map(({ what, place, rates }) => [
            what,
            place,
            ...spread(rates, 0),
            ratio(what, place).toFixed(2),
          ]),
        },
      ],
      goals: [
        goal("by TFTP", "tmpfs", 0.95),
        goal("read", "tmpfs", 1),
        goal("cold in the page cache", "bindfs", 0.8),
      ],
    },
    values.json,
  );
});
