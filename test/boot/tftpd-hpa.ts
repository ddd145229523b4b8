/** The real tftpd-hpa, which `make setup` only unpacks. It forks for each transfer, and does not tell clients of read errors. */
import { join } from "node:path";
import { HOST_ADDRESS, type Namespace } from "../../demo/namespace.ts";
import { Process, type RunOptions, run } from "../../demo/process.ts";
import { eventually } from "../mount/mounts.ts";

const IN_TFTPD = join(import.meta.dirname, "../../build/tftpd-hpa/usr/sbin/in.tftpd");
/** Port 69, as /proc/net/udp writes it. */
const BOUND = /:0045 /;

/** Starts tftpd-hpa in the namespace, as Debian does except for the user, and returns when it serves `root`. @throws Error */
export async function startTftpdHpa(
  namespace: Namespace,
  root: string,
  { env }: RunOptions,
): Promise<Process> {
  const options = ["--foreground", "--address", `${HOST_ADDRESS}:69`, "--user", "nobody", "--secure", root];
  const tftpd = new Process(...namespace.inside(IN_TFTPD, options), env);
  try {
    await eventually("it serves", async () =>
      BOUND.test(await run(...namespace.inside("cat", ["/proc/net/udp"]))),
    );
    return tftpd;
  } catch (error) {
    await tftpd.stop();
    throw error;
  }
}
