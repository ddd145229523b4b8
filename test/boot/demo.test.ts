/** The main job, end to end: a machine boots from a canister, through stock dnsmasq, to the installer's first screen. */
import t from "tap";
import { startDemo } from "../support/demo-run.ts";

// The demo has a limit for each stage, and says which one was not reached.
t.setTimeout(1_800_000);

/** What the demo prints, in order. Each stage's time stands between these. */
const OUTPUT = [
  /^ +\d+\.\d s {2}tree /m,
  /s {2}local network +http:\/\/127\.0\.0\.1:\d+$/m,
  /s {2}deploy +canister oeagv-5qaaa-aaaah-aar4q-cai$/m,
  /s {2}publish +release 1: \d+ files, \d+\.\d MB in \d+ chunks, also at http:\/\/[a-z0-9-]+\.localhost:\d+\/$/m,
  /s {2}mount +\/.+\/mnt$/m,
  /s {2}dnsmasq +DHCP and TFTP in the network namespace icfs-demo-\d+$/m,
  /s {2}iPXE +iPXE \d/m,
  /s {2}pxelinux\.0 +PXELINUX \d/m,
  /s {2}kernel +Linux version \d/m,
  /s {2}installer +Select a language$/m,
  /^TFTP: \d+ files, (4[89]|5\d)\.\d MB to /m,
  /^From the canister: release 1, [0-9a-f]{64}$/m,
  /^[1-9]\d* chunks, \d+\.\d MB verified$/m,
  /^The cache answered \d+ of [1-9]\d* reads$/m,
  /^Everything is cleaned up\./m,
];

t.test("the demo boots to the installer's first screen and leaves nothing behind", async (t) => {
  await using run = await startDemo();
  t.equal(await run.demo.exit, 0, "exit code");
  let at = 0;
  for (const pattern of OUTPUT) {
    const found = pattern.exec(run.demo.output.slice(at));
    t.ok(found, `prints ${pattern}`, { printed: run.demo.output });
    at += found?.index ?? 0;
  }
  t.same(await run.leftovers(), [], "the demo leaves nothing behind");
});
