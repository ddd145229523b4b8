import t from "tap";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";

t.test("a result that cannot be written is a failure; a reader that stops early is not", async (t) => {
  const directory = await temporaryDirectory(t);
  const env = cleanEnvironment(directory);
  const sh = (script: string) => run("bash", ["-c", script, BIN, directory], { env });
  for (const command of [
    "cache ls --cache-dir $1",
    "cache ls --json --cache-dir $1",
    "trust show --json",
    "--help",
  ]) {
    const { code, stderr } = await sh(`$0 ${command} > /dev/full`);
    t.equal(code, 1, command);
    t.match(
      stderr,
      /^icfs: the result cannot be written: ENOSPC: no space left on device, write\n$/,
      command,
    );
  }
  t.match(await sh("set -o pipefail; $0 --help | true"), { code: 0, stderr: "" });
  t.match(await sh("$0 nonsense > /dev/full"), { code: 2 }, "a usage error keeps its own exit code");
});
