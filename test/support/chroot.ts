/**
 * Runs commands in a directory that contains a Debian system, like a separate host: with its own mounts and processes, but our
 * network.
 */
import { type Result, run, type Test } from "./icfs.ts";
import { makeNamespaces } from "./namespaces.ts";
import { plain } from "./plain.ts";

/** The time limit of a command: apt may have to wait for a mirror. */
const LONG_MS = 300_000;
/** The environment of a root shell there. */
const ENVIRONMENT = {
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C.UTF-8",
  DEBIAN_FRONTEND: "noninteractive",
};
/** Additional variables of a login. */
const LOGIN = {
  ...ENVIRONMENT,
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
};

export interface Chroot {
  /** Runs a command in it, as root. @param env the complete environment, instead of a shell's */
  run(command: readonly string[], env?: NodeJS.ProcessEnv): Promise<Result>;
  /** Runs a script with bash in it, as root on a terminal, up to the first error. @param limit milliseconds */
  sh(script: string, options?: { offline?: boolean; limit?: number }): Promise<Result>;
  /** Runs a command of this machine that sees the directory and its mounts. */
  outside(...command: string[]): Promise<Result>;
}

/** All its processes and mounts end with the test. */
export async function chroot(t: Test, directory: string): Promise<Chroot> {
  const init = await makeNamespaces(
    t,
    `mount --bind ${directory} ${directory}
    mount --bind /dev ${directory}/dev
    mount -t proc proc ${directory}/proc
    mount -t tmpfs tmpfs ${directory}/run`,
  );
  const within = (command: readonly string[], env: NodeJS.ProcessEnv, limit = LONG_MS) =>
    run(...plain("/usr/bin/nsenter", ["--mount", "--pid", "--target", init, "--", ...command]), {
      env,
      limit,
    });
  /** Isolates the network: only a loopback interface of its own. */
  const ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];
  return {
    sh(script, { offline = false, limit } = {}) {
      const bash = ["/usr/sbin/chroot", directory, "bash", "-euo", "pipefail", "-c", `cd\n${script}`];
      return within(offline ? [...ALONE, ...bash] : bash, LOGIN, limit);
    },
    run: (command, env = ENVIRONMENT) => within(["/usr/sbin/chroot", directory, ...command], env),
    outside: (...command) => within(command, ENVIRONMENT),
  };
}
