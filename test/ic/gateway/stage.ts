/** Gateways that behave as a test says, on a clock that the test moves. */
import type { Test } from "tap";
import type { RequestKind } from "../../../lib/ic/gateway/gateway.ts";
import { Gateways, type GatewaysOptions } from "../../../lib/ic/gateway/gateways.ts";
import type { Urgency } from "../../../lib/urgency.ts";
import { stopClock } from "../../support/clock.ts";

/** How a gateway treats a request: it answers after so many milliseconds, with a status; fails after them; or never answers. */
type Behaviour =
  | { readonly after: number; readonly status?: number; readonly headers?: Record<string, string> }
  | { readonly fails: string | Error; readonly after?: number }
  /** Something comes after so many milliseconds, and then nothing. */
  | { readonly stalls: number }
  /** Something comes each time that so many milliseconds have passed, without end. */
  | { readonly drips: number }
  | "silent";

export const LIMIT = 5000;

export function stage(t: Test, behaviours: Record<string, Behaviour>, options?: GatewaysOptions) {
  const clock = stopClock(t);
  const gateways = new Gateways(Object.keys(behaviours), options);
  const asked: string[] = [];
  const ended: string[] = [];
  const carry = (url: string, signal: AbortSignal, received: () => void) =>
    new Promise<Response>((resolve, reject) => {
      asked.push(url);
      let isUnderWay = true;
      signal.addEventListener("abort", () => {
        if (isUnderWay) ended.push(url);
        reject(signal.reason);
      });
      const does = behaviours[url]!;
      if (does === "silent") return;
      if ("drips" in does) {
        const timer = setInterval(received, does.drips);
        signal.addEventListener("abort", () => clearInterval(timer));
        return;
      }
      if ("stalls" in does) return void setTimeout(received, does.stalls);
      setTimeout(
        () => {
          isUnderWay = false;
          if ("fails" in does)
            return reject(typeof does.fails === "string" ? new Error(does.fails) : does.fails);
          const { status = 200, headers = {} } = does;
          resolve(new Response(null, { status, headers }));
        },
        "fails" in does ? (does.after ?? 0) : does.after,
      );
    });
  return {
    gateways,
    clock,
    behaviours,
    ended,
    /** The gateways that were asked since the last time, and the one that has answered. */
    async ask({
      kind = "query" as RequestKind,
      last = new Map<string, number>(),
      within = 20_000,
      whole = Number.POSITIVE_INFINITY,
      urgency = undefined as Urgency | undefined,
      limit = LIMIT,
    } = {}) {
      asked.length = 0;
      ended.length = 0;
      const start = performance.now();
      const answer = gateways.ask({ kind, limit, last, whole, urgency }, carry).then(
        ({ response, url }) => ({ by: url, status: response.status }),
        (error: Error) => ({ error }),
      );
      let result: { by?: string; status?: number; error?: Error } | undefined;
      void answer.then((one) => {
        result = one;
      });
      while (result === undefined && performance.now() - start < within) await clock.pass(1);
      return { ...result, asked: [...asked], took: performance.now() - start };
    },
    health: (url: string) => gateways.health().find((one) => one.url === url)!,
  };
}
