/** Users and groups of this host by name, from any source: files, LDAP, systemd. */
import { spawnSync } from "node:child_process";
import { UserError } from "../errors.ts";

/** Milliseconds. A directory service may be slow; after this long, it does not answer at all. */
const LIMIT_MS = 10_000;
/** getent(1): no such key. */
const NOT_FOUND = 2;

const DATABASES = { user: "passwd", group: "group" } as const;

/**
 * The number of a user or group, by getent(1), which asks whatever nsswitch.conf(5) names.
 *
 * @throws UserError when there is none of that name, or the lookup fails
 */
export function numberOf(kind: keyof typeof DATABASES, name: string): number {
  const database = DATABASES[kind];
  // Impossible names, and what getent would take for an option.
  if (name === "" || /^-|[:,\s\p{Cc}]/u.test(name))
    throw new UserError(`"${name}" is not a name of a ${kind}`);
  const { status, stdout, error } = spawnSync("getent", [database, name], {
    encoding: "utf8",
    timeout: LIMIT_MS,
    stdio: ["ignore", "pipe", "ignore"],
  });
  if (status === NOT_FOUND) {
    throw new UserError(`there is no ${kind} "${name}" on this host (getent ${database} ${name})`);
  }
  const number = stdout?.split(":")[2];
  if (status !== 0 || number === undefined || !/^\d+$/.test(number)) {
    const why = error?.message ?? `getent ${database} ${name} ended with ${status}`;
    throw new UserError(`cannot look up the ${kind} "${name}": ${why}`);
  }
  return Number(number);
}
