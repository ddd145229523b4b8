/**
 * Which versions of an endpoint a gateway has (IC interface specification, "HTTPS interface"). The agent asks the newest: query 3,
 * read_state 3, call 4. A gateway of before 2025 has only those that are deprecated by now, and says 404 or 405 to newer ones.
 *
 * 404 may as well be an answer: the canister, or what is asked of it, is not there. So an older version counts, and is remembered, only
 * where it gives another answer. Whatever answers is verified in the same way.
 */
import type { Fetch } from "./bounded-fetch.ts";

/** Newest first. */
const VERSIONS: Readonly<Record<string, readonly number[]>> = {
  query: [3, 2],
  read_state: [3, 2],
  call: [4, 3, 2],
};

/** So long an older version is asked for at once. Then the newest is asked for again: gateways are upgraded. */
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

  /** `fetch`, with the version that the gateway has. It is told of all bytes that arrive. @throws what `fetch` throws */
  on(fetch: Fetch): Fetch {
    return async (url, init, received) => {
      const asked = url instanceof Request ? url.url : String(url);
      const [, before, after, endpoint] = ENDPOINT.exec(asked) ?? [];
      if (endpoint === undefined) return fetch(url, init, received);
      const key = `${before}/${endpoint}`;
      let first: Response | undefined;
      for (const version of this.#inOrder(key, VERSIONS[endpoint]!)) {
        const answer = await fetch(`${before}${version}${after}`, init, received);
        if (!isNotThere(answer)) {
          if (answer.ok) this.#learn(key, version, VERSIONS[endpoint]!);
          return answer;
        }
        first ??= answer;
      }
      return first!;
    };
  }

  /** The one that has answered lately goes first. */
  #inOrder(key: string, versions: readonly number[]): readonly number[] {
    const known = this.#known.get(key);
    if (known === undefined || this.#now() >= known.until) return versions;
    return [known.version, ...versions.filter((version) => version !== known.version)];
  }

  #learn(key: string, version: number, [newest]: readonly number[]): void {
    const known = this.#known.get(key);
    if (version === newest) this.#known.delete(key);
    // Not for longer because it is used.
    else if (known?.version !== version || this.#now() >= known.until)
      this.#known.set(key, { version, until: this.#now() + REMEMBERED_MS });
  }
}

function isNotThere({ status }: Response): boolean {
  return status === 404 || status === 405;
}
