/**
 * Measures reading what is on the host already, beside a plain directory in memory (tmpfs), and beside the same through a file
 * system in C that only passes requests on (bindfs, libfuse): `node bench/warm.ts [--runs 9] [--json]`, as root; `make
 * bench-warm`. All in turn, in each run:
 *
 * - by TFTP: a file of 32 MiB from one dnsmasq, in blocks of 1468 bytes, as boot ROMs request
 * - read: a file of 256 MiB that is in the page cache
 * - cold in the page cache: the same file when only icfs's own memory has it
 * - by nginx, and by nginx, cold in the page cache: the same file, downloaded by curl from one nginx on this machine
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
import { serveHere } from "./carrier/mirror.ts";
import { median, sorted, spread } from "./median.ts";
import { type Goal, print } from "./result.ts";

const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
const MIB = 1024 * 1024;
/** The small file is for TFTP, which counts blocks in 16 bits. */
const FILES = { small: 32 * MIB, large: 256 * MIB };
const PLACES = ["tmpfs", "bindfs", "icfs"] as const;
type Place = (typeof PLACES)[number];

const { values } = parseArgs({
  options: { runs: { type: "string", default: "9" }, json: { type: "boolean", default: false } },
});

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const { directory, env } = workspace;
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
  // The same read-ahead as icfs has. By default the kernel would request an eighth of that at a time.
  await setReadAhead(mountAt(await readMounts(), at("bindfs"))!, createLog("debug"));

  const options = { env, signal };
  const { localnet, url } = await startLocalnet(options);
  stack.use(localnet);
  await deploy(CANISTER, url, options);
  await publish(at("tmpfs"), CANISTER, url, options);
  stack.use(await mount(CANISTER, at("icfs"), url, options, ["--ready", "hydrated", "--memory", "512MiB"]));

  const namespace = stack.use(await makeNamespace(`icfs-bench-${process.pid}`));
  stack.use(await startDnsmasq(namespace, root, options));
  const web = await serveHere(root, workspace, stack);

  // dd is in C, and keeps nothing. A reader in JavaScript would take so long that it hid the difference.
  const read = async (place: Place) => {
    const dd = `dd if=${at(place, "large")} of=/dev/null bs=1M 2>&1`;
    const said = await run("sh", ["-c", dd], { env: { ...env, LC_ALL: "C" }, signal, seconds: 60 });
    return Number(/([\d.]+) s,/.exec(said)![1]);
  };
  const download = async (place: Place) => {
    const parameters = ["--silent", "--show-error", "--fail", "--output", "/dev/null"];
    const curl = [...parameters, "--write-out", "%{time_total}", `${web}/${place}/large`];
    return Number(await run("curl", curl, { env, signal, seconds: 60 }));
  };
  /** Drops the large file from the page cache. Not in tmpfs, whose files are nowhere else. */
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
    "by nginx": { bytes: FILES.large, places: PLACES, by: download },
    "by nginx, cold in the page cache": {
      bytes: FILES.large,
      places: PLACES,
      async by(place) {
        if (place !== "tmpfs") await forget(place);
        return download(place);
      },
    },
  };
  const lines: { what: string; place: Place; rates: number[] }[] = [];
  for (const [what, { bytes, places, by }] of Object.entries(measures)) {
    const rates = new Map<Place, number[]>(places.map((place) => [place, []]));
    // The first run fills caches, and is not counted.
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
      about: `A file of ${FILES.small / MIB} MiB by TFTP from one dnsmasq, in blocks of 1468 bytes; one of ${FILES.large / MIB} MiB read through the page cache, and read when icfs has it in its own memory and the page cache does not. Both again by curl from an nginx on this machine (tmpfs is never cold). bindfs is a file system in C (libfuse) that only passes requests on, with icfs's read-ahead of 1 MiB. ${values.runs} runs, in each of which all are read in turn.`,
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
        goal("by nginx", "tmpfs", 0.8),
        goal("by nginx, cold in the page cache", "bindfs", 0.8),
        goal("by nginx, cold in the page cache", "tmpfs", 0.8),
      ],
    },
    values.json,
  );
});
