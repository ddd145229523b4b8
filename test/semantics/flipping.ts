/** A mount whose tree changes again and again, and readers that notice when they get two versions at once. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import type { TransportName } from "../../lib/fs/choose-transport.ts";
import { eventually, HUNG, mountpointFor } from "../mount/mounts.ts";
import { run } from "../support/icfs.ts";
import { TRANSPORT } from "../support/transport.ts";

const FIXTURE = fileURLToPath(new URL("../mount/versions-fixture.ts", import.meta.url));
const READER = fileURLToPath(new URL("versions-reader.py", import.meta.url));
const READERS = 6;
/** Milliseconds from one version to the next: few reads are finished by then. */
const INTERVAL = 150;

export interface Flipping {
  readonly mountpoint: string;
  /** The live version, as the mount reports it. */
  live(): number;
  /** Makes the next version live, on a mount that does not flip by itself. */
  next(): Promise<void>;
}

/** Mounts the tree. @param interval milliseconds; 0: `next` makes the next version live */
export async function flipping(
  t: Test,
  interval: number,
  transport: TransportName = TRANSPORT,
): Promise<Flipping> {
  const mountpoint = await mountpointFor(t);
  const child = spawn(process.execPath, [FIXTURE, mountpoint, String(interval)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TEST_TRANSPORT: transport },
  });
  t.teardown(async () => void child.kill("SIGKILL"));
  let live = -1;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    for (const [, version] of text.matchAll(/"version":(\d+)/g)) live = Number(version);
  });
  await eventually("it is mounted", () => live >= 0);
  const next = async () => {
    const before = live;
    child.kill("SIGUSR2");
    await eventually("the next version is live", () => live > before);
  };
  return { mountpoint, live: () => live, next };
}

/** Many readers read in all possible ways while the versions change: each handle must give one version, and no page two. */
export async function readsOneVersion(
  t: Test,
  { seconds, transport }: { readonly seconds: number; readonly transport: TransportName },
): Promise<void> {
  const { mountpoint, live } = await flipping(t, INTERVAL, transport);
  const results = await Promise.all(
    Array.from({ length: READERS }, (_, seed) =>
      run("python3", [READER, mountpoint, String(seconds), String(seed)], {
        env: process.env,
        limit: seconds * 1000 + HUNG,
      }),
    ),
  );
  for (const { stdout, stderr } of results) {
    t.equal(stderr, "");
    const { reads, versions, problems } = JSON.parse(stdout);
    t.same(problems, []);
    t.ok(reads > 20, `${reads} reads`);
    t.ok(versions > 3, `${versions} versions`);
  }
  await eventually("it has flipped often", () => live() > 10);
}
