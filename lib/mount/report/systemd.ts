/**
 * What a service manager such as systemd wants to hear from a mount that it runs as a service (Type=notify): that readers can use
 * it, how it does, and that it ends; see sd_notify(3). Node has no Unix datagram sockets, and addons that are compiled are not
 * wanted here, so that systemd's own systemd-notify speaks: where somebody listens, it is there. Elsewhere nothing is run.
 */
import { messageOf } from "../../errors.ts";
import { type Log, oneLine } from "../../log.ts";
import { run } from "../../process/command.ts";
import { namedInWords } from "../../source/words.ts";
import type { AnyStatus } from "./status.ts";

/** Where the service manager listens. */
const VARIABLE = "NOTIFY_SOCKET";
/** It waits until what it says has been taken in, or for 5 s. */
const COMMAND_LIMIT_MS = 10_000;
/** How often to look whether there is something new to be said. */
const LOOK_MS = 5000;
/** A start that makes progress may go on for so much longer: several times LOOK_MS, and a chunk's way over a slow line. */
const EXTENSION_US = 120_000_000;

/**
 * The service manager's address, which is taken out of the environment: what this process starts is not to speak for it.
 * Undefined: nobody listens.
 */
export function takeNotifySocket(): string | undefined {
  const socket = process.env[VARIABLE];
  delete process.env[VARIABLE];
  return socket || undefined;
}

export class ServiceManager {
  readonly #socket: string;
  readonly #log: Log;
  #isReady = false;
  #said: string | undefined;
  /** Bytes that were here when it was last looked. */
  #here = 0;
  #timer: NodeJS.Timeout | undefined;
  /** What is being said: one thing after the other. */
  #saying: Promise<void> = Promise.resolve();
  #unsaid = 0;

  /** @param socket what takeNotifySocket() found */
  constructor(socket: string, log: Log) {
    this.#socket = socket;
    this.#log = log;
  }

  /** Begins to say how the mount does, and, until it is ready, that it gets on. @param status undefined: nothing is mounted yet */
  follow(status: () => AnyStatus | undefined): void {
    this.#timer = setInterval(() => this.#look(status()), LOOK_MS).unref();
    this.#look(status());
  }

  /** Readers can use it, and whoever was ordered after it may start. Resolves when the service manager knows. */
  ready(status: AnyStatus): Promise<void> {
    this.#isReady = true;
    this.#said = statusLine(status);
    return this.#say("READY=1", `STATUS=${this.#said}`);
  }

  /** The mount has gone, and the process is about to. */
  stopping(): Promise<void> {
    clearInterval(this.#timer);
    return this.#say("STOPPING=1", "STATUS=unmounted");
  }

  /** Ends what follow() has begun. */
  end(): void {
    clearInterval(this.#timer);
  }

  #look(status: AnyStatus | undefined): void {
    // It does not listen: when it does again, it is told what is new by then.
    if (this.#unsaid > 0) return;
    const news: string[] = [];
    const line = statusLine(status);
    if (line !== this.#said) news.push(`STATUS=${line}`);
    this.#said = line;
    const here = status === undefined ? 0 : status.cache.bytesVerified + (status.hydration?.bytesDone ?? 0);
    if (!this.#isReady && here > this.#here) news.push(`EXTEND_TIMEOUT_USEC=${EXTENSION_US}`);
    this.#here = here;
    if (news.length > 0) void this.#say(...news);
  }

  /** Never rejects: a mount is of use to its readers whoever knows of it. */
  #say(...assignments: string[]): Promise<void> {
    this.#unsaid += 1;
    this.#saying = this.#saying.then(async () => {
      try {
        const environment = { [VARIABLE]: this.#socket };
        const { code, stderr } = await run("systemd-notify", ["--", ...assignments], COMMAND_LIMIT_MS, {
          environment,
        });
        if (code !== 0) throw new Error(stderr.trim() || `systemd-notify ends with ${code}`);
      } catch (error) {
        this.#log.warn(`the service manager cannot be told ${assignments.join(", ")}: ${messageOf(error)}`);
      } finally {
        this.#unsaid -= 1;
      }
    });
    return this.#saying;
  }
}

/** How a mount does, in one line. @param status undefined: nothing is mounted yet */
export function statusLine(status: AnyStatus | undefined): string {
  if (status === undefined) return "asking the network for the newest release";
  const { hydrated, hydration, problem, refused, next } = status;
  const parts = [`${namedInWords(status)} of ${status.canister} at ${status.mountpoint ?? status.site?.url}`];
  if (hydrated) parts.push("all of it is here");
  else if (hydration !== undefined) parts.push(`${percent(hydration)} of it is here`);
  if (next !== undefined) parts.push(`${namedInWords(next)} is ${next.state}`);
  if (refused) parts.push("the network's answer is not accepted");
  else if (problem !== undefined) parts.push("the network does not answer");
  return oneLine(parts.join("; "));
}

function percent({ bytes, bytesDone }: { readonly bytes: number; readonly bytesDone: number }): string {
  return `${Math.floor((100 * bytesDone) / Math.max(bytes, 1))} %`;
}
