/**
 * The accepted update calls and their results, so that a request that arrives twice runs once, and
 * clients can ask for the answer later.
 */
import { type HashTree, labels, leaf } from "./hash-tree.ts";
import { LabeledMap } from "./labeled-map.ts";
import type { Response } from "./response.ts";
import { leb128 } from "./wasm-reader.ts";

export interface CallRecord {
  readonly id: Uint8Array;
  readonly sender: Uint8Array;
  /** Resolves when the call is answered. */
  readonly done: Promise<void>;
}

/** How long an answer is kept, as on the IC: five minutes. */
const KEPT_MS = 300_000;

export class RequestHistory {
  readonly #records = new Map<string, CallRecord & { answered: number | undefined }>();
  readonly #statuses = new LabeledMap();
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  find(id: Uint8Array): CallRecord | undefined {
    return this.#records.get(key(id));
  }

  /** Records a call and its future answer. */
  add(id: Uint8Array, sender: Uint8Array, answer: Promise<Response>): CallRecord {
    this.#forgetOld();
    this.#setStatus(id, [["status", leaf(Buffer.from("processing"))]]);
    const done = answer.then((response) => {
      this.#setStatus(id, statusOf(response));
      record.answered = Date.now();
    });
    const record = { id, sender, done, answered: undefined as number | undefined };
    this.#records.set(key(id), record);
    return record;
  }

  /** The state tree's part about requests. */
  tree(): HashTree {
    return this.#statuses.tree();
  }

  #setStatus(id: Uint8Array, status: [string, HashTree][]): void {
    this.#statuses.set(id, labels(status));
    this.#onChange();
  }

  /** The oldest records come first, so this looks at few that stay. */
  #forgetOld(): void {
    for (const [name, record] of this.#records) {
      if (record.answered === undefined) continue;
      if (Date.now() - record.answered < KEPT_MS) return;
      this.#records.delete(name);
      this.#statuses.delete(record.id);
    }
  }
}

function statusOf(response: Response): [string, HashTree][] {
  if ("reply" in response) {
    return [
      ["reply", leaf(response.reply)],
      ["status", leaf(Buffer.from("replied"))],
    ];
  }
  const { code, message, errorCode } = response.reject;
  return [
    ["error_code", leaf(Buffer.from(errorCode))],
    ["reject_code", leaf(leb128(code))],
    ["reject_message", leaf(Buffer.from(message))],
    ["status", leaf(Buffer.from("rejected"))],
  ];
}

function key(id: Uint8Array): string {
  return Buffer.from(id).toString("hex");
}
