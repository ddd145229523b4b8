/** The first commands on a host that lacks something, such as FUSE or a network: each error says what to do, and none needs a network. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";

const home = await temporaryDirectory(t);
const env = cleanEnvironment(home);
const at = join(home, "mountpoint");
const dev = join(home, "dev");
await Promise.all([mkdir(at), mkdir(dev)]);

t.test("without FUSE", async (t) => {
  const script = `mount -t tmpfs -o mode=755 tmpfs ${dev}
    cp -a /dev/null /dev/zero /dev/random /dev/urandom ${dev}
    mount --move ${dev} /dev
    exec "$@"`;
  const mount = [BIN, "mount", ID, at, "--network", "http://127.0.0.1:1"];
  t.same(await run("unshare", ["--mount", "sh", "-euc", script, "sh", ...mount], { env }), {
    code: 1,
    stdout: "",
    stderr:
      "icfs: there is no /dev/fuse: load the kernel's FUSE module (modprobe fuse), or give the container that device\n",
  });
});

t.test("without a network", async (t) => {
  const alone = (...args: string[]) => run("unshare", ["--net", BIN, ...args], { env });
  t.match(await alone("ls", ID), {
    code: 1,
    stdout: "",
    stderr: /^icfs: no network answers at https:\/\/icp-api\.io \(--network ic, the default\) .*--proxy URL/,
  });
});

t.test("with a typo in a command's name", async (t) => {
  t.same(await run(BIN, ["muont", ID, at], { env }), {
    code: 2,
    stdout: "",
    stderr: "error: unknown command 'muont'\n(Did you mean mount?)\n",
  });
});

t.test("without arguments", async (t) => {
  const { code, stdout, stderr } = await run(BIN, [], { env });
  t.same({ code, stdout }, { code: 2, stdout: "" });
  t.match(stderr, /^Usage: icfs .*\n[\s\S]*^Begin with `icfs doctor`, /m);
});
