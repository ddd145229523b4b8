/** How canisters of one kind are recognized. */
import type { RejectError } from "../ic/call-errors.ts";
import type { SourceKind } from "./source.ts";

export interface Kind {
  readonly kind: SourceKind;
  /** Methods that all canisters of the kind have, and that no kind that is tried later has all of. */
  readonly methods: readonly string[];
  /** A query that only this kind answers, among those that have not been ruled out yet. */
  readonly probe: { readonly method: string; readonly arg: Uint8Array };
  /** Throws when the probe's reply is of another shape. */
  readonly check: (reply: Uint8Array) => unknown;
  /** Whether a rejection of the probe is one of this kind's own. */
  readonly rejects: (error: RejectError) => boolean;
}
