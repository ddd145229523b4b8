/** Commands in a directory that holds a Debian, as on a host of its own: with its own mounts and processes, and our network. */
import { type Result, run, type Test } from "./icfs.ts";
import { makeNamespaces } from "./namespaces.ts";
import { plain } from "./plain.ts";

/** Milliseconds: apt may have to wait for a mirror. */
const LONG = 300_000;
/** What a shell of root's has there. */
const ENVIRONMENT = {
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C.UTF-8",
  DEBIAN_FRONTEND: "noninteractive",
};
/** What one who has logged in has besides. */
const LOGIN = {
  ...ENVIRONMENT,
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
};

export interface Chroot {
  /** Runs a command in it, as root. @param env the whole environment, instead of a shell's */
  run(command: readonly string[], env?: NodeJS.ProcessEnv): Promise<Result>;
  /** Runs bash on a script in it, as root at a terminal: it ends at the first error. @param limit milliseconds */
  sh(script: string, options?: { offline?: boolean; limit?: number }): Promise<Result>;
  /** Runs one of this machine's commands, which sees the directory with what is mounted in it. */
  outside(...command: string[]): Promise<Result>;
}

/** Whatever runs there, and is mounted there, ends with the test. */
export async function chroot(t: Test, directory: string): Promise<Chroot> {
  const init = await makeNamespaces(
    t,
    `mount --bind ${directory} ${directory}
    mount --bind /dev ${directory}/dev
    mount -t proc proc ${directory}/proc
    mount -t tmpfs tmpfs ${directory}/run`,
  );
  const within = (command: readonly string[], env: NodeJS.ProcessEnv, limit = LONG) =>
    run(...plain("/usr/bin/nsenter", ["--mount", "--pid", "--target", init, "--", ...command]), {
      env,
      limit,
    });
  /** With a loopback network of its own, and no other. */
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
