/**
 * Which versions of an endpoint a gateway has (IC interface specification, "HTTPS interface"). The agent uses the newest: query 3,
 * read_state 3, call 4. A gateway from before 2025 has only versions that are deprecated now, and answers 404 or 405 to newer ones.
 *
 * A 404 may also mean that the canister does not exist, or lacks what was asked for. So an older version is used, and remembered, only if
 * it gives another answer. The answers of all versions are verified in the same way.
 */
import type { Answer, Fetch } from "../transport/bounded-fetch.ts";

/** Newest first. */
const VERSIONS: Readonly<Record<string, readonly number[]>> = {
  query: [3, 2],
  read_state: [3, 2],
  call: [4, 3, 2],
};

/** Milliseconds for which an older version is tried first. Then the newest is tried first again: gateways get upgraded. */
const REMEMBERED_MS = 10 * 60_000;

/** A URL up to its version, and what follows it, which ends with the endpoint. */
const ENDPOINT = /^(.*\/api\/v)\d+(\/(?:canister|subnet)\/[^/]+\/(query|read_state|call))$/;

export class ApiVersions {
  readonly #now: () => number;
  /** Older versions that answered, each by its gateway and endpoint. */
  readonly #known = new Map<string, { readonly version: number; readonly until: number }>();

  /** @param now milliseconds, of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Makes `fetch` use the version that the gateway has. `received` counts the bytes of all attempts. @throws what `fetch` throws */
  on(fetch: Fetch): Fetch {
    return async (url, init, ...told) => {
      const [, before, after, endpoint] = ENDPOINT.exec(String(url)) ?? [];
      if (endpoint === undefined) return fetch(url, init, ...told);
      const key = `${before}/${endpoint}`;
      let first: Answer | undefined;
      for (const version of this.#inOrder(key, VERSIONS[endpoint]!)) {
        const answer = await fetch(`${before}${version}${after}`, init, ...told);
        if (!isNotThere(answer)) {
          if (answer.ok) this.#learn(key, version, VERSIONS[endpoint]!);
          return answer;
        }
        first ??= answer;
      }
      return first!;
    };
  }

  /** The versions in the order in which they are tried: an older one that has answered lately goes first. */
  #inOrder(key: string, versions: readonly number[]): readonly number[] {
    const known = this.#known.get(key);
    if (known === undefined || this.#now() >= known.until) return versions;
    return [known.version, ...versions.filter((version) => version !== known.version)];
  }

  #learn(key: string, version: number, [newest]: readonly number[]): void {
    const known = this.#known.get(key);
    if (version === newest) this.#known.delete(key);
    // Use does not extend the time for which a version is remembered.
    else if (known?.version !== version || this.#now() >= known.until)
      this.#known.set(key, { version, until: this.#now() + REMEMBERED_MS });
  }
}

function isNotThere({ status }: Answer): boolean {
  return status === 404 || status === 405;
}
